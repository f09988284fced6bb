"""Training, validation and test splits: stratified, fixed by a seed, with duplicates between them reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from datasets import Dataset, DatasetDict

from textmix.data.columns import categories, in_memory, select_rows
from textmix.data.config import UNLABELED_ROWS, DataConfig
from textmix.data.duplicates import count_duplicates, repeated_rows
from textmix.data.folds import fold_numbers
from textmix.data.label_format import LabelFormat, Labels
from textmix.data.sources import load_source, source_name
from textmix.data.standardize import IN_MEMORY, LABEL, ROW, Columns, standardize
from textmix.data.stratified import Splitter
from textmix.errors import DataError, listed

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_BLOCK = 10_000


@dataclass
class SplitReport:
    """What happened to the rows on their way into the splits.

    Args:
        sizes: Rows of each split.
        missing: Number of rows left out because a text or label was missing.
        removed: Number of duplicate rows removed.
        duplicates: For `train/validation`, `train/test` and `validation/test`, the number of rows of the first split
            whose text the second contains, after removal.
        rare: Classes with too few rows to be in every split; their rows are all in the training split.
        scarce: Classes with fewer rows than there are folds.
        few: Classes with fewer rows than `data.shots`.
        digests: For each split the SHA-256 of the rows that were read for it; None where it was made of the training
            rows. With the same options, equal digests mean equal splits.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    removed: int = 0
    duplicates: dict[str, int] = field(default_factory=dict)
    rare: list[str] = field(default_factory=list)
    scarce: list[str] = field(default_factory=list)
    few: list[str] = field(default_factory=list)
    digests: dict[str, str | None] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = ["rows: " + ", ".join(f"{size} {name}" for name, size in self.sizes.items())]
        if self.missing:
            lines.append(f"left out {self.missing} rows with an empty or missing text or label")
        if self.removed:
            lines.append(f"removed {self.removed} rows whose text occurs elsewhere")
        if self.rare:
            lines.append(f"too few rows to split, all kept for training: {listed(self.rare)}")
        if self.scarce:
            lines.append(f"fewer rows than folds, so that test splits of some folds lack them: {listed(self.scarce)}")
        if self.few:
            lines.append(f"fewer rows than data.shots, all kept for training: {listed(self.few)}")
        shared = {pair: count for pair, count in self.duplicates.items() if count}
        for pair, count in shared.items():
            first, second = pair.split("/")
            lines.append(
                f"{count} rows of {first} have a text that {second} has too; --data.deduplicate true removes them"
            )
        return lines


class Splits(NamedTuple):
    """The splits of a run.

    Args:
        rows: The splits `train`, `test` and, unless its fraction is 0, `validation`, with the columns of `standardize`.
        labels: The labels of all rows of `source`, some of which training may lack: with folds, groups or a sample.
        report: What happened to the rows.
    """

    rows: DatasetDict
    labels: Labels
    report: SplitReport


def build_splits(config: DataConfig, labels: LabelFormat, seed: int) -> Splits:
    """Read the sources and split them.

    Args:
        config: Which data is used and how it is split.
        labels: How the labels are read.
        seed: Seed of the splits, unless `config.split_seed` is set.

    Raises:
        DataError: If a source cannot be read or split.
    """
    report = SplitReport()
    splitter = Splitter(labels, config.seed(seed))
    splits = _read(config, labels, report)
    everything = categories(splits[TRAIN], LABEL)
    if config.folds is not None:
        numbers = fold_numbers(splits[TRAIN], labels, config.folds, splitter.seed)
        strata = labels.strata(everything)
        report.scarce = [
            name for name, count in zip(strata.names, strata.counts, strict=True) if 0 < count < config.folds
        ]
        splits[TEST] = select_rows(splits[TRAIN], numbers == config.fold)
        splits[TRAIN] = select_rows(splits[TRAIN], numbers != config.fold)
    fractions = {TEST: config.test_fraction, VALIDATION: config.validation_fraction}
    for name, share in fractions.items():
        if name == VALIDATION and config.shots is not None:
            splits[TRAIN], report.few = splitter.shots(splits[TRAIN], config.shots)
        if name not in splits and share > 0:
            option = f"data.{name}_fraction {share}"
            splits[TRAIN], splits[name] = splitter.carve(splits[TRAIN], share, option)
    size = config.max_train_samples
    if size is not None and size < splits[TRAIN].num_rows:
        splits[TRAIN] = splitter.sample(splits[TRAIN], size, f"data.max_train_samples {size}")
    ordered = {name: _settled(splits[name]) for name in (TRAIN, VALIDATION, TEST) if name in splits}
    report.sizes = {name: split.num_rows for name, split in ordered.items()}
    report.duplicates = count_duplicates(ordered)
    report.rare = sorted(splitter.rare)
    return Splits(DatasetDict(ordered), everything, report)


def _settled(rows: Dataset) -> Dataset:
    """Copy few rows of a large file into memory: reading them again and again would read all over the file."""
    return in_memory(rows) if rows.cache_files and rows.num_rows <= IN_MEMORY else rows


@dataclass(frozen=True)
class FoldedSource:
    """All rows that are cut into folds.

    Args:
        rows: N rows with the columns of `standardize`.
        row_numbers: Their numbers in the source, from 0, shape (N,). There are gaps where rows were left out.
        folds: The fold of each row, from 0, shape (N,).
        digests: As in `SplitReport`.
    """

    rows: Dataset
    row_numbers: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    digests: dict[str, str | None]


