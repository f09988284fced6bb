from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset
from tokenizers.processors import TemplateProcessing

from textmix.data.long_text import (
    HEAD_TAIL,
    LONG_TEXT,
    WINDOWS,
    keep_head_and_tail,
    long_share,
    split_windows,
    tokenize_windows,
)
from textmix.data.tokenization import LazyTokens, tokenize, tokenize_batch
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


def windows_of(texts: list[str], longest: int, most: int | None = None) -> list[list[list[str]]]:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    tokenizer.model_max_length = longest
    columns = tokenize_windows(tokenizer, texts, most)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [[tokenizer.convert_ids_to_tokens(window["input_ids"]) for window in split_windows(row)] for row in rows]


@pytest.mark.parametrize("longest", [4, 8, 9, 39, 40])
def test_windows_hold_every_token_and_repeat_a_quarter(longest: int) -> None:
    [windows, short, empty] = windows_of([LONG, "w1 w2", ""], longest)
    overlap = longest // 4
    whole = list(windows[0])
    for before, after in pairwise(windows):
        assert len(before) == longest
        assert before[longest - overlap :] == after[:overlap]
        whole += after[overlap:]
    assert whole == WORDS
    assert short == [["w1", "w2"]]
    assert empty == [[]]


def test_few_of_many_windows_are_evenly_spread() -> None:
    [windows] = windows_of([LONG], 4)
    assert len(windows) == 13
    assert windows_of([LONG], 4, most=3) == [[windows[0], windows[6], windows[12]]]
    assert windows_of([LONG], 4, most=13) == [windows]


def test_rows_are_tokenised_in_windows_at_once_and_on_demand() -> None:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    tokenizer.model_max_length, tokenizer.init_kwargs[LONG_TEXT] = 8, WINDOWS
    rows, labels = Dataset.from_dict({"text": [LONG, "w1"]}), np.array([1, 0])
    at_once = tokenize(rows, tokenizer, labels, most_windows=2)
    assert [len(own) for own in at_once["windows"][:]] == [2, 1]
    on_demand = LazyTokens(rows, tokenizer, labels, most_windows=2)
    assert [on_demand[0], on_demand[1]] == [at_once[0], at_once[1]]


def test_each_window_has_its_special_tokens() -> None:
    tokenizer = train_tokenizer([LONG], min_frequency=1)
    tokenizer.add_special_tokens({"cls_token": "[START]", "sep_token": "[END]"})
    start, end = tokenizer.convert_tokens_to_ids(["[START]", "[END]"])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[START] $A [END]", special_tokens=[("[START]", start), ("[END]", end)]
    )
    tokenizer.model_max_length = 8
    columns = tokenize_windows(tokenizer, [LONG])
    windows = list(split_windows({name: values[0] for name, values in columns.items()}))
    assert len(windows) > 5
    for window in windows:
        assert (window["input_ids"][0], window["input_ids"][-1]) == (start, end)
        assert len(window["attention_mask"]) == len(window["input_ids"]) <= 8
