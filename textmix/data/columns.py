"""Read columns of a data set in place, a few rows at a time; large data sets are memory-mapped files.

The pages of mapped files that were read count as resident memory of the process. They are clean, so that the kernel
takes them back when it needs memory.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.config import HF_DATASETS_CACHE
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable

from textmix.io.compat import selected_rows
from textmix.io.files import replacing

_BLOCK = 10_000


class TextColumn:
    """A string column; only the rows that are taken become Python strings.

    `Dataset.__getitem__` takes 0.1 ms a row where rows are scattered over a large file, and builds all columns.

    Args:
        rows: A data set with N rows; a selection of rows is not copied.
        name: A column of type string without missing values.
    """

    def __init__(self, rows: Dataset, name: str) -> None:
        self._chunks = [chunk for chunk in rows.data.column(name).chunks if len(chunk)]
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._numbers = selected_rows(rows)
        self._length: int = rows.num_rows

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self.take(range(start, min(start + _BLOCK, len(self))))

    def take(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
        """Read rows.

        Args:
            numbers: Numbers of rows, from 0, in any order, shape (K,).

        Returns:
            The K strings, in the same order.
        """
        places = np.asarray(numbers, dtype=np.int64)
        if self._numbers is not None:
            places = self._numbers[places].astype(np.int64)
        chunks = np.searchsorted(self._starts, places, side="right") - 1
        inside = places - self._starts[chunks]
        rows = zip(chunks.tolist(), inside.tolist(), strict=True)
        return [self._chunks[chunk][place].as_py() for chunk, place in rows]

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """Return the length of each string in bytes, shape (N,), without reading the strings."""
        lengths = np.empty(self._starts[-1], dtype=np.int32)
        for chunk, start in zip(self._chunks, self._starts, strict=False):
            lengths[start : start + len(chunk)] = pc.binary_length(chunk).to_numpy()
        return lengths if self._numbers is None else lengths[self._numbers]


class Texts:
    """The texts of several columns, one column after the other; can be iterated over more than once.

    Args:
        columns: The columns.
    """

    def __init__(self, columns: list[TextColumn]) -> None:
        self._columns = columns

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._columns)


def stored_tables(dataset: Dataset, size: int) -> Iterator[pa.Table]:
    """Read all columns of a data set, block by block.

    Its files are read, not mapped: pages of a mapped file stay resident once they are read.

    Args:
        dataset: A data set as `load_source` returns it, not a selection of its rows: the excluded rows would be
            read as well.
        size: Number of rows of each table except the last.
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


def stored(tables: Iterator[pa.Table], *key: object, reuse: bool = False) -> Dataset:
    """Write tables into a file in the cache of datasets, and map the file to memory.

    Args:
        tables: One or more tables of one schema.
        key: What the file is named after.
        reuse: If there is a file of this key, use it and leave `tables` alone.
    """
    path = Path(HF_DATASETS_CACHE) / "textmix" / f"{sha256(repr(key).encode()).hexdigest()[:32]}.arrow"
    if not (reuse and path.is_file()):
        first = next(tables)
        with (
            replacing(path) as temporary,
            pa.OSFile(str(temporary), "wb") as file,
            pa.ipc.new_stream(file, first.schema) as writer,
        ):
            for table in chain([first], tables):
                writer.write_table(table)
    return Dataset.from_file(str(path))


def in_memory(rows: Dataset) -> Dataset:
    """Copy rows of strings into memory, so that reading them again reads no pages of a file."""
    table = pa.table({name: list(TextColumn(rows, name)) for name in rows.column_names})
    return Dataset(table, split=rows.split, fingerprint=generate_random_fingerprint())


def select_rows(rows: Dataset, wanted: npt.NDArray[np.bool_]) -> Dataset:
    """Select rows like `Dataset.select`, with 4 bytes a row instead of 70.

    Args:
        rows: N rows, which may be a selection themselves.
        wanted: Which of them to select, shape (N,).
    """
    among = selected_rows(rows)
    numbers = np.arange(len(wanted), dtype=np.uint32 if len(wanted) < 2**32 else np.uint64) if among is None else among
    indices = InMemoryTable(pa.table({"indices": numbers[wanted]}))
    # Without a fingerprint, datasets would hash all the numbers; results of selections are not cached.
    fingerprint = generate_random_fingerprint()
    return Dataset(rows.data, rows.info, rows.split, indices_table=indices, fingerprint=fingerprint)


def categories(rows: Dataset, name: str) -> pa.DictionaryArray:
    """Read a string column as a dictionary array, which holds each string once.

    Returns:
        N int32 codes; the dictionary of a selection may hold strings that none of its rows has.
    """
    codes = np.empty(len(rows.data), dtype=np.int32)
    strings: dict[str, int] = {}
    start = 0
    for chunk in rows.data.column(name).chunks:
        encoded = chunk.dictionary_encode()
        found = [strings.setdefault(string, len(strings)) for string in encoded.dictionary.to_pylist()]
        codes[start : start + len(chunk)] = np.array(found, dtype=np.int32)[encoded.indices.to_numpy()]
        start += len(chunk)
    numbers = selected_rows(rows)
    return pa.DictionaryArray.from_arrays(codes if numbers is None else codes[numbers], pa.array(strings, pa.string()))


def ranks(rows: Dataset, name: str) -> npt.NDArray[np.int32]:
    """Number the strings of a column in alphabetical order, whatever the order of the rows; returns shape (N,)."""
    found = categories(rows, name)
    rank = pc.rank(found.dictionary, sort_keys="ascending").to_numpy().astype(np.int32)
    return np.asarray(rank[found.indices.to_numpy()])
