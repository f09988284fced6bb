"""Read new rows from a source of any size in windows of rows."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice

import pyarrow as pa

from textmix.data.columns import stored_tables
from textmix.data.sources import load_source, source_name
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


def open_source(source: str, columns: list[str]) -> Source:
    """Open new rows.

    Args:
        source: A source as `load_source` takes it, or `-` for standard input with one text per line, the columns of a
            pair separated by a tab.
        columns: The text columns.

    Raises:
        DataError: If the source cannot be read or lacks a column.
    """
    if source == "-":
        return Source(_read_lines(columns))
    dataset = pick(load_source(source), TEST, VALIDATION, TRAIN)
    check_columns(dataset, Columns(columns, None), source_name(source))
    return Source(stored_tables(dataset, WINDOW), dataset.num_rows)


def _read_lines(columns: list[str]) -> Iterator[pa.Table]:
    if isinstance(sys.stdin, TextIOWrapper):  # in the C locale Python hides bytes that are not UTF-8
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    lines = (line.rstrip("\r\n") for line in sys.stdin)
    empty = True
    while window := _next_lines(lines):
        empty = False
        # A tab separates the columns of a pair, but is part of a single text.
        rows = [line.split("\t", len(columns) - 1) for line in window]
        rows = [fields + [""] * (len(columns) - len(fields)) for fields in rows]
        yield pa.table({name: [fields[number] for fields in rows] for number, name in enumerate(columns)})
    if empty:
        raise DataError("standard input has no lines")


def _next_lines(lines: Iterator[str]) -> list[str]:
    try:
        return list(islice(lines, WINDOW))
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 (byte {error.start}: {error.reason})") from error
