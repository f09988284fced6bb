"""Training, validation and test splits: stratified, fixed by a seed, with duplicates between them reported."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict
from sklearn.model_selection import train_test_split

from textmix.data.columns import TextColumn, categories, in_memory, ranks, select_rows
from textmix.data.config import DataConfig
from textmix.data.folds import fold_numbers, scarce_classes, split_groups
from textmix.data.labels import class_names
from textmix.data.sources import load_source, source_name
from textmix.data.standardize import GROUP, IN_MEMORY, LABEL, ROW, Columns, standardize, text_columns
from textmix.errors import DataError, listed

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_BLOCK = 10_000
# Rows that a piece of a large split has at least.
_PIECE = 100_000


@dataclass
class SplitReport:
    """What happened to the rows on their way into the splits.

    Args:
        sizes: Rows of each split.
        missing: Rows left out because a text or label was missing.
        removed: Duplicate rows removed.
        duplicates: For `train/validation`, `train/test` and `validation/test`, the rows of the first whose text the
            second has too, after removal.
        rare: Classes with too few rows to be in every split; their rows are all in the training split.
        scarce: Classes with fewer rows than there are folds.
        classes: Classes of all rows of `source`, where training may miss some: with folds or groups.
        digest: SHA-256 of what was read of all sources; with the same options it means the same splits.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    removed: int = 0
    duplicates: dict[str, int] = field(default_factory=dict)
    rare: list[str] = field(default_factory=list)
    scarce: list[str] = field(default_factory=list)
    classes: list[str] | None = None
    digest: str = ""

    def lines(self) -> list[str]:
        """Say it in sentences."""
        lines = ["rows: " + ", ".join(f"{size} {name}" for name, size in self.sizes.items())]
        if self.missing:
            lines.append(f"left out {self.missing} rows with an empty or missing text or label")
        if self.removed:
            lines.append(f"removed {self.removed} rows whose text occurs elsewhere")
        if self.rare:
            lines.append(f"too few rows to split, all kept for training: {listed(self.rare)}")
        if self.scarce:
            lines.append(f"fewer rows than folds, so that test splits of some folds lack them: {listed(self.scarce)}")
        shared = {pair: count for pair, count in self.duplicates.items() if count}
        for pair, count in shared.items():
            first, second = pair.split("/")
            lines.append(
                f"{count} rows of {first} have a text that {second} has too; --data.deduplicate true removes them"
            )
        return lines


def build_splits(config: DataConfig, seed: int) -> tuple[DatasetDict, SplitReport]:
    """Read the sources and split them.

    Args:
        config: Which data.
        seed: Seed of the splits, unless `config.split_seed` is set.

    Returns:
        The splits `train`, `test` and, unless its fraction is 0, `validation`, with the columns of `standardize`, and
        the report.

    Raises:
        DataError: If a source cannot be read or split.
    """
    seed = config.split_seed if config.split_seed is not None else seed
    report = SplitReport()
    splits = _read(config, report)
    if config.deduplicate:
        splits = _deduplicate(splits, report)
    # Of folds, whole groups and samples the training rows may lack a class that others have.
    if config.folds is not None or config.group_column is not None or config.max_train_samples is not None:
        report.classes = class_names(categories(splits[TRAIN], LABEL), source_name(config.source))
    if config.folds is not None:
        numbers = fold_numbers(splits[TRAIN], config.folds, seed)
        report.scarce = scarce_classes(splits[TRAIN], config.folds)
        splits[TEST] = select_rows(splits[TRAIN], numbers == config.fold)
        splits[TRAIN] = select_rows(splits[TRAIN], numbers != config.fold)
    if TEST not in splits:
        option = f"data.test_fraction {config.test_fraction}"
        splits[TRAIN], splits[TEST] = _carve(splits[TRAIN], config.test_fraction, seed, report, option)
    if VALIDATION not in splits and config.validation_fraction > 0:
        option = f"data.validation_fraction {config.validation_fraction}"
        splits[TRAIN], splits[VALIDATION] = _carve(splits[TRAIN], config.validation_fraction, seed, report, option)
    if config.max_train_samples is not None and config.max_train_samples < splits[TRAIN].num_rows:
        splits[TRAIN] = _sample(splits[TRAIN], config.max_train_samples, seed, report)
    # Few of many rows would be read from all over a large file.
    ordered = {
        name: in_memory(splits[name])
        if splits[name].cache_files and splits[name].num_rows <= IN_MEMORY
        else splits[name]
        for name in (TRAIN, VALIDATION, TEST)
        if name in splits
    }
    report.sizes = {name: split.num_rows for name, split in ordered.items()}
    report.duplicates = _count_duplicates(ordered)
    report.rare = sorted(set(report.rare))
    return DatasetDict(ordered), report


