"""Write predictions batch by batch as csv, tsv, jsonl or parquet."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from textmix.errors import RunError
from textmix.io.files import replacing

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

# Called with each batch of rows.
Writer = Callable[[pa.Table], None]


def check_output(path: Path) -> None:
    """Check that predictions can be written to a path.

    Raises:
        RunError: If the format is unknown or the directory is missing.
    """
    if path.suffix.lower() not in FORMATS:
        raise RunError(f"cannot write '{path}': its name must end in {', '.join(FORMATS)}")
    if path.is_dir():
        raise RunError(f"cannot write '{path}': it is a directory")
    if not path.parent.is_dir():
        raise RunError(f"cannot write '{path}': there is no directory {path.parent}")


@contextmanager
def open_writer(path: Path) -> Iterator[Writer]:
    """Open a file for predictions; it replaces `path` when the `with` block ends without an exception.

    Args:
        path: The file to write.

    Raises:
        RunError: As in `check_output`.
    """
    check_output(path)
    suffix = path.suffix.lower()
    with replacing(path) as temporary:
        if suffix == ".parquet":
            with _parquet_writer(temporary) as writer:
                yield writer
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                yield (
                    _jsonl_writer(file) if suffix == ".jsonl" else _csv_writer(file, "," if suffix == ".csv" else "\t")
                )


def _frame(table: pa.Table) -> pd.DataFrame:
    for place, column in enumerate(table.columns):
        if pa.types.is_nested(column.type):  # pandas would write an abbreviated repr
            cells = [None if cell is None else _as_json(cell) for cell in column.to_pylist()]
            table = table.set_column(place, table.column_names[place], pa.array(cells, pa.string()))
    # Arrow types keep integers in a column with missing values.
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _has_carriage_return(table: pa.Table) -> bool:
    texts = (
        column for column in table.columns if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )
    return any(pc.any(pc.match_substring(column, "\r")).as_py() for column in texts)


def _csv_writer(file: Any, separator: str) -> Writer:
    first = True

    def write(table: pa.Table) -> None:
        nonlocal first
        _frame(table).to_csv(
            file,
            sep=separator,
            index=False,
            header=first,
            # A lone carriage return would end the line, but to_csv does not quote a text for it.
            quoting=csv.QUOTE_NONNUMERIC if _has_carriage_return(table) else csv.QUOTE_MINIMAL,
        )
        first = False

    return write


def _as_json(value: Any) -> str:
    return json.dumps(json_value(value), ensure_ascii=False)


def json_value(value: Any) -> Any:
    """Convert a value to JSON types, which have no NaN, infinity, times or bytes."""
    if isinstance(value, dict):
        return {name: json_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _jsonl_writer(file: Any) -> Writer:
    def write(table: pa.Table) -> None:
        for row in table.to_pylist():
            file.write(_as_json(row) + "\n")

    return write


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Writer]:
    opened: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal opened
        if opened is None:
            opened = pq.ParquetWriter(path, table.schema)
        opened.write_table(table)

    try:
        yield write
    finally:
        if opened is not None:
            opened.close()
