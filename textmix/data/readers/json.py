"""Read JSON, one object a line or an array of objects, with typed scalars; lists and objects become JSON text.

Rows may also lie in a field of a document, and fields inside of their objects may become columns.

The reader of datasets is not used: it turns texts that look like dates into timestamps, quotes the texts of a column
that also holds numbers, and names no line in its errors.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TypeAlias

import pyarrow as pa
from datasets import Dataset

from textmix.data.cells import NESTED, as_string
from textmix.data.columns import stored
from textmix.data.readers.common import STORED_AT_ONCE, check_width, file_stamp
from textmix.data.readers.encoding import opened_as_utf8
from textmix.data.reading import Reading
from textmix.errors import DataError, listed

Row: TypeAlias = dict[str, Any]

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD]")
# A float64 holds all integers up to the first limit, an int64 those below the second.
_EXACT, _LONG = 1 << 53, 1 << 63
# Kinds of values to the type of a column that holds no others; further columns are of strings.
_TYPES: dict[tuple[str, ...], pa.DataType] = {
    (): pa.null(),
    ("bool",): pa.bool_(),
    ("int", "long"): pa.int64(),
    ("int", "float"): pa.float64(),
}


def load_json(files: list[str], reading: Reading) -> Dataset:
    """Load files into one data set on disk.

    A column has integers, floats or booleans if all its values are of that kind, or integers and floats that no float
    changes. Any other column has strings: numbers and booleans as `as_string` spells them, lists and objects as JSON.
    A column of nothing but lists and objects is marked with `NESTED`. NaN, which JSON lacks but Python writes, is a
    missing value.

    Args:
        files: Names of the files.
        reading: How they are read.

    Raises:
        DataError: If there are no rows or too many columns, or if a line is broken or not an object.
        UnicodeDecodeError: If a file is in another encoding.
    """
    schema = _schema(files, reading)
    if not schema.names:
        raise DataError(f"{', '.join(files)}: no rows")
    tables = _tables(files, reading, schema)
    return stored(tables, file_stamp(files), files, repr(reading), str(schema), reuse=True)


def _tables(files: list[str], reading: Reading, schema: pa.Schema) -> Iterator[pa.Table]:
    rows = chain.from_iterable(_rows(file, reading) for file in files)
    while block := list(islice(rows, STORED_AT_ONCE)):
        cells = ((field.type, [_cell(row.get(field.name), field.type) for row in block]) for field in schema)
        yield pa.table([pa.array(values, kind) for kind, values in cells], schema=schema)


def _schema(files: list[str], reading: Reading) -> pa.Schema:
    kinds: dict[str, set[str]] = {}
    for file in files:
        for row in _rows(file, reading):
            for name, value in row.items():
                kinds.setdefault(name, set()).add(_kind(value))
        check_width(file, len(kinds))
    return pa.schema([_field(name, found - {"NoneType"}) for name, found in kinds.items()])


def _kind(value: Any) -> str:
    if type(value) is int:
        return "int" if -_EXACT <= value <= _EXACT else "long" if -_LONG <= value < _LONG else "longer"
    return type(value).__name__


def _field(name: str, kinds: set[str]) -> pa.Field:
    arrow = next((arrow for allowed, arrow in _TYPES.items() if kinds <= {*allowed}), pa.string())
    return pa.field(name, arrow, metadata={NESTED: "JSON"} if kinds and kinds <= {"list", "dict"} else None)


def _cell(value: Any, kind: pa.DataType) -> Any:
    if value is None or isinstance(value, str) or not pa.types.is_string(kind):
        return value
    return _spelt(value) if isinstance(value, list | dict) else as_string(value)


def _spelt(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rows(file: str, reading: Reading) -> Iterator[Row]:
    rows = _objects(file, reading.encoding) if reading.field is None else _rows_of_field(file, reading)
    for row in rows:
        for name in reading.nested:
            if name not in row and (found := _inside(row, name)) is not None:
                row[name] = found
        yield row


def _inside(value: Any, name: str) -> Any:
    """Return a field inside of objects by its dotted name; None if there is none."""
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows_of_field(file: str, reading: Reading) -> Iterator[Row]:
    """Read the rows of a document that has them in a field.

    Raises:
        DataError: If there is no such field, or it is not a list.
    """
    assert reading.field is not None
    with opened_as_utf8(file, reading.encoding) as stream:
        value = _parsed(file, 1, stream.read().removeprefix(_BOM))
    named = isinstance(value, dict) and reading.field in value  # a name may have dots itself
    rows = value[reading.field] if named else _inside(value, reading.field)
    if not isinstance(rows, list):
        what = f"is a {type(rows).__name__}, not a list of rows" if rows is not None else "is missing"
        has = f"; the document has {listed(value)}" if isinstance(value, dict) else ""
        raise DataError(f"{file}: the field '{reading.field}' (data.field) {what}{has}")
    for number, row in enumerate(rows, start=1):
        yield _object(row, f"{file}: broken entry {number}")


def _objects(file: str, encoding: str) -> Iterator[Row]:
    with opened_as_utf8(file, encoding) as stream:
        head = stream.readline().removeprefix(_BOM)
        lines = ((number, line) for number, line in enumerate(chain([head], stream), start=1) if line.strip())
        first = next(lines, None)
        if first is not None and first[1].lstrip().startswith(b"["):
            for number, entry in enumerate(_parsed(file, first[0], first[1] + stream.read()), start=1):
                yield _object(entry, f"{file}: broken entry {number}")
        elif first is not None:
            for number, line in chain([first], lines):
                yield _object(_parsed(file, number, line), f"{file}: broken line {number}")


def _parsed(file: str, first: int, data: bytes) -> Any:
    """Parse lines of a file, given the number of the first."""
    where = f"{file}: broken line {first}" if data.count(b"\n") < 2 else file  # not all errors have a line
    try:
        text = data.rstrip().decode()
        value = json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
        if _SURROGATE.search(text):
            _spelt(value).encode()
    except UnicodeDecodeError:  # a ValueError
        raise
    except UnicodeEncodeError as error:
        character = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{where}: {character} is half of a character") from error
    except json.JSONDecodeError as error:
        line = f"{file}: broken line {first + error.lineno - 1}"
        allowed = "each line must hold one object, or the file one array, or --data.field name the list of rows"
        raise DataError(f"{line}: {error.msg}; {allowed}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise DataError(f"{where}: {error}") from error
    return value


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a JSON object is needed, not {type(value).__name__}")
    return value