@dataclass(frozen=True)
class FoldedSource:
    """All rows that are cut into folds.

    Args:
        rows: N rows with the columns of `standardize`.
        row_numbers: Their numbers in the source, from 0, shape (N,): with rows left out they have gaps.
        folds: The fold of each row, from 0, shape (N,).
        digest: As in `SplitReport`.
    """

    rows: Dataset
    row_numbers: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    digest: str


def load_folds(config: DataConfig, seed: int) -> FoldedSource:
    """Read the rows whose folds `build_splits` takes as test splits.

    Args:
        config: Which data; `config.folds` must be set.
        seed: As in `build_splits`.

    Raises:
        DataError: As in `build_splits`.
    """
    assert config.folds is not None
    seed = config.split_seed if config.split_seed is not None else seed
    report = SplitReport()
    splits = _read(config, report, numbered=True)
    if config.deduplicate:
        splits = _deduplicate(splits, report)
    rows = splits[TRAIN]
    numbers = np.concatenate([np.asarray(block[ROW]) for block in rows.select_columns([ROW]).iter(_BLOCK)])
    return FoldedSource(rows, numbers, fold_numbers(rows, config.folds, seed), report.digest)


def load_rows(config: DataConfig) -> Dataset:
    """Read one labelled source whole, as a test set.

    Raises:
        DataError: As in `build_splits`.
    """
    columns = Columns(config.text_columns, config.label_column, config.drop_missing)
    found = pick(load_source(config.source, config.subset), TEST, VALIDATION, TRAIN)
    return standardize(found, columns, source_name(config.source)).rows


def pick(splits: DatasetDict, *preferred: str) -> Dataset:
    """Take the first of the preferred splits that there is; files have only `train`, a data set may have others.

    Raises:
        DataError: If there is none of them.
    """
    for name in preferred:
        if name in splits:
            return splits[name]
    raise DataError(f"the data set has no split {' or '.join(preferred)}; it has {listed(splits)}")


def _read(config: DataConfig, report: SplitReport, numbered: bool = False) -> dict[str, Dataset]:
    given = load_source(config.source, config.subset)
    pick(given, TRAIN)
    # Some hub data sets keep the labels of their test split to themselves, and folds take the place of one.
    usable = [name for name in given if name == TRAIN or _is_labelled(given[name], config.label_column)]
    names = (TRAIN, VALIDATION, TEST) if config.folds is None else (TRAIN, VALIDATION)
    sources = {name: (given[name], source_name(config.source)) for name in names if name in usable}
    for name, source in ((TEST, config.test_source), (VALIDATION, config.validation_source)):
        if source is not None:
            sources[name] = pick(load_source(source, config.subset), name, TEST, TRAIN), source_name(source)
    columns = Columns(config.text_columns, config.label_column, config.drop_missing)
    of_source = replace(columns, group=config.group_column, numbered=numbered)
    found = {
        name: standardize(rows, of_source if name == TRAIN else columns, where)
        for name, (rows, where) in sources.items()
    }
    report.missing += sum(standard.missing for standard in found.values())
    report.digest = sha256(
        " ".join(f"{name} {standard.digest}" for name, standard in found.items()).encode()
    ).hexdigest()
    return {name: standard.rows for name, standard in found.items()}


def _is_labelled(rows: Dataset, column: str) -> bool:
    return column not in rows.column_names or any(
        label not in (None, "", -1) for chunk in rows.data.column(column).chunks for label in chunk.to_pylist()
    )


def _keys(split: Dataset) -> npt.NDArray[np.int64]:
    """Hash each row's texts, as the texts of all rows may not fit into memory.

    Of 2 million different texts two have the same hash with a probability of 1e-7.
    """
    return np.fromiter(_hashes(split), dtype=np.int64, count=split.num_rows)


def _hashes(split: Dataset) -> Iterator[int]:
    return map(hash, zip(*text_columns(split), strict=True))


