"""Tokenise texts."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from transformers import BatchEncoding, PreTrainedTokenizerBase

from textmix.data.labels import ClassIds
from textmix.data.standardize import PAIR, TEXT, text_columns


def tokenize_batch(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None = None, **options: Any
) -> BatchEncoding:
    """Tokenise texts, truncated to `tokenizer.model_max_length` tokens.

    Args:
        tokenizer: The model's tokenizer.
        texts: N texts.
        pairs: The second sentences of N pairs.
        **options: Further arguments of the tokenizer, such as `padding` and `return_tensors`.

    Returns:
        The model's inputs, each for N texts.
    """
    encoded: BatchEncoding = tokenizer(texts, pairs, truncation=True, **options)
    return encoded


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None = None
) -> list[dict[str, list[int]]]:
    """Tokenise texts like `tokenize_batch`; returns the model's inputs for each text."""
    encoded = tokenize_batch(tokenizer, texts, pairs)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: Sequence[int] | ClassIds | None = None
) -> Dataset:
    """Tokenise the columns `text` and `text_pair` like `tokenize_batch`.

    Args:
        rows: N rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: Class ids, shape (N,), which become a column.

    Returns:
        A data set with the model's inputs and, if given, `labels`, in the same order.
    """

    def encode_batch(batch: dict[str, list[str]]) -> dict[str, Any]:
        return dict(tokenize_batch(tokenizer, batch[TEXT], batch.get(PAIR)))

    encoded = rows.map(encode_batch, batched=True, remove_columns=rows.column_names, load_from_cache_file=False)
    return encoded if labels is None else encoded.add_column("labels", labels)


class LazyTokens:
    """Rows that are tokenised when a batch needs them, for data that is too large to be tokenised beforehand.

    A DataLoader reads them like a data set of `tokenize`.

    Args:
        rows: N rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: Class ids, shape (N,).
    """

    def __init__(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: ClassIds) -> None:
        self.labels = labels
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
        rows = encode(self._tokenizer, *(column.take(numbers) for column in self._columns))
        return [{**row, "labels": label} for row, label in zip(rows, self.labels[numbers].tolist(), strict=True)]


def token_lists(data: Dataset | LazyTokens, column: str) -> pa.ChunkedArray | None:
    """Return a column of tokenised rows, such as `input_ids`, as Arrow lists; None if there is none yet."""
    if isinstance(data, LazyTokens) or column not in data.column_names:
        return None
    table: pa.Table = data.select_columns([column]).with_format("arrow")[:]
    return table.column(column)


def labels_of(data: Dataset | LazyTokens) -> ClassIds:
    """Return the class ids of tokenised rows, shape (N,)."""
    return data.labels if isinstance(data, LazyTokens) else np.asarray(data.with_format("numpy")["labels"][:])
