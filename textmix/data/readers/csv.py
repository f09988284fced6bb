"""Read csv and tsv files; all cells are strings."""

import csv
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

import pandas as pd
from datasets import Dataset, Features, Value

from textmix.data.readers.common import STORED_AT_ONCE, check_width, escaped, explain, file_stamp, opened
from textmix.data.readers.header import HEAD, first_cell_of_data, no_header
from textmix.errors import DataError

# Only an empty field is missing: "NA", "null" and "None" occur as words and as class names.
_OPTIONS: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "encoding": "utf-8-sig"}


def load_csv(files: list[str], separator: str) -> Dataset:
    """Load files into one data set on disk.

    Args:
        files: Names of the files.
        separator: The character between two cells.

    Raises:
        DataError: If the files have different columns, too many of them, or a broken header.
    """
    columns = [_columns(file, separator) for file in files]
    for file, names in zip(files, columns, strict=True):
        if names != columns[0]:
            _check_header(file, separator)
            raise DataError(f"{file} has the columns {', '.join(names)}; {files[0]} has {', '.join(columns[0])}")
    # Not by load_dataset, which counts the load at a host of Hugging Face.
    return Dataset.from_csv(
        escaped(files),
        config_name=file_stamp(files),
        writer_batch_size=STORED_AT_ONCE,
        sep=separator,
        features=Features({name: Value("string") for name in columns[0]}),
        **_OPTIONS,
    )


def _check_header(file: str, separator: str) -> None:
    """Raise DataError if a file seems to have no header, before its first line is quoted as names of columns."""
    head = pd.read_csv(file, nrows=HEAD, dtype=str, sep=separator, **_OPTIONS)
    cell = first_cell_of_data({str(name): values.tolist() for name, values in head.items()})
    if cell is not None:
        raise DataError(f"{file}: {no_header(cell)}; add a first line that names the columns")


def _columns(file: str, separator: str) -> list[str]:
    try:
        with TextIOWrapper(opened(file), encoding="utf-8", newline="") as stream, suppress(csv.Error):
            check_width(file, len(next(csv.reader(stream, delimiter=separator), [])))
        head = pd.read_csv(file, nrows=1, dtype=str, sep=separator, **_OPTIONS)
    except pd.errors.EmptyDataError:
        raise DataError(f"{file} is empty") from None
    except DataError:
        raise
    except Exception as error:  # pandas raises many kinds on broken bytes
        raise DataError(explain([file], error)) from error
    if not isinstance(head.index, pd.RangeIndex):  # pandas takes surplus fields of the first row as an index
        raise DataError(f"{file}: broken line 2: it has more fields than the {len(head.columns)} of the header")
    return [str(name) for name in head.columns]