def _is_in(keys: npt.NDArray[np.int64], among: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Say which keys are among others, which are sorted."""
    if not len(among):
        return np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(among, keys)
    return np.asarray(among[np.minimum(places, len(among) - 1)] == keys)


def _deduplicate(splits: dict[str, Dataset], report: SplitReport) -> dict[str, Dataset]:
    """Keep a given test split whole, take its texts out of validation, and both's out of training."""
    seen = np.empty(0, dtype=np.int64)
    kept: dict[str, Dataset] = {}
    for name in (TEST, VALIDATION, TRAIN):
        if name not in splits:
            continue
        keys = _keys(splits[name])
        keep = ~_is_in(keys, seen)
        if name == TRAIN:
            first = np.zeros(len(keys), dtype=bool)
            first[np.unique(keys, return_index=True)[1]] = True
            keep &= first
        report.removed += int((~keep).sum())
        if not keep.any():
            raise DataError(f"no rows of the {name} split are left: every text occurs in another split")
        kept[name] = select_rows(splits[name], keep)
        seen = np.sort(np.concatenate([seen, keys]))
    return kept


def _count_duplicates(splits: dict[str, Dataset]) -> dict[str, int]:
    """Count the rows of a split whose text a later one has; the first, which may be large, is hashed piece by piece."""
    (name, first), *rest = splits.items()
    keys = {other: np.sort(_keys(split)) for other, split in rest}
    counts = {f"{name}/{other}": 0 for other in keys}
    hashes = _hashes(first)
    while len(piece := np.fromiter(islice(hashes, _BLOCK), dtype=np.int64)):
        for other, found in keys.items():
            counts[f"{name}/{other}"] += int(_is_in(piece, found).sum())
    pairs = combinations(keys, 2)
    return counts | {f"{one}/{other}": int(_is_in(keys[one], keys[other]).sum()) for one, other in pairs}


def _sample(rows: Dataset, size: int, seed: int, report: SplitReport) -> Dataset:
    """Take a stratified sample; so few rows that not every class can lose one are taken away at random."""
    surplus = rows.num_rows - size
    if surplus < np.count_nonzero(np.bincount(ranks(rows, LABEL))):
        dropped = np.random.default_rng(seed).choice(rows.num_rows, surplus, replace=False)
        wanted = np.ones(rows.num_rows, dtype=bool)
        wanted[dropped] = False
        return select_rows(rows, wanted)
    kept, _ = _split(rows, surplus, seed, report, f"data.max_train_samples {size}")
    return kept


def _carve(rows: Dataset, share: float, seed: int, report: SplitReport, option: str) -> tuple[Dataset, Dataset]:
    """Split off a share of the rows, whole groups where there are groups."""
    if GROUP in rows.column_names:
        return split_groups(rows, share, seed, option)
    return _split(rows, share, seed, report, option)


def _split(rows: Dataset, size: float, seed: int, report: SplitReport, option: str) -> tuple[Dataset, Dataset]:
    """Split off a stratified part; rows of classes with fewer than two rows stay in the first."""
    classes = ranks(rows, LABEL)
    counts = np.bincount(classes)
    report.rare.extend(TextColumn(rows, LABEL).take(np.flatnonzero((counts == 1)[classes])))
    number, common = np.count_nonzero(counts), int(counts[counts > 1].sum())
    if not common:
        raise DataError(
            f"cannot split {rows.num_rows} rows of {number} classes ({option}): no class has two rows, one for each"
            " part"
        )
    wanted = size if isinstance(size, int) else math.ceil(size * common)
    # scikit-learn takes over a hundred bytes a row, so that many rows are split piece by piece. A piece has so many
    # rows that each class may have one in its second part.
    pieces = max(1, rows.num_rows // max(_PIECE, number * rows.num_rows // max(wanted, 1)))
    second = np.zeros(rows.num_rows, dtype=bool)
    generator = np.random.RandomState(seed)
    for piece in range(pieces):
        start, end = (edge * rows.num_rows // pieces for edge in (piece, piece + 1))
        share = wanted * (piece + 1) // pieces - wanted * piece // pieces
        part = classes[start:end]
        several = np.flatnonzero((np.bincount(part) > 1)[part])
        try:
            _, chosen = train_test_split(several, test_size=share, random_state=generator, stratify=part[several])
        except ValueError as error:
            raise DataError(f"cannot split {rows.num_rows} rows of {number} classes ({option}): {error}") from error
        second[start + chosen] = True
    return select_rows(rows, ~second), select_rows(rows, second)
