"""Read a source (files, a saved data set, a hub id, or a built-in name), with errors that name file and line."""

import glob
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from datasets import Dataset, DatasetDict, disable_progress_bars, load_dataset, load_from_disk

from textmix.data.builtin import BUILTIN_DATASETS, load_builtin
from textmix.data.readers.common import explain
from textmix.data.readers.csv import load_csv
from textmix.data.readers.json import load_json
from textmix.data.readers.parquet import load_parquet
from textmix.errors import DataError, did_you_mean, nearest
from textmix.io.inputs import matching_paths

# Ending of a file name to the reader of that format.
READERS: dict[str, Callable[[list[str]], Dataset]] = {
    ".csv": partial(load_csv, separator=","),
    ".tsv": partial(load_csv, separator="\t"),
    ".jsonl": load_json,
    ".json": load_json,
    ".parquet": load_parquet,
}


def load_source(source: str | list[str], subset: str | None = None) -> DatasetDict:
    """Read a source.

    Args:
        source: A file, a list of files, a glob, a directory that `save_to_disk` of datasets has written, a hub id, or
            a built-in name.
        subset: Configuration of a hub data set.

    Returns:
        The splits that the source has; files, built-in corpora and a saved `Dataset` have only `train`, a saved
        `DatasetDict` may lack it. Columns of csv and tsv files are strings, so that a class `01` stays `01`.

    Raises:
        DataError: If the source is missing, empty, unreadable, or has a broken line.
    """
    if isinstance(source, str) and source in BUILTIN_DATASETS:
        return DatasetDict(train=load_builtin(BUILTIN_DATASETS[source]))
    if isinstance(source, str) and _is_saved(Path(source)):
        return _load_saved(source)
    files = _find_files(source)
    if files is not None:
        return DatasetDict(train=_load_files(files))
    return _load_from_hub(str(source), subset)


def source_name(source: str | list[str]) -> str:
    """Return a short name of a source: the built-in name, the stem of the first file, or the last part of a hub id."""
    first = source if isinstance(source, str) else source[0]
    name = Path(first).name
    ending = _ending(first)
    stem = name[: -len(ending)] if ending else name
    return re.sub(r"[^\w.-]+", "_", stem).strip("_.") or "data"


def absolute(source: str | list[str]) -> str | list[str]:
    """Make the paths of a source absolute, so that they hold in any working directory; keep other names."""
    if isinstance(source, list):
        return [str(Path(pattern).absolute()) for pattern in source]
    if source in BUILTIN_DATASETS or not (Path(source).is_dir() or _find_files(source)):
        return source
    return str(Path(source).absolute())


def _ending(path: str) -> str:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    compressed = suffixes[-1:] == [".gz"]
    ending = "".join(suffixes[-2:] if compressed else suffixes[-1:])
    return ending if ending.removesuffix(".gz") in READERS else ""


def _find_files(source: str | list[str]) -> list[str] | None:
    """Return the files of a source, or None if it can only be a hub id."""
    found: list[str] = []
    for pattern in [source] if isinstance(source, str) else source:
        files = [match for match in matching_paths(pattern) if Path(match).is_file()]
        if not files:
            looks_like_file = _ending(pattern) or glob.has_magic(pattern) or Path(pattern).is_absolute()
            if isinstance(source, str) and not looks_like_file and not Path(pattern).exists():
                return None
            if Path(pattern).is_dir():
                raise DataError(
                    f"'{pattern}' is a directory; name its files, as in '{pattern}/*.csv', or give a single directory"
                    " that save_to_disk of datasets has written"
                )
            raise DataError(f"no file at '{pattern}'" + _hint_for_missing(pattern))
        found.extend(files)
    unknown = [file for file in found if not _ending(file)]
    if unknown:
        raise DataError(f"unknown format of '{unknown[0]}'; its name must end in {', '.join(READERS)} (or .gz)")
    if len({_reader(file) for file in found}) > 1:
        raise DataError(f"the files of one source must have one format, not {', '.join(sorted(map(_ending, found)))}")
    return found


def _hint_for_missing(pattern: str) -> str:
    folder = Path(pattern).parent
    names = [path.name for path in folder.iterdir() if _ending(path.name)] if folder.is_dir() else []
    return nearest(Path(pattern).name, names)


def _reader(file: str) -> Callable[[list[str]], Dataset]:
    return READERS[_ending(file).removesuffix(".gz")]


def _load_files(files: list[str]) -> Dataset:
    for file in files:
        if Path(file).stat().st_size == 0:
            raise DataError(f"{file} is empty")
    disable_progress_bars()
    try:
        dataset = _reader(files[0])(files)
    except DataError:
        raise
    except Exception as error:  # broken bytes raise many types, such as zlib.error
        raise DataError(explain(files, error)) from error
    if dataset.num_rows == 0:
        raise DataError(f"{', '.join(files)}: no rows")
    return dataset


def _is_saved(directory: Path) -> bool:
    return directory.is_dir() and any((directory / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _load_saved(directory: str) -> DatasetDict:
    try:
        loaded = load_from_disk(directory).with_format(None)
    except Exception as error:  # damaged files raise errors of json, Arrow and datasets
        raise DataError(explain([directory], error)) from error
    return loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)


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
