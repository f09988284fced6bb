import numpy as np
from datasets import Dataset

from textmix.data.tokenization import LazyTokens, labels_of, tokenize
from textmix.models.words.tokenizer_training import train_tokenizer


def test_rows_keep_their_order_and_are_cut() -> None:
    tokenizer = train_tokenizer(["a b c d e"], min_frequency=1)
    tokenizer.model_max_length = 3
    rows = Dataset.from_dict({"text": ["a b c d e", "b", ""], "label": ["x", "y", "z"]})
    encoded = tokenize(rows, tokenizer, np.array([2, 1, 0]))
    words = [tokenizer.convert_ids_to_tokens(ids) for ids in encoded["input_ids"][:]]
    assert words == [["a", "b", "c"], ["b"], []]
    assert encoded["labels"][:] == [2, 1, 0]
    assert set(encoded.column_names) == {"input_ids", "attention_mask", "labels"}


def test_pairs_are_separated() -> None:
    tokenizer = train_tokenizer(["a b"], min_frequency=1)
    encoded = tokenize(Dataset.from_dict({"text": ["a"], "text_pair": ["b"]}), tokenizer)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]) == ["a", "[SEP]", "b"]


def test_rows_tokenised_on_demand_are_those_tokenised_beforehand() -> None:
    tokenizer = train_tokenizer(["a b c d e"], min_frequency=1)
    tokenizer.model_max_length = 3
    rows = Dataset.from_dict({"text": ["a b c d e", "b", "", "e"], "text_pair": ["a", "c", "d", ""]}).select([3, 0, 2])
    labels = np.array([2, 0, 1])
    beforehand, on_demand = tokenize(rows, tokenizer, labels), LazyTokens(rows, tokenizer, labels)
    assert len(on_demand) == 3
    assert on_demand.__getitems__([2, 0, 1]) == [beforehand[2], beforehand[0], beforehand[1]]
    assert on_demand[1] == beforehand[1]
    assert on_demand.lengths().tolist() == [1, 10, 1]
    assert labels_of(on_demand).tolist() == labels_of(beforehand).tolist() == [2, 0, 1]
