"""Read JSON, an object a line or an array of objects, so that values keep their types.

The reader of datasets makes timestamps of texts that look like one, puts quotes around the texts of a column that also
holds numbers, and names no line.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeAlias

import pyarrow as pa
from datasets import ArrowBasedBuilder, BuilderConfig, Dataset, DatasetInfo, Features, Split, SplitGenerator
from datasets.builder import Key

from textmix.data.readers.common import STORED_AT_ONCE, check_width, opened
from textmix.data.standardize import as_string
from textmix.errors import DataError

Row: TypeAlias = dict[str, Any]

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD]")
# Beyond these, a float64 does not hold all integers, and an int64 none.
_EXACT, _LONG = 1 << 53, 1 << 63
# Objects with more parts, all in all, are mappings with names of their own, which other rows need not have; each row
# would get all of them. Arrow and datasets recurse into what is nested.
_MOST_PARTS, _DEEPEST = 100, 20


def load_json(files: list[str], patterns: list[str], stamp: str) -> Dataset:
    """Load files into one data set, on the disk, as `datasets.load_dataset` does.

    A column is of integers, floats, booleans, lists or objects if all its values are; the same holds for what is in
    lists and objects. Where values of several kinds meet, all become strings: numbers and booleans as `as_string`
    spells them, lists and objects as JSON. NaN, which JSON does not have but Python writes, is a missing value.

    Args:
        files: Their names, for errors.
        patterns: The same as patterns of files, with all that is special escaped.
        stamp: As in `file_stamp`.

    Raises:
        DataError: If there are no rows or too many columns, or a line is broken, no UTF-8, or no object.
    """
    schema = _schema(files)
    if not schema.names:
        raise DataError(f"{', '.join(files)}: no rows")
    builder = _Json(
        config_name=stamp,
        data_files=patterns,
        features=Features.from_arrow_schema(schema),
        writer_batch_size=STORED_AT_ONCE,
    )
    builder.download_and_prepare()
    return builder.as_dataset(split=Split.TRAIN)


@dataclass
class _JsonConfig(BuilderConfig):  # type: ignore[misc]  # untyped
    """What the copy on the disk is named after, beside the files."""

    features: Features | None = None


class _Json(ArrowBasedBuilder):  # type: ignore[misc]  # untyped
    BUILDER_CONFIG_CLASS = _JsonConfig

    def _info(self) -> DatasetInfo:
        return DatasetInfo(features=self.config.features)

    def _split_generators(self, _: Any) -> list[SplitGenerator]:
        return [SplitGenerator(Split.TRAIN, {"files": list(self.config.data_files[Split.TRAIN])})]

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[Key, pa.Table]]:
        schema = self.info.features.arrow_schema
        for number, file in enumerate(files):
            for place, rows in enumerate(_blocks(_rows(file))):
                yield Key(number, place), _table(rows, schema)


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(islice(rows, STORED_AT_ONCE)):
        yield block


def _table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    columns = [
        pa.array([_fitted(row.get(name), kind) for row in rows], kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _fitted(value: Any, kind: pa.DataType) -> Any:
    """Make strings of what is to be a string, and leave the rest as it is."""
    if value is None or isinstance(value, str):
        return value
    if value != value:  # only NaN differs from itself
        return None
    if pa.types.is_string(kind):
        return _spelt(value) if isinstance(value, list | dict) else as_string(value)
    if pa.types.is_list(kind):
        return [_fitted(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {part.name: _fitted(value.get(part.name), part.type) for part in kind}
    return value


def _spelt(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass
class _Column:
    """What is known of the values of a column, or of an item or a part of them."""

    kinds: set[str] = field(default_factory=set)
    items: "_Column | None" = None
    parts: "dict[str, _Column]" = field(default_factory=dict)

    def note(self, value: Any, depth: int = 0) -> int:
        """Take notice of a value; returns how many parts it has that were not known."""
        if value is None or value != value or "any" in self.kinds:
            return 0
        kind = type(value)
        if kind is int:
            self.kinds.add("int" if -_EXACT <= value <= _EXACT else "long" if -_LONG <= value < _LONG else "longer")
            return 0
        self.kinds.add("any" if depth > _DEEPEST else kind.__name__)
        new = 0
        if kind is list and depth <= _DEEPEST:
            self.items = self.items or _Column()
            new = sum(self.items.note(item, depth + 1) for item in value)
        elif kind is dict and depth <= _DEEPEST:
            for name, part in value.items():
                if name not in self.parts:
                    self.parts[name] = _Column()
                    new += 1
                new += self.parts[name].note(part, depth + 1)
        return new

    def forget(self) -> None:
        """Take all values for strings from now on."""
        self.kinds.add("any")
        self.parts.clear()
        self.items = None

    @property
    def type(self) -> pa.DataType:
        for kinds, arrow in (
            (set(), pa.null()),
            ({"bool"}, pa.bool_()),
            ({"int", "long"}, pa.int64()),
            ({"int", "float"}, pa.float64()),
        ):
            if self.kinds <= kinds:
                return arrow
        if self.kinds == {"list"} and self.items is not None:
            return pa.list_(self.items.type)
        if self.kinds == {"dict"} and self.parts:
            return pa.struct({name: part.type for name, part in self.parts.items()})
        return pa.string()


def _schema(files: list[str]) -> pa.Schema:
    columns: dict[str, _Column] = {}
    parts: Counter[str] = Counter()
    for file in files:
        for row in _rows(file):
            for name, value in row.items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = _Column()
                new = column.note(value)
                if new:
                    parts[name] += new
                    if parts[name] > _MOST_PARTS:
                        column.forget()
            check_width(file, len(columns))
    return pa.schema({name: column.type for name, column in columns.items()})


def _rows(file: str) -> Iterator[Row]:
    with opened(file) as stream:
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
    """Parse lines of a file, of which the first has that number."""
    where = f"{file}: broken line {first}" if data.count(b"\n") < 2 else file  # not all errors say in which line
    try:
        text = data.rstrip().decode()
        value = json.loads(text)
        if _SURROGATE.search(text):
            _spelt(value).encode()
    except UnicodeDecodeError as error:
        number = first + data.count(b"\n", 0, error.start)
        raise DataError(f"{file}: line {number} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except UnicodeEncodeError as error:
        character = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{where}: {character} is half of a character") from error
    except json.JSONDecodeError as error:
        line = f"{file}: broken line {first + error.lineno - 1}"
        raise DataError(f"{line}: {error.msg}; each line must hold one object, or the file one array") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise DataError(f"{where}: {error}") from error
    return value


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a JSON object is needed, not {type(value).__name__}")
    return value
