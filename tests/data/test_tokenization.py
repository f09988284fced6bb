from datasets import Dataset

from textmix.data.tokenization import tokenize
from textmix.models.vocabulary import train_tokenizer


def test_rows_keep_their_order_and_are_cut() -> None:
    tokenizer = train_tokenizer(["a b c d e"], min_frequency=1)
    tokenizer.model_max_length = 3
    rows = Dataset.from_dict({"text": ["a b c d e", "b", ""], "label": ["x", "y", "z"]})
    encoded = tokenize(rows, tokenizer, [2, 1, 0])
    words = [tokenizer.convert_ids_to_tokens(ids) for ids in encoded["input_ids"][:]]
    assert words == [["a", "b", "c"], ["b"], []]
    assert encoded["labels"][:] == [2, 1, 0]
    assert set(encoded.column_names) == {"input_ids", "attention_mask", "labels"}


def test_pairs_are_separated() -> None:
    tokenizer = train_tokenizer(["a b"], min_frequency=1)
    encoded = tokenize(Dataset.from_dict({"text": ["a"], "text_pair": ["b"]}), tokenizer)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]) == ["a", "[SEP]", "b"]
