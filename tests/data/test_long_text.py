import pytest
from datasets import Dataset

from textmix.data.long_text import HEAD_TAIL, LONG_TEXT, keep_head_and_tail, long_share
from textmix.data.tokenization import tokenize_batch
from textmix.models.words.tokenizer_training import train_tokenizer

WORDS = [f"w{number}" for number in range(40)]
LONG = " ".join(WORDS)


@pytest.mark.parametrize("longest", [8, 9, 39])
def test_a_quarter_is_the_begin_and_the_rest_the_end(longest: int) -> None:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    head = round(longest / 4)
    [kept] = keep_head_and_tail(tokenizer, [LONG], longest)
    assert kept.split() == [*WORDS[:head], *WORDS[head - longest :]]


def test_what_fits_is_unchanged_and_places_are_those_of_characters() -> None:
    tokenizer = train_tokenizer([LONG, "äöü 😀 ß"], min_frequency=1)
    short = " ".join(WORDS[:8])
    assert keep_head_and_tail(tokenizer, [short, "", LONG], 8)[:2] == [short, ""]
    assert keep_head_and_tail(tokenizer, ["äöü 😀 ß äöü 😀 ß"], 4) == ["äöü äöü 😀 ß"]
    assert keep_head_and_tail(tokenizer, ["x " * 3], 40) == ["x " * 3]


def test_a_tokenizer_says_so_wherever_it_is_used() -> None:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    tokenizer.model_max_length = 8
    [plain] = tokenize_batch(tokenizer, [LONG])["input_ids"]
    tokenizer.init_kwargs[LONG_TEXT] = HEAD_TAIL
    [both] = tokenize_batch(tokenizer, [LONG])["input_ids"]
    assert tokenizer.convert_ids_to_tokens(plain) == WORDS[:8]
    assert tokenizer.convert_ids_to_tokens(both) == [*WORDS[:2], *WORDS[-6:]]


def test_the_share_of_long_texts() -> None:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    tokenizer.model_max_length = 10
    rows = Dataset.from_dict({"text": [LONG, "w1", " ".join(WORDS[:10]), " ".join(WORDS[:11])]})
    assert long_share(tokenizer, rows) == 0.5
    assert long_share(tokenizer, rows.select([1, 2])) == 0.0
    pairs = Dataset.from_dict({"text": ["w1 w2 w3 w4 w5"], "text_pair": ["w6 w7 w8 w9"]})
    assert long_share(tokenizer, pairs) == 0.0  # nine and a separator
