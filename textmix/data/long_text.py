"""Texts that are longer than a model's longest input."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.data.standardize import text_columns

# Name of the tokenizer's setting, which is saved with it. Without it texts are cut at their end.
LONG_TEXT, HEAD_TAIL = "long_text", "head_tail"
# Share of the input that the begin of a long text takes: Sun et al. 2019 keep 128 and 382 of 510 tokens.
_HEAD = 0.25
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
