"""Predict over sources of any size, a chunk of rows at a time."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from textmix.data.rows import PAIR, TEXT, Columns, as_string, check_columns, join_texts
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, pick
from textmix.errors import DataError
from textmix.evaluation.report import prediction_columns
from textmix.prediction import Predictor

_CHUNK = 1024


@dataclass(frozen=True)
class Source:
    """New rows to predict.

    Args:
        chunks: The rows, a chunk at a time, with all their columns.
        size: Number of rows; None if it is not known.
        schema: Types of the columns; None if they are not known.
    """

    chunks: Iterable[dict[str, list[Any]]]
    size: int | None = None
    schema: pa.Schema | None = None


def open_source(source: str, columns: list[str]) -> Source:
    """Open new rows, to be read a chunk at a time.

    Args:
        source: A source as `load_source` takes it, or `-` for standard input: one text a line, the columns of a pair
            separated by a tab.
        columns: The text columns.

    Raises:
        DataError: If the source cannot be read or lacks a column.
    """
    if source == "-":
        return Source(_read_lines(columns))
    dataset = pick(load_source(source), TEST, VALIDATION, TRAIN)
    check_columns(dataset, Columns(columns, None), source_name(source))
    chunks = (dataset[start : start + _CHUNK] for start in range(0, dataset.num_rows, _CHUNK))
    return Source(chunks, dataset.num_rows, dataset.features.arrow_schema)


def _read_lines(columns: list[str]) -> Iterable[dict[str, list[Any]]]:
    lines = (line.rstrip("\r\n") for line in sys.stdin)
    empty = True
    while chunk := _next_lines(lines):
        empty = False
        # The columns of a pair are separated by tabs; of a single text a tab is part.
        rows = [line.split("\t", len(columns) - 1) for line in chunk]
        rows = [fields + [""] * (len(columns) - len(fields)) for fields in rows]
        yield {name: [fields[number] for fields in rows] for number, name in enumerate(columns)}
    if empty:
        raise DataError("standard input has no lines")


def _next_lines(lines: Iterator[str]) -> list[str]:
    try:
        return list(islice(lines, _CHUNK))
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 (byte {error.start}: {error.reason})") from error


def predict_chunk(predictor: Predictor, chunk: dict[str, list[Any]], columns: list[str]) -> dict[str, list[Any]]:
    """Add the columns of `prediction_columns` to a chunk.

    Raises:
        DataError: If the source has a column of such a name.
    """
    rows = join_texts([[as_string(value) for value in chunk[name]] for name in columns])
    probabilities = predictor(rows[TEXT], rows.get(PAIR))
    predicted = prediction_columns(probabilities, predictor.class_names)
    taken = predicted.keys() & chunk.keys()
    if taken:
        raise DataError(f"the source has a column '{min(taken)}' already; rename it or leave it out")
    return {**chunk, **predicted}
