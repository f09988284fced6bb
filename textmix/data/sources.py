"""Read a source (files, a directory, a hub id, a built-in name, or rows in memory), with errors that name the file."""

import glob
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
from datasets import Dataset, DatasetDict, disable_progress_bars, load_dataset, load_from_disk

from textmix.data.builtin import BUILTIN_DATASETS, load_builtin
from textmix.data.columns import stored, stored_tables
from textmix.data.readers.common import STORED_AT_ONCE, explain, is_decoding_error
from textmix.data.readers.conll import load_conll
from textmix.data.readers.csv import delimiter_of, load_csv
from textmix.data.readers.encoding import encoding_of, explain_encoding
from textmix.data.readers.json import load_json
from textmix.data.readers.names import ending, format_of
from textmix.data.readers.nested import with_nested
from textmix.data.readers.parquet import load_parquet
from textmix.data.readers.text import class_files, load_class_folders, load_lines
from textmix.data.readers.xlsx import load_xlsx
from textmix.data.reading import Format, Reading
from textmix.errors import DataError, did_you_mean, nearest
from textmix.io.inputs import matching_paths

READERS: dict[Format, Callable[[list[str], Reading], Dataset]] = {
    "csv": load_csv,
    "tsv": load_csv,
    "jsonl": load_json,
    "json": load_json,
    "parquet": load_parquet,
    "xlsx": load_xlsx,
    "conll": load_conll,
    "text": load_lines,
}
# Names of files and folders of parquet files that tell a split, as the hub has them: `test-00000-of-00001.parquet`.
_SPLITS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "dev": "validation"}

Source: TypeAlias = str | list[str]
Rows: TypeAlias = pd.DataFrame | pa.Table | Dataset | DatasetDict


def load_source(source: Source | Rows, reading: Reading | None = None) -> DatasetDict:
    """Read a source.

    Args:
        source: A file, a list of files, a glob, a directory (that `save_to_disk` of datasets has written, of parquet
            files, or with a folder of text files for each class), a hub id, or a built-in name. Also rows in memory:
            a table of pandas or Arrow, a `Dataset` or a `DatasetDict`.
        reading: How files are read; None means the defaults.

    Returns:
        The splits that the source has; files, built-in corpora and tables have only `train`, a saved `DatasetDict` may
        lack it. Columns of csv, tsv and xlsx files are strings, so that a class `01` stays `01`.

    Raises:
        DataError: If the source is missing, empty, unreadable, or has a broken line.
    """
    reading = reading or Reading()
    if not isinstance(source, str | list):
        return _with_nested(_in_memory(source), reading)
    if isinstance(source, str) and source in BUILTIN_DATASETS:
        return DatasetDict(train=load_builtin(BUILTIN_DATASETS[source]))
    if isinstance(source, str) and Path(source).is_dir():
        return _load_directory(source, reading)
    files = find_files(source)
    if files is not None:
        return DatasetDict(train=_load_files(files, reading))
    return _with_nested(_load_from_hub(str(source), reading.subset), reading)


def source_name(source: Source) -> str:
    """Return a short name of a source: the built-in name, the stem of the first file, or the last part of a hub id."""
    first = source if isinstance(source, str) else source[0]
    name = Path(first).name
    known = ending(first)
    stem = name[: -len(known)] if known else name
    return re.sub(r"[^\w.-]+", "_", stem).strip("_.") or "data"


def absolute(source: Source) -> Source:
    """Make the paths of a source absolute, so that they hold in any working directory; keep other names."""
    if isinstance(source, list):
        return [str(Path(pattern).absolute()) for pattern in source]
    if source in BUILTIN_DATASETS or not (Path(source).is_dir() or find_files(source)):
        return source
    return str(Path(source).absolute())


def is_plain_text(source: Source, reading: Reading) -> bool:
    """Test whether a source is files of one text a line."""
    files = [path for name in ([source] if isinstance(source, str) else source) for path in matching_paths(name)]
    return bool(files) and all(Path(file).is_file() for file in files) and format_of(files[0], reading.format) == "text"


def how_read(source: Source, reading: Reading) -> dict[str, str]:
    """Return `format`, `encoding` and `delimiter` with which files are read, where they have one, for people.

    Args:
        source: A source that `load_source` can read.
        reading: How it is read.
    """
    files = find_files(source) if isinstance(source, list) or not Path(source).is_dir() else None
    if not files or source in BUILTIN_DATASETS:
        return {}
    kind = format_of(files[0], reading.format)
    found: dict[str, str] = {"format": kind}
    if kind not in ("parquet", "xlsx"):
        found["encoding"] = encoding_of(files[0], reading.encoding)
    if kind in ("csv", "tsv"):
        found["delimiter"] = "\t" if kind == "tsv" and reading.delimiter is None else delimiter_of(files[0], reading)
    return found


def find_files(source: Source) -> list[str] | None:
    """Return the files of a source, or None if it can only be a hub id.

    Raises:
        DataError: If a file is missing, or a list has a directory.
    """
    found: list[str] = []
    for pattern in [source] if isinstance(source, str) else source:
        files = [match for match in matching_paths(pattern) if Path(match).is_file()]
        if not files:
            looks_like_file = ending(pattern) or glob.has_magic(pattern) or Path(pattern).is_absolute()
            if isinstance(source, str) and not looks_like_file and not Path(pattern).exists():
                return None
            if Path(pattern).is_dir():
                raise _unreadable_directory(pattern)
            raise DataError(f"no file at '{pattern}'" + _hint_for_missing(pattern))
        found.extend(files)
    return found


