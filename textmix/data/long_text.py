"""Texts that are longer than a model's longest input."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.data.standardize import text_columns

# Name of the tokenizer's setting, which is saved with it. Without it texts are cut at their end.
LONG_TEXT, HEAD_TAIL, WINDOWS = "long_text", "head_tail", "windows"
# Share of the input that the begin of a long text takes: Sun et al. 2019 keep 128 and 382 of 510 tokens.
_HEAD = 0.25
# Share of a window that the next one repeats, so that most phrases are whole in one of them.
_OVERLAP = 0.25
# A text of more windows trains on this number of them, evenly spread: the memory of a step stays bounded.
TRAINED_WINDOWS = 8
# Column of the lengths of a row's windows.
WINDOW_LENGTHS = "windows"
# Columns of a row, not of its windows.
_OF_ROWS = (WINDOW_LENGTHS, "labels", "sample_weight")
_SAMPLE = 2000


def keep_head_and_tail(tokenizer: PreTrainedTokenizerBase, texts: list[str], longest: int) -> list[str]:
    """Cut the middle out of long texts: a quarter of what is kept is their begin.

    Args:
        tokenizer: A fast tokenizer.
        texts: N texts.
        longest: Number of tokens of the longest input, special tokens included.

    Returns:
        N texts; those that fit are unchanged.
    """
    room = longest - tokenizer.num_special_tokens_to_add()
    candidates = [number for number, text in enumerate(texts) if _may_be_long(text, room)]
    if not candidates:
        return texts
    encoded = tokenizer(
        [texts[number] for number in candidates],
        add_special_tokens=False,
        truncation=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    kept = list(texts)
    head = max(1, round(_HEAD * room))
    for number, offsets in zip(candidates, encoded["offset_mapping"], strict=True):
        if len(offsets) > room:
            text = texts[number]
            kept[number] = f"{text[: offsets[head - 1][1]]} {text[offsets[head - room][0] :]}"
    return kept


def reads_windows(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether texts are read in windows."""
    return bool(tokenizer.init_kwargs.get(LONG_TEXT) == WINDOWS)


def tokenize_windows(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], most: int | None = None
) -> dict[str, list[list[int]]]:
    """Tokenise texts in windows of at most `tokenizer.model_max_length` tokens, each of which repeats a quarter.

    Args:
        tokenizer: A fast tokenizer.
        texts: N texts.
        most: Maximum number of windows of a text; of more, this number is kept, evenly spread.

    Returns:
        The model's inputs, for each of N texts those of all its windows in a row, and `windows`: their lengths.
    """
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    encoded = tokenizer(
        texts, truncation=True, stride=int(_OVERLAP * room), return_overflowing_tokens=True, return_length=False
    )
    owners = encoded.pop("overflow_to_sample_mapping")
    numbers: list[list[int]] = [[] for _ in texts]
    for number, owner in enumerate(owners):
        numbers[owner].append(number)
    if most is not None:
        numbers = [_spread(own, most) for own in numbers]
    columns = {
        name: [[value for number in own for value in windows[number]] for own in numbers]
        for name, windows in encoded.items()
    }
    return {**columns, WINDOW_LENGTHS: [[len(encoded["input_ids"][number]) for number in own] for own in numbers]}


def split_windows(row: Mapping[str, Any]) -> Iterator[dict[str, list[int]]]:
    """Yield the model's inputs for each window of a row of `tokenize_windows`; its label and weight are left out."""
    start = 0
    for length in row[WINDOW_LENGTHS]:
        end = start + length
        yield {name: row[name][start:end] for name in row if name not in _OF_ROWS}
        start = end


def _spread(numbers: list[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return numbers
    return [numbers[place] for place in np.linspace(0, len(numbers) - 1, most).round().astype(int)]


def long_share(tokenizer: PreTrainedTokenizerBase, rows: Dataset) -> float:
    """Return the share of rows that are longer than `tokenizer.model_max_length`, of a sample of 2000 rows.

    Args:
        tokenizer: The model's tokenizer.
        rows: Standard rows.
    """
    numbers = np.linspace(0, rows.num_rows - 1, min(rows.num_rows, _SAMPLE)).astype(np.int64)
    texts, *pairs = (column.take(numbers) for column in text_columns(rows))
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add(pair=bool(pairs))
    joined = [" ".join(parts) for parts in zip(texts, *pairs, strict=True)]
    candidates = [text for text in joined if _may_be_long(text, room)]
    if not candidates:
        return 0.0
    encoded: Sequence[Sequence[int]] = tokenizer(candidates, add_special_tokens=False, verbose=False)["input_ids"]
    return sum(len(ids) > room for ids in encoded) / len(joined)


def _may_be_long(text: str, room: int) -> bool:
    return len(text.encode()) > room  # a token has at least one byte
