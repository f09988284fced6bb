"""Columns of a data set read where they lie, on disk for a large one, a few rows at a time."""

import ctypes
import mmap
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import InMemoryTable

_BLOCK = 10_000
# Rows of a mapped file that are read before its pages are forgotten: each may bring in 64 KiB with it, or up to 2 MiB
# where the system caches the file in large pages.
_REMEMBERED = 64


class TextColumn:
    """A string column, of which only the rows asked for become Python strings.

    `Dataset.__getitem__` takes 0.1 ms a row where rows are scattered over a large file, and builds all columns.

    Args:
        rows: A data set; rows selected from another one stay where they are.
        name: Its column, of type string and without missing values.
    """

    def __init__(self, rows: Dataset, name: str) -> None:
        self._chunks = [chunk for chunk in rows.data.column(name).chunks if len(chunk)]
        self._ranges = mapped_ranges(rows, self._chunks)
        self._starts = np.cumsum([0, *map(len, self._chunks)])
        self._numbers = row_numbers(rows)
        self._length: int = rows.num_rows
        self._read = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ranges": []}  # addresses, which mean nothing in another process

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self.take(range(start, min(start + _BLOCK, len(self))))

    def take(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
        """Read the rows of these numbers, in their order."""
        places = np.asarray(numbers, dtype=np.int64)
        if self._numbers is not None:
            places = self._numbers[places].astype(np.int64)
        chunks = np.searchsorted(self._starts, places, side="right") - 1
        inside = places - self._starts[chunks]
        taken: list[str] = []
        for start in range(0, len(places), _REMEMBERED):
            some = slice(start, start + _REMEMBERED)
            rows = zip(chunks[some].tolist(), inside[some].tolist(), strict=True)
            taken += [self._chunks[chunk][place].as_py() for chunk, place in rows]
            self._read += len(chunks[some])
            if self._read >= _REMEMBERED:
                forget_pages(self._ranges)
                self._read = 0
        return taken

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """Return how many bytes each string has, without reading it; shape (N,)."""
        lengths = np.empty(self._starts[-1], dtype=np.int32)
        for chunk, start in zip(self._chunks, self._starts, strict=False):
            lengths[start : start + len(chunk)] = pc.binary_length(chunk).to_numpy()
        forget_pages(self._ranges)
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


def mapped_ranges(rows: Dataset, chunks: list[pa.Array]) -> list[tuple[int, int]]:
    """Find where the memory-mapped files that hold parts of a column lie in this process's memory.

    Args:
        rows: A data set.
        chunks: Chunks of one of its columns.

    Returns:
        Address and length of each, in bytes, for as long as the chunks live; nothing of what lies in memory, and
        nothing on systems other than Linux.
    """
    files = {str(Path(file["filename"]).resolve()) for file in rows.cache_files}
    if not files or not sys.platform.startswith("linux"):
        return []
    held = [buffer.address for chunk in chunks for buffer in chunk.buffers() if buffer]
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, *_, name = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in addresses.split("-"))
        # A file may be mapped more than once; others' mappings may go, and other things take their place.
        if name in files and any(start <= address < end for address in held):
            found.append((start, end - start))
    return found


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def forget_pages(ranges: list[tuple[int, int]]) -> None:
    """Take the pages of mapped files that were read out of the process's memory; a later read brings them back.

    The kernel maps at least 16 pages for each that is read, so that a thousand rows scattered over a file make most of
    it resident.

    Args:
        ranges: Those of `mapped_ranges`, whose chunks live; of other memory the contents would be lost.
    """
    for address, length in ranges:
        _library().madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def in_memory(rows: Dataset) -> Dataset:
    """Copy rows of strings into memory, where to read them again and again brings in no pages of a file."""
    table = pa.table({name: list(TextColumn(rows, name)) for name in rows.column_names})
    return Dataset(table, split=rows.split, fingerprint=generate_random_fingerprint())


def select_rows(rows: Dataset, wanted: npt.NDArray[np.bool_]) -> Dataset:
    """Select rows as `Dataset.select` does, which needs 70 bytes a row for it instead of 4.

    Args:
        rows: N rows, which may have been selected from others before.
        wanted: Which of them are wanted, shape (N,).
    """
    among = row_numbers(rows)
    numbers = np.arange(len(wanted), dtype=np.uint32 if len(wanted) < 2**32 else np.uint64) if among is None else among
    indices = InMemoryTable(pa.table({"indices": numbers[wanted]}))
    # Without a fingerprint one would be made of all the numbers; results of selections are not cached.
    fingerprint = generate_random_fingerprint()
    return Dataset(rows.data, rows.info, rows.split, indices_table=indices, fingerprint=fingerprint)


def row_numbers(rows: Dataset) -> npt.NDArray[np.unsignedinteger[Any]] | None:
    """Return where the rows of a selection stand in its table; None where the table holds these rows and no others."""
    indices = rows._indices  # there is no public way to them
    return None if indices is None else indices.column(0).to_numpy()


def categories(rows: Dataset, name: str) -> pa.DictionaryArray:
    """Read a string column as numbers and the strings that they stand for, each string once.

    Returns:
        One int32 for each row; the dictionary may hold strings that no row of a selection has.
    """
    codes = np.empty(len(rows.data), dtype=np.int32)
    strings: dict[str, int] = {}
    start = 0
    chunks = rows.data.column(name).chunks
    for chunk in chunks:
        encoded = chunk.dictionary_encode()
        found = [strings.setdefault(string, len(strings)) for string in encoded.dictionary.to_pylist()]
        codes[start : start + len(chunk)] = np.array(found, dtype=np.int32)[encoded.indices.to_numpy()]
        start += len(chunk)
    forget_pages(mapped_ranges(rows, chunks))
    numbers = row_numbers(rows)
    return pa.DictionaryArray.from_arrays(codes if numbers is None else codes[numbers], pa.array(strings, pa.string()))


def ranks(rows: Dataset, name: str) -> npt.NDArray[np.int32]:
    """Number the strings of a column in alphabetical order, which does not depend on the order of the rows; (N,)."""
    found = categories(rows, name)
    rank = pc.rank(found.dictionary, sort_keys="ascending").to_numpy().astype(np.int32)
    return np.asarray(rank[found.indices.to_numpy()])
