"""Tokenise texts."""

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from textmix.data.label_format import Array
from textmix.data.long_text import HEAD_TAIL, LONG_TEXT, keep_head_and_tail, reads_windows, tokenize_windows
from textmix.data.standardize import PAIR, TEXT, text_columns
from textmix.data.tokens import piece_labels


def tokenize_batch(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None = None, **options: Any
) -> BatchEncoding:
    """Tokenise texts, truncated to `tokenizer.model_max_length` tokens.

    Of a tokenizer that says so (`keep_head_and_tail`), long texts lose their middle instead of their end.

    Args:
        tokenizer: The model's tokenizer.
        texts: N texts.
        pairs: The second sentences of N pairs.
        **options: Further arguments of the tokenizer, such as `padding` and `return_tensors`.

    Returns:
        The model's inputs, each for N texts.
    """
    if tokenizer.init_kwargs.get(LONG_TEXT) == HEAD_TAIL:
        texts = keep_head_and_tail(tokenizer, texts, options.get("max_length") or tokenizer.model_max_length)
    encoded: BatchEncoding = tokenizer(texts, pairs, truncation=True, **options)
    return encoded


def encode_columns(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    pairs: list[str] | None = None,
    most_windows: int | None = None,
) -> dict[str, Any]:
    """Tokenise texts in windows, of a tokenizer that says so, else like `tokenize_batch`.

    Args:
        tokenizer: The model's tokenizer.
        texts: N texts.
        pairs: The second sentences of N pairs.
        most_windows: As in `tokenize_windows`.

    Returns:
        The model's inputs, each for N texts.
    """
    if reads_windows(tokenizer):
        return tokenize_windows(tokenizer, texts, most_windows)
    return dict(tokenize_batch(tokenizer, texts, pairs))


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    pairs: list[str] | None = None,
    most_windows: int | None = None,
) -> list[dict[str, list[int]]]:
    """Tokenise texts like `encode_columns`; returns the model's inputs for each text."""
    encoded = encode_columns(tokenizer, texts, pairs, most_windows)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: Array | None = None, most_windows: int | None = None
) -> Dataset:
    """Tokenise the columns `text` and `text_pair` like `encode_columns`.

    Args:
        rows: N rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: What the model is trained on, with N rows, which become a column; tags as in `encode_tagged`.
        most_windows: As in `tokenize_windows`.

    Returns:
        A data set with the model's inputs and, if given, `labels`, in the same order.
    """
    tagged = labels if _are_tags(labels) else None

    def encode_batch(batch: dict[str, list[str]], numbers: list[int]) -> dict[str, Any]:
        if tagged is not None:
            return encode_tagged(tokenizer, batch[TEXT], tagged[numbers])
        return encode_columns(tokenizer, batch[TEXT], batch.get(PAIR), most_windows)

    encoded = rows.map(
        encode_batch, batched=True, with_indices=True, remove_columns=rows.column_names, load_from_cache_file=False
    )
    if labels is None or tagged is not None:
        return encoded
    return encoded.add_column("labels", labels if labels.ndim == 1 else labels.tolist())


def encode_tagged(tokenizer: PreTrainedTokenizerBase, texts: list[str], tagged: Array) -> dict[str, Any]:
    """Tokenise texts whose tokens have tags.

    Args:
        tokenizer: A fast tokenizer.
        texts: N texts.
        tagged: For each text the tags of its tokens, as in `piece_labels`.

    Returns:
        The model's inputs, each for N texts, and `labels`: a label for each word piece.
    """
    encoded = dict(tokenize_batch(tokenizer, texts, return_offsets_mapping=True))
    offsets = encoded.pop("offset_mapping")
    return {**encoded, "labels": [piece_labels(*row) for row in zip(offsets, tagged, strict=True)]}


def _are_tags(labels: Array | None) -> bool:
    return labels is not None and labels.dtype == object


class LazyTokens:
    """Rows that are tokenised when a batch needs them, for data that is too large to be tokenised beforehand.

    A DataLoader reads them like a data set of `tokenize`.

    Args:
        rows: N rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: What the model is trained on, with N rows.
        most_windows: As in `tokenize_windows`.
    """

    def __init__(
        self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: Array, most_windows: int | None = None
    ) -> None:
        self.labels = labels
        self._most_windows = most_windows
        self._columns = text_columns(rows)
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.labels)

    def lengths(self) -> npt.NDArray[np.int32]:
        """Return the length of each row in bytes, shape (N,); its number of tokens is not known."""
        lengths: npt.NDArray[np.int32] = reduce(np.add, (column.byte_lengths() for column in self._columns))
        return lengths

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Any]]:
        texts = [column.take(numbers) for column in self._columns]
        if _are_tags(self.labels):
            tagged = encode_tagged(self._tokenizer, texts[0], self.labels[numbers])
            return [dict(zip(tagged, values, strict=True)) for values in zip(*tagged.values(), strict=True)]
        pairs = texts[1] if len(texts) > 1 else None
        rows = encode(self._tokenizer, texts[0], pairs, self._most_windows)
        return [{**row, "labels": label} for row, label in zip(rows, self.labels[numbers].tolist(), strict=True)]


def token_lists(data: Dataset | LazyTokens, column: str) -> pa.ChunkedArray | None:
    """Return a column of tokenised rows, such as `input_ids`, as Arrow lists; None if there is none yet."""
    if isinstance(data, LazyTokens) or column not in data.column_names:
        return None
    table: pa.Table = data.select_columns([column]).with_format("arrow")[:]
    return table.column(column)


def labels_of(data: Dataset | LazyTokens) -> Array:
    """Return the labels of tokenised rows, with N rows."""
    return data.labels if isinstance(data, LazyTokens) else np.asarray(data.with_format("numpy")["labels"][:])
