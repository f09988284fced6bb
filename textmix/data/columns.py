"""Columns of a data set read where they lie, on disk for a large one, a few rows at a time."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable

_BLOCK = 10_000


class TextColumn:
    """A string column, of which only the rows asked for become Python strings.

    `Dataset.__getitem__` takes 0.1 ms a row where rows are scattered over a large file, and builds all columns.

    Args:
        rows: A data set; rows selected from another one stay where they are.
        name: Its column, of type string and without missing values.
    """

    def __init__(self, rows: Dataset, name: str) -> None:
        self._chunks = [chunk for chunk in rows.data.column(name).chunks if len(chunk)]
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._numbers = row_numbers(rows)
        self._length: int = rows.num_rows

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self.take(range(start, min(start + _BLOCK, len(self))))

    def take(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
        """Read the rows of these numbers, in their order."""
        places = np.asarray(numbers, dtype=np.int64)
        if self._numbers is not None:
            places = self._numbers[places]
        chunks = np.searchsorted(self._starts, places, side="right") - 1
        inside = places - self._starts[chunks]
        return [
            self._chunks[chunk][place].as_py() for chunk, place in zip(chunks.tolist(), inside.tolist(), strict=True)
        ]

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """Return how many bytes each string has, without reading it; shape (N,)."""
        lengths = np.concatenate(
            [np.empty(0, np.int32), *(pc.binary_length(chunk).to_numpy() for chunk in self._chunks)]
        )
        return lengths if self._numbers is None else lengths[self._numbers]


class Texts:
    """All texts of several columns, one column after the other; may be iterated over again and again.

    Args:
        columns: The columns.
    """

    def __init__(self, columns: list[TextColumn]) -> None:
        self._columns = columns

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._columns)


def stored_tables(dataset: Dataset, size: int) -> Iterator[pa.Table]:
    """Read a data set as it was loaded, all its columns, so many rows at a time.

    Its files are read piece by piece, not mapped: the pages of a map that have been read stay resident.

    Args:
        dataset: As `load_source` returns it; of a selection the rows that were left out would be read too.
        size: Rows of each table but the last.
    """
    pending: list[pa.RecordBatch] = []
    waiting = 0
    for batch in _stored_batches(dataset):
        pending.append(batch)
        waiting += batch.num_rows
        while waiting >= size:
            table = pa.Table.from_batches(pending)
            yield table.slice(0, size)
            waiting -= size
            pending = table.slice(size).to_batches()
    if waiting:
        yield pa.Table.from_batches(pending)


def _stored_batches(dataset: Dataset) -> Iterator[pa.RecordBatch]:
    if not dataset.cache_files:
        yield from dataset.data.to_batches()
    for file in dataset.cache_files:
        with pa.OSFile(file["filename"]) as stored, pa.ipc.open_stream(stored) as reader:
            yield from reader


def select_rows(rows: Dataset, numbers: npt.NDArray[np.int64]) -> Dataset:
    """Select rows as `Dataset.select` does, which needs 70 bytes a row for it instead of 8.

    Args:
        rows: Any rows, from which others may have been selected before.
        numbers: Numbers of the wanted rows, in the order wanted.
    """
    among = row_numbers(rows)
    places = numbers if among is None else among[numbers]
    indices = InMemoryTable(pa.table({"indices": places.view(np.uint64)}))
    # Without a fingerprint one would be made of all the numbers; results of selections are not cached.
    fingerprint = generate_random_fingerprint()
    return Dataset(rows.data, rows.info, rows.split, indices_table=indices, fingerprint=fingerprint)


def row_numbers(rows: Dataset) -> npt.NDArray[np.int64] | None:
    """Return where the rows of a selection stand in its table; None where the table holds these rows and no others."""
    indices = rows._indices  # there is no public way to them
    return None if indices is None else indices.column(0).to_numpy().astype(np.int64, copy=False)


def categories(rows: Dataset, name: str) -> pa.DictionaryArray:
    """Read a string column as numbers and the strings that they stand for, each string once.

    Returns:
        One int32 for each row; the dictionary may hold strings that no row of a selection has.
    """
    encoded = rows.data.column(name).dictionary_encode().combine_chunks()
    numbers = row_numbers(rows)
    return encoded if numbers is None else encoded.take(pa.array(numbers))


def ranks(rows: Dataset, name: str) -> npt.NDArray[np.int32]:
    """Number the strings of a column in alphabetical order, which does not depend on the order of the rows; (N,)."""
    found = categories(rows, name)
    rank = pc.rank(found.dictionary, sort_keys="ascending").to_numpy().astype(np.int32)
    return np.asarray(rank[found.indices.to_numpy()])
