"""Read files of plain text: one text a line, or one text a file in a folder for each class."""

from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import pyarrow as pa
from datasets import Dataset

from textmix.data.columns import stored
from textmix.data.readers.common import STORED_AT_ONCE, file_stamp
from textmix.data.readers.encoding import opened_as_utf8
from textmix.data.reading import Reading
from textmix.errors import DataError

_TEXT, _LABEL = "text", "label"


def load_lines(files: list[str], reading: Reading) -> Dataset:
    """Load files of one text a line into one data set on disk.

    Args:
        files: Names of the files.
        reading: How they are read. Several `columns` are separated by tabs; the last one may contain tabs.

    Raises:
        UnicodeDecodeError: If a file is in another encoding.
    """
    names = [*(reading.columns or (_TEXT,))]
    blocks = (block for file in files for block in _blocks(file, reading.encoding))
    tables = (split_lines(block, names) for block in blocks)
    return stored(tables, file_stamp(files), files, repr(reading), reuse=True)


def split_lines(lines: list[str], names: list[str]) -> pa.Table:
    """Make columns of lines: tabs separate the columns, but are part of a single text or of the last column.

    Args:
        lines: N lines without their ends.
        names: Names of the columns.
    """
    rows = [line.split("\t", len(names) - 1) for line in lines]
    rows = [fields + [""] * (len(names) - len(fields)) for fields in rows]
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)}
    return pa.table(columns)


def load_class_folders(directory: Path, reading: Reading) -> Dataset:
    """Load a directory with a folder for each class and in it a file for each text, in the order of their names.

    Args:
        directory: The directory.
        reading: How the files are read; `columns` may name the columns of text and class.

    Returns:
        A data set on disk with the columns `text` and `label`, unless they have other names.

    Raises:
        DataError: If `columns` does not name two columns.
        UnicodeDecodeError: If a file is in another encoding.
    """
    names = reading.columns or (_TEXT, _LABEL)
    if len(names) != 2:
        raise DataError(
            f"{directory}: a folder for each class has two columns, text and class; data.columns names {len(names)}"
        )
    files = class_files(directory)
    schema = pa.schema([(name, pa.string()) for name in names])

    def tables() -> Iterator[pa.Table]:
        waiting = iter(files)
        while block := list(islice(waiting, STORED_AT_ONCE)):
            texts = [_whole(file, reading.encoding) for file in block]
            yield pa.table([texts, [Path(file).parent.name for file in block]], schema=schema)

    return stored(tables(), file_stamp(files), files, repr(reading), reuse=True)


def class_files(directory: Path) -> list[str]:
    """Return the text files in the folders of a directory, without hidden ones."""
    found = (path for path in directory.glob("*/*.txt") if path.is_file())
    return sorted(str(path) for path in found if not path.name.startswith(".") and path.parent.name[0] != ".")


def _whole(file: str, encoding: str) -> str:
    with opened_as_utf8(file, encoding) as stream:
        return stream.read().decode("utf-8-sig")


def _blocks(file: str, encoding: str) -> Iterator[list[str]]:
    with opened_as_utf8(file, encoding) as stream, TextIOWrapper(stream, encoding="utf-8-sig") as lines:
        while block := [line.rstrip("\n") for line in islice(lines, STORED_AT_ONCE)]:
            yield block
