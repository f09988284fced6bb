"""Where predictions go: csv, tsv, jsonl or parquet, written batch by batch."""

import json
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
    if not path.parent.is_dir():
        raise RunError(f"cannot write '{path}': there is no directory {path.parent}")


@contextmanager
def open_writer(path: Path) -> Iterator[Writer]:
    """Open a file of predictions; it appears under its name when the block ends without an exception.

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


def _csv_writer(file: Any, separator: str) -> Writer:
    first = True

    def write(columns: dict[str, list[Any]]) -> None:
        nonlocal first
        pd.DataFrame(columns).to_csv(file, sep=separator, index=False, header=first)
        first = False

    return write


def _jsonl_writer(file: Any) -> Writer:
    def write(columns: dict[str, list[Any]]) -> None:
        for values in zip(*columns.values(), strict=True):
            file.write(json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False) + "\n")

    return write


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Writer]:
    opened: pq.ParquetWriter | None = None

    def write(columns: dict[str, list[Any]]) -> None:
        nonlocal opened
        table = pa.table(columns)
        if opened is None:
            opened = pq.ParquetWriter(path, table.schema)
        opened.write_table(table.cast(opened.schema))

    try:
        yield write
    finally:
        if opened is not None:
            opened.close()
