import pytest

from textmix.models.words.tokenizer_training import train_tokenizer

TEXTS = ["The cat sat.", "the cat ran!", "A dog sat"]


def test_words_are_lower_cased_and_split_from_punctuation() -> None:
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    assert tokenizer.convert_ids_to_tokens(tokenizer("The CAT sat.")["input_ids"]) == ["the", "cat", "sat", "."]


def test_rare_and_new_words_are_unknown() -> None:
    tokenizer = train_tokenizer(TEXTS, min_frequency=2)
    assert tokenizer.convert_ids_to_tokens(tokenizer("the dog zzz")["input_ids"]) == ["the", "[UNK]", "[UNK]"]


def test_case_is_kept_on_request() -> None:
    tokenizer = train_tokenizer(TEXTS, min_frequency=1, lowercase=False)
    assert tokenizer.convert_ids_to_tokens(tokenizer("The the")["input_ids"]) == ["The", "the"]


def test_the_vocabulary_is_bounded() -> None:
    assert len(train_tokenizer([f"word{i}" for i in range(100)], min_frequency=1, vocab_size=20)) == 20


@pytest.mark.parametrize("kind", ["word", "wordpiece", "bpe"])
def test_padding_is_zero_pairs_are_separated_and_training_repeats_itself(kind: str) -> None:
    tokenizer, twin = (train_tokenizer(TEXTS, kind, min_frequency=1) for _ in range(2))
    assert tokenizer.get_vocab() == twin.get_vocab()
    assert tokenizer.pad_token_id == 0
    single = tokenizer("the cat")["input_ids"]
    assert tokenizer.sep_token_id not in single
    assert tokenizer("the cat", "a dog")["input_ids"] == [
        *single,
        tokenizer.sep_token_id,
        *tokenizer("a dog")["input_ids"],
    ]
    assert list(tokenizer(["the cat sat", "dog"], padding=True)) == ["input_ids", "attention_mask"]


def test_subwords_cover_new_words() -> None:
    wordpiece = train_tokenizer(["unhappy happier happily"] * 3, "wordpiece", vocab_size=60)
    assert wordpiece.unk_token_id not in wordpiece("unhappily")["input_ids"]
    bpe = train_tokenizer(TEXTS, "bpe")
    assert bpe.decode(bpe("naïve 猫!")["input_ids"]).strip() == "naïve 猫!"
