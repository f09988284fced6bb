"""Turn rows of text into rows of token ids."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.data.labels import ClassIds
from textmix.data.standardize import PAIR, TEXT, text_columns


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None = None
) -> list[dict[str, list[int]]]:
    """Tokenise texts, cutting at `tokenizer.model_max_length`; returns the model's inputs for each of them."""
    encoded = tokenizer(texts, pairs, truncation=True)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: Sequence[int] | ClassIds | None = None
) -> Dataset:
    """Tokenise the columns `text` and `text_pair`, cutting at `tokenizer.model_max_length`.

    Args:
        rows: Rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: Class ids to put beside the tokens.

    Returns:
        A data set with the model's inputs and, if given, `labels`; the order of rows is kept.
    """

    def encode_batch(batch: dict[str, list[str]]) -> dict[str, Any]:
        return dict(tokenizer(batch[TEXT], batch.get(PAIR), truncation=True))

    encoded = rows.map(encode_batch, batched=True, remove_columns=rows.column_names, load_from_cache_file=False)
    return encoded if labels is None else encoded.add_column("labels", labels)


class LazyTokens:
    """Rows that are tokenised when a batch asks for them, for data too large to be tokenised beforehand.

    Gives a DataLoader what a data set of `tokenize` gives it.

    Args:
        rows: Rows with `text` and perhaps `text_pair`.
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
        """Return about how long each row is, shape (N,): its bytes, as its tokens are not known."""
        lengths: npt.NDArray[np.int32] = reduce(np.add, (column.byte_lengths() for column in self._columns))
        return lengths

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: list[int]) -> list[dict[str, Any]]:
        rows = encode(self._tokenizer, *(column.take(numbers) for column in self._columns))
        return [{**row, "labels": label} for row, label in zip(rows, self.labels[numbers].tolist(), strict=True)]


def token_lists(data: Dataset | LazyTokens, column: str) -> pa.ChunkedArray | None:
    """Return a column of tokenised rows, such as `input_ids`, without making Python objects; None if not known."""
    if isinstance(data, LazyTokens) or column not in data.column_names:
        return None
    table: pa.Table = data.select_columns([column]).with_format("arrow")[:]
    return table.column(column)


def labels_of(data: Dataset | LazyTokens) -> ClassIds:
    """Return the class ids of tokenised rows, shape (N,)."""
    return data.labels if isinstance(data, LazyTokens) else np.asarray(data.with_format("numpy")["labels"][:])
