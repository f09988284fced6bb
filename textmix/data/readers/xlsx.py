"""Read spreadsheets in xlsx files; all cells are strings. A sheet has at most a million rows, which fit into memory."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
from datasets import Dataset

from textmix.data.cells import as_string
from textmix.data.columns import stored
from textmix.data.readers.common import check_width, file_stamp, opened
from textmix.data.readers.header import is_header
from textmix.data.reading import Reading
from textmix.errors import DataError, listed, nearest

# A cell without a value is None; rows have all their columns.
Row = tuple[str | None, ...]


def load_xlsx(files: list[str], reading: Reading) -> Dataset:
    """Load files into one data set on disk.

    Empty rows are left out, and columns without a name and without values. Numbers and dates are spelt as `as_string`
    spells them.

    Args:
        files: Names of the files. If one has rows in several sheets, `reading.field` names the sheet.
        reading: How they are read.

    Raises:
        DataError: If openpyxl is not installed, a file has several sheets, or files have different columns.
    """
    tables = [_table(file, reading) for file in files]
    for file, table in zip(files, tables, strict=True):
        if table.schema != tables[0].schema:
            have = f"{file} has the columns {', '.join(table.column_names)}"
            raise DataError(f"{have}; {files[0]} has {', '.join(tables[0].column_names)}")
    return stored(iter(tables), file_stamp(files), files, repr(reading), reuse=True)


def _table(file: str, reading: Reading) -> pa.Table:
    rows = _rows(file, reading.field)
    if not rows:
        raise DataError(f"{file}: no rows")
    check_width(file, len(rows[0]))
    if reading.columns is None or is_header([cell or "" for cell in rows[0]], reading.columns):
        names = _names(file, rows)
        rows = rows[1:]
    elif len(rows[0]) == len(reading.columns):
        names = dict(enumerate(reading.columns))
    else:
        wanted = f"the {len(reading.columns)} of data.columns ({', '.join(reading.columns)})"
        raise DataError(f"{file} has {len(rows[0])} columns, not {wanted}; name its own with --data.columns")
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in names]
    return pa.table(columns, names=[*names.values()])


def _names(file: str, rows: list[Row]) -> dict[int, str]:
    """Return the places and names of the columns that have a name or a value."""
    used = {place for row in rows for place, cell in enumerate(row) if cell is not None}
    names = {place: rows[0][place] or f"Unnamed: {place}" for place in sorted(used)}
    name, count = Counter(names.values()).most_common(1)[0]
    if count > 1:
        raise DataError(f"{file} has {count} columns '{name}'; rename all but one")
    return names


def _rows(file: str, field: str | None) -> list[Row]:
    """Read the rows of a sheet, all of the width of the last cell with a value."""
    with opened(file) as stream:
        book = _openpyxl().load_workbook(stream, read_only=True, data_only=True)
        if field is not None and field not in book.sheetnames:
            known = f"it has {listed(book.sheetnames)}{nearest(field, book.sheetnames)}"
            raise DataError(f"{file}: no sheet '{field}' (data.field); {known}")
        sheets = {sheet.title: list(_cells(sheet)) for sheet in book.worksheets if field in (None, sheet.title)}
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) > 1:
        raise DataError(f"{file} has several sheets: {listed(filled)}; name one with --data.field")
    rows = next(iter(filled.values()), [])
    width = max((place + 1 for row in rows for place, cell in enumerate(row) if cell is not None), default=0)
    return [(*row[:width], *[None] * (width - len(row))) for row in rows]


def _cells(sheet: Any) -> Iterator[Row]:
    """Yield the rows that are not empty."""
    for values in sheet.iter_rows(values_only=True):
        row = tuple(_spelt(value) or None for value in values)
        if any(row):
            yield row


def _spelt(value: Any) -> str:
    if isinstance(value, datetime) and value.time() == time():  # a date without a time of day
        value = value.date()
    return as_string(value) if value is None or isinstance(value, str | int | float | date) else str(value)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        needed = "xlsx files need the package openpyxl; install it with: pip install 'textmix[excel]'"
        raise DataError(needed) from error
    return openpyxl