def load_folds(config: DataConfig, labels: LabelFormat, seed: int) -> FoldedSource:
    """Read the rows and assign their folds, which `build_splits` uses as test splits.

    Args:
        config: Which data; `config.folds` must be set.
        labels: How the labels are read.
        seed: As in `build_splits`.

    Raises:
        DataError: As in `build_splits`.
    """
    assert config.folds is not None
    report = SplitReport()
    rows = _read(config, labels, report, numbered=True)[TRAIN]
    numbers = np.concatenate([np.asarray(block[ROW]) for block in rows.select_columns([ROW]).iter(_BLOCK)])
    folds = fold_numbers(rows, labels, config.folds, config.seed(seed))
    return FoldedSource(rows, numbers, folds, report.digests)


def load_rows(config: DataConfig, labels: LabelFormat) -> Dataset:
    """Read one labelled source whole, as a test set.

    Raises:
        DataError: As in `build_splits`.
    """
    columns = Columns(config.text_columns, labels, config.drop_missing, of_tokens=labels.of_tokens)
    found = pick(load_source(config.source, config.reading), TEST, VALIDATION, TRAIN)
    return standardize(found, columns, source_name(config.source)).rows


def load_test_split(config: DataConfig, labels: LabelFormat, seed: int) -> tuple[Dataset, dict[str, str | None]]:
    """Read the test split; reads no other data if the test split has a separate source or split.

    Args:
        config: As in `build_splits`.
        labels: As in `build_splits`.
        seed: As in `build_splits`.

    Returns:
        The rows, and those digests of `SplitReport` that they depend on.

    Raises:
        DataError: As in `build_splits`, or if there is no test split.
    """
    found = _find(config, labels, only_test=config.test_source is not None)
    if TEST in found:
        standard = standardize(*found[TEST])
        return standard.rows, {TEST: standard.digest}
    if not config.has_test_split:
        where = source_name(config.source)
        raise DataError(f"{where} has no test split (data.test_fraction 0); name labelled rows with --data.source")
    splits = build_splits(config, labels, seed)
    return splits.rows[TEST], splits.report.digests


def pick(splits: Mapping[str, Dataset], *preferred: str) -> Dataset:
    """Take the first of the preferred splits that there is; files have only `train`, a data set may have others.

    Raises:
        DataError: If there is none of them.
    """
    for name in preferred:
        if name in splits:
            return splits[name]
    raise DataError(f"the data set has no split {' or '.join(preferred)}; it has {listed(splits)}")


def _find(
    config: DataConfig, labels: LabelFormat, numbered: bool = False, only_test: bool = False
) -> dict[str, tuple[Dataset, Columns, str]]:
    """Find the rows of each split that has a source; returns the arguments of `standardize` for each."""
    columns = Columns(config.text_columns, labels, config.drop_missing, of_tokens=labels.of_tokens)
    found: dict[str, tuple[Dataset, Columns, str]] = {}
    if not only_test:
        given, where = load_source(config.source, config.reading), source_name(config.source)
        own = replace(columns, group=config.group_column, numbered=numbered)
        if config.unlabeled == UNLABELED_ROWS:  # they belong to the pool
            own = replace(own, unlabeled=True)
        found[TRAIN] = pick(given, TRAIN), own, where
        # Folds take the place of a test split. The labels of some test splits on the hub are not published.
        for name in (VALIDATION, TEST) if config.folds is None else (VALIDATION,):
            if name in given and _is_labelled(given[name], config.label_columns):
                found[name] = given[name], columns, where
    others = {TEST: config.test_source, VALIDATION: None if only_test else config.validation_source}
    for name, source in others.items():
        if source is not None:
            found[name] = pick(load_source(source, config.reading), name, TEST, TRAIN), columns, source_name(source)
    return found


def _read(config: DataConfig, labels: LabelFormat, report: SplitReport, numbered: bool = False) -> dict[str, Dataset]:
    """Read the rows of each split that has a source, without duplicates if that is asked for."""
    found = {name: standardize(*rows) for name, rows in _find(config, labels, numbered).items()}
    report.missing = sum(standard.missing for standard in found.values())
    report.digests = {name: found[name].digest if name in found else None for name in (TRAIN, VALIDATION, TEST)}
    splits = {name: standard.rows for name, standard in found.items()}
    return _deduplicate(splits, report) if config.deduplicate else splits


def _is_labelled(rows: Dataset, columns: list[str]) -> bool:
    return any(
        column not in rows.column_names
        or any(label not in (None, "", -1) for chunk in rows.data.column(column).chunks for label in chunk.to_pylist())
        for column in columns
    )


def _deduplicate(splits: dict[str, Dataset], report: SplitReport) -> dict[str, Dataset]:
    """Keep a given test split whole, and remove its texts from validation, and both from training."""
    ordered = {name: splits[name] for name in (TEST, VALIDATION, TRAIN) if name in splits}
    kept: dict[str, Dataset] = {}
    for name, repeated in repeated_rows(ordered, unique=TRAIN).items():
        report.removed += int(repeated.sum())
        if repeated.all():
            raise DataError(f"no rows of the {name} split are left: every text occurs in another split")
        kept[name] = select_rows(ordered[name], ~repeated)
    return kept
