"""Where predictions go: csv, tsv, jsonl or parquet, written batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from textmix.errors import RunError
from textmix.files import replacing

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


class Writer(Protocol):
    """Takes batches of rows, one list of values for each column."""

    def __call__(self, columns: dict[str, list[Any]]) -> None:
        """Write one batch."""


def check_output(path: Path) -> None:
    """Fail early when predictions cannot be written there.

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
def open_writer(path: Path, schema: pa.Schema | None = None) -> Iterator[Writer]:
    """Open a file of predictions; it appears under its name when the block ends without an exception.

    Args:
        path: The file to write.
        schema: Types of the columns that come from the source, where they are known.

    Raises:
        RunError: As in `check_output`.
    """
    check_output(path)
    suffix = path.suffix.lower()
    with replacing(path) as temporary:
        if suffix == ".parquet":
            with _parquet_writer(temporary, schema) as writer:
                yield writer
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                separator = "," if suffix == ".csv" else "\t"
                yield _jsonl_writer(file, schema) if suffix == ".jsonl" else _csv_writer(file, separator, schema)


def _frame(columns: dict[str, list[Any]], schema: pa.Schema | None) -> pd.DataFrame:
    # By way of Arrow, whose integers stay integers beside missing values.
    frame: pd.DataFrame = _table(columns, schema).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _table(columns: dict[str, list[Any]], schema: pa.Schema | None) -> pa.Table:
    # A column may be empty in one batch and not in the next: the source knows its type, the batch does not.
    types = {field.name: field.type for field in schema or ()}
    return pa.table({name: pa.array(values, type=types.get(name)) for name, values in columns.items()})


def _csv_writer(file: Any, separator: str, schema: pa.Schema | None) -> Writer:
    first = True

    def write(columns: dict[str, list[Any]]) -> None:
        nonlocal first
        _frame(columns, schema).to_csv(file, sep=separator, index=False, header=first)
        first = False

    return write


def _jsonl_writer(file: Any, schema: pa.Schema | None) -> Writer:
    def write(columns: dict[str, list[Any]]) -> None:
        frame = _frame(columns, schema)
        file.write(frame.to_json(orient="records", lines=True, force_ascii=False, date_format="iso"))

    return write


@contextmanager
def _parquet_writer(path: Path, schema: pa.Schema | None) -> Iterator[Writer]:
    opened: pq.ParquetWriter | None = None

    def write(columns: dict[str, list[Any]]) -> None:
        nonlocal opened
        table = _table(columns, schema)
        if opened is None:
            opened = pq.ParquetWriter(path, table.schema)
        opened.write_table(table)

    try:
        yield write
    finally:
        if opened is not None:
            opened.close()
