"""Read csv and tsv files; all cells are strings."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import TextIOWrapper
from typing import Any

import pandas as pd
import pyarrow as pa
from datasets import Dataset

from textmix.data.columns import stored
from textmix.data.readers.common import STORED_AT_ONCE, check_width, file_stamp
from textmix.data.readers.delimiter import find_delimiter
from textmix.data.readers.encoding import opened_as_utf8
from textmix.data.readers.header import HEAD, first_cell_of_data, is_header, no_header
from textmix.data.reading import Reading
from textmix.errors import DataError

# Only an empty field is missing: "NA", "null" and "None" occur as words and as class names.
_OPTIONS: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "dtype": str, "encoding": "utf-8-sig"}
_HEAD = 1 << 16


@dataclass(frozen=True)
class _Table:
    """A file, and how its rows are read.

    Args:
        file: Name of the file.
        encoding: As in `Reading`.
        delimiter: The character between two cells.
        names: Names of the columns, in order.
        header: Whether the first line names them.
        unnamed: Those of the columns that have no name in the header.
    """

    file: str
    encoding: str
    delimiter: str
    names: list[str]
    header: bool
    unnamed: list[str]

    def frames(self, **options: Any) -> Iterator[pd.DataFrame]:
        """Read the rows, some at a time."""
        how: dict[str, Any] = {"header": 0} if self.header else {"header": None, "names": self.names}
        how |= {"sep": self.delimiter, "chunksize": STORED_AT_ONCE, **_OPTIONS}
        with opened_as_utf8(self.file, self.encoding) as stream, pd.read_csv(stream, **how, **options) as frames:
            yield from frames


def load_csv(files: list[str], reading: Reading) -> Dataset:
    """Load files into one data set on disk. Columns without a name and without values are left out.

    Args:
        files: Names of the files.
        reading: How they are read. Without a delimiter, it is found.

    Raises:
        DataError: If the files have different columns, too many of them, or a broken header.
        UnicodeDecodeError: If a file is in another encoding.
    """
    tables = [_table(file, reading) for file in files]
    for table in tables:
        if table.names != tables[0].names:
            _check_header(table)
            raise DataError(
                f"{table.file} has the columns {', '.join(table.names)}; {files[0]} has {', '.join(tables[0].names)}"
            )
    empty = set.intersection(*map(_empty_columns, tables))
    schema = pa.schema([(name, pa.string()) for name in tables[0].names if name not in empty])
    return stored(_arrow_tables(tables, schema), file_stamp(files), files, repr(reading), reuse=True)


def delimiter_of(file: str, reading: Reading) -> str:
    """Return the delimiter of a file: the one given, or the one that its first rows show."""
    return reading.delimiter or find_delimiter(_head(file, reading.encoding), len(reading.columns or ()))


def _arrow_tables(tables: list[_Table], schema: pa.Schema) -> Iterator[pa.Table]:
    yield schema.empty_table()
    for table in tables:
        for frame in table.frames():
            yield pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)


def _table(file: str, reading: Reading) -> _Table:
    delimiter = delimiter_of(file, reading)
    first: list[str] = []
    with suppress(csv.Error):
        first = next(csv.reader(_head(file, reading.encoding).splitlines(keepends=True), delimiter=delimiter), [])
    check_width(file, len(first))
    if reading.columns is not None and not is_header(first, reading.columns):
        if len(first) != len(reading.columns):
            raise DataError(
                f"{file} has {len(first)} columns, not the {len(reading.columns)} of data.columns"
                f" ({', '.join(reading.columns)}); name its own with --data.columns"
            )
        return _Table(file, reading.encoding, delimiter, [*reading.columns], header=False, unnamed=[])
    table = _Table(file, reading.encoding, delimiter, [], header=True, unnamed=[])
    try:
        head = next(table.frames(nrows=1), pd.DataFrame(columns=first))
    except pd.errors.EmptyDataError:
        raise DataError(f"{file} is empty") from None
    if not isinstance(head.index, pd.RangeIndex):  # pandas takes surplus fields of the first row as an index
        raise DataError(f"{file}: broken line 2: it has more fields than the {len(head.columns)} of the header")
    names = [str(name) for name in head.columns]
    unnamed = [name for name, cell in zip(names, first, strict=False) if not cell]
    return replace(table, names=names, unnamed=unnamed)


def _head(file: str, encoding: str) -> str:
    with opened_as_utf8(file, encoding) as stream, TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        return text.read(_HEAD) + text.readline()  # no line is cut


def _empty_columns(table: _Table) -> set[str]:
    """Return the columns that have neither a name nor a value."""
    empty = set(table.unnamed)
    for frame in table.frames() if empty else ():
        empty = {name for name in empty if frame[name].isna().all()}
        if not empty:
            break
    return empty


def _check_header(table: _Table) -> None:
    """Raise DataError if a file seems to have no header, before its first line is quoted as names of columns."""
    head = next(table.frames(nrows=HEAD))
    cell = first_cell_of_data({str(name): values.tolist() for name, values in head.items()})
    if cell is not None:
        raise DataError(f"{table.file}: {no_header(cell)}; add a first line that names the columns, or --data.columns")