def _hint_for_missing(pattern: str) -> str:
    folder = Path(pattern).parent
    names = [path.name for path in folder.iterdir() if ending(path.name)] if folder.is_dir() else []
    return nearest(Path(pattern).name, names)


def _unreadable_directory(path: str) -> DataError:
    return DataError(
        f"'{path}' is a directory; name its files, as in '{path}/*.csv', or give a single directory: of parquet files,"
        " with a folder of .txt files for each class, or one that save_to_disk of datasets has written"
    )


def _load_files(files: list[str], reading: Reading) -> Dataset:
    for file in files:
        if Path(file).stat().st_size == 0:
            raise DataError(f"{file} is empty")
    formats = {file: format_of(file, reading.format) for file in files}
    kind = formats[files[0]]
    if len({READERS[found] for found in formats.values()}) > 1 or {"csv", "tsv"} <= {*formats.values()}:
        endings = ", ".join(sorted({ending(file) for file in files}))
        raise DataError(f"the files of one source must have one format, not {endings}")
    if kind == "tsv" and reading.delimiter is None:
        reading = replace(reading, delimiter="\t")
    return _read(lambda: READERS[kind](files, reading), files, reading, kind)


def _read(read: Callable[[], Dataset], files: list[str], reading: Reading, kind: str) -> Dataset:
    """Call a reader; errors become one line that names the file."""
    disable_progress_bars()
    try:
        dataset = read()
    except DataError:
        raise
    except Exception as error:  # broken bytes raise many types, such as zlib.error
        undecodable = None
        if is_decoding_error(error):
            with suppress(Exception):  # it reads on, and a compressed file can be damaged further behind
                undecodable = explain_encoding(files, reading.encoding)
        raise DataError(undecodable or explain(files, error)) from error
    if dataset.num_rows == 0:
        raise DataError(f"{', '.join(files)}: no rows")
    dataset.info.builder_name = kind
    return dataset


def _load_directory(source: str, reading: Reading) -> DatasetDict:
    directory = Path(source)
    if any((directory / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return _with_nested(_load_saved(source), reading)
    parts = _parquet_parts(directory)
    if parts:
        return DatasetDict({split: _load_files(files, reading) for split, files in parts.items()})
    texts = class_files(directory)
    if not texts:
        raise _unreadable_directory(source)
    read = partial(load_class_folders, directory, reading)
    return DatasetDict(train=_read(read, texts, reading, "text"))


def _parquet_parts(directory: Path) -> dict[str, list[str]]:
    """Group the parquet files under a directory by the split that their names tell, or all as `train`.

    Raises:
        DataError: If only some of the names tell a split.
    """
    parts: dict[str | None, list[str]] = {}
    for path in sorted(directory.rglob("*.parquet")):
        place = path.relative_to(directory)
        if path.is_file() and not any(part.startswith((".", "_")) for part in place.parts):
            words = [*place.parts[:-1], re.split(r"[-_.]", path.name)[0]]
            told = next((_SPLITS[word] for word in words if word in _SPLITS), None)
            parts.setdefault(told, []).append(str(path))
    if None in parts and len(parts) > 1:
        named = next(files[0] for told, files in parts.items() if told is not None)
        raise DataError(f"'{directory}': the name of {named} tells a split, that of {parts[None][0]} does not")
    return {told or "train": files for told, files in parts.items()}


def _load_saved(directory: str) -> DatasetDict:
    try:
        loaded = load_from_disk(directory).with_format(None)
    except Exception as error:  # damaged files raise errors of json, Arrow and datasets
        raise DataError(explain([directory], error)) from error
    return loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)


def _in_memory(rows: Rows) -> DatasetDict:
    if isinstance(rows, DatasetDict):
        return rows.with_format(None)
    if isinstance(rows, pd.DataFrame):
        rows = Dataset.from_pandas(rows, preserve_index=False)
    elif isinstance(rows, pa.Table):
        rows = Dataset(rows)
    return DatasetDict(train=rows.with_format(None))


def _with_nested(splits: DatasetDict, reading: Reading) -> DatasetDict:
    """Add columns for fields inside of objects."""
    return DatasetDict({name: _nested_rows(rows, reading) for name, rows in splits.items()})


def _nested_rows(rows: Dataset, reading: Reading) -> Dataset:
    missing = [name for name in reading.nested if name not in rows.column_names]
    if not missing or with_nested(rows.data.schema.empty_table(), missing).column_names == rows.column_names:
        return rows
    tables = (with_nested(table, missing) for table in stored_tables(rows, STORED_AT_ONCE))
    return stored(tables, rows._fingerprint, missing, reuse=True)


def _load_from_hub(name: str, subset: str | None) -> DatasetDict:
    try:
        loaded = load_dataset(name, subset)
    except Exception as error:  # the hub client raises many kinds, none of them documented
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"no data set '{name}': not a file, not built in{did_you_mean(name, BUILTIN_DATASETS)}"
            f" The hub says: {reason}"
        ) from error
    if not isinstance(loaded, DatasetDict) or "train" not in loaded:
        raise DataError(f"the hub data set '{name}' has no train split")
    return loaded
