"""Read new rows from a source of any size in windows of rows."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import TextIOWrapper
from itertools import islice

import pyarrow as pa

from textmix.data.columns import stored_tables
from textmix.data.readers.text import split_lines
from textmix.data.reading import AUTO, Reading
from textmix.data.sources import is_plain_text, load_source, source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, pick
from textmix.data.standardize import Columns, check_columns
from textmix.errors import DataError

# Enough rows to fill batches with rows of similar length, few enough to fit into memory easily.
WINDOW = 8192


@dataclass(frozen=True)
class Source:
    """New rows to predict.

    Args:
        windows: The rows with all their columns, at most `WINDOW` rows at a time.
        size: Number of rows; None if it is unknown.
    """

    windows: Iterable[pa.Table]
    size: int | None = None


def open_source(
    source: str,
    columns: list[str],
    reading: Reading | None = None,
    of_tokens: bool = False,
    splits: tuple[str, ...] = (TEST, VALIDATION, TRAIN),
) -> Source:
    """Open new rows.

    Args:
        source: A source as `load_source` takes it, or `-` for standard input with one text per line, the columns of a
            pair separated by a tab.
        columns: The text columns.
        reading: How files are read; None means the defaults. A file of one text a line has these columns.
        of_tokens: Texts may be lists of tokens.
        splits: The first of these that the source has is read; files have only `train`.

    Raises:
        DataError: If the source cannot be read or lacks a column.
    """
    reading = (reading or Reading()).with_nested(columns)
    if source == "-":
        return Source(_read_lines(columns, reading.encoding))
    if reading.columns is None and is_plain_text(source, reading):
        reading = replace(reading, columns=tuple(columns))
    dataset = pick(load_source(source, reading), *splits)
    check_columns(dataset, Columns(columns, None, of_tokens=of_tokens), source_name(source))
    return Source(stored_tables(dataset, WINDOW), dataset.num_rows)


def _read_lines(columns: list[str], encoding: str) -> Iterator[pa.Table]:
    encoding = "utf-8" if encoding == AUTO else encoding
    if isinstance(sys.stdin, TextIOWrapper):  # in the C locale Python hides bytes that are not UTF-8
        sys.stdin.reconfigure(encoding=encoding, errors="strict")
    lines = (line.rstrip("\r\n") for line in sys.stdin)
    empty = True
    while window := _next_lines(lines, encoding):
        empty = False
        yield split_lines(window, columns)
    if empty:
        raise DataError("standard input has no lines")


def _next_lines(lines: Iterator[str], encoding: str) -> list[str]:
    try:
        return list(islice(lines, WINDOW))
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8" else encoding
        message = f"standard input is not {name} (byte {error.start}: {error.reason}); name it with --data.encoding"
        raise DataError(message) from error
