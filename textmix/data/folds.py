"""Cut rows into stratified folds, and keep groups of rows together."""

import warnings

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from textmix.data.columns import TextColumn, ranks, select_rows
from textmix.data.standardize import GROUP, LABEL
from textmix.errors import DataError


def fold_numbers(rows: Dataset, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Cut rows into stratified folds; rows of one group are in one fold.

    Args:
        rows: N rows as `standardize` returns them, with or without groups.
        folds: Number of folds, at least 2.
        seed: Seed of the folds.

    Returns:
        The fold of each row, from 0, shape (N,).

    Raises:
        DataError: If there are too few rows of every class, or too few groups.
    """
    classes = ranks(rows, LABEL)
    groups = ranks(rows, GROUP) if GROUP in rows.column_names else None
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    numbers = np.full(rows.num_rows, -1, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # `scarce_classes` lists them
        try:
            for fold, (_, inside) in enumerate(splitter.split(np.zeros(rows.num_rows), classes, groups)):
                numbers[inside] = fold
        except ValueError as error:
            raise DataError(f"cannot cut {_described(rows)} into {folds} folds: {error}") from error
    if len(np.unique(numbers)) < folds:
        raise DataError(f"cannot cut {_described(rows)} into {folds} folds: one of them would be empty")
    return numbers


def scarce_classes(rows: Dataset, folds: int) -> list[str]:
    """List the classes with fewer rows than there are folds, so that some test splits lack them."""
    classes = ranks(rows, LABEL)
    scarce = np.flatnonzero((np.bincount(classes) < folds)[classes])
    return sorted(set(TextColumn(rows, LABEL).take(scarce)))


def split_groups(rows: Dataset, share: float, seed: int, option: str) -> tuple[Dataset, Dataset]:
    """Split off whole groups, stratified by class.

    Args:
        rows: Rows as `standardize` returns them, with groups.
        share: Share of the rows to split off; the nearest 1/n is taken, at most a half.
        seed: Seed of the split.
        option: The option that asks for it, for errors.

    Returns:
        The remaining rows, and the rows that were split off.

    Raises:
        DataError: As in `fold_numbers`.
    """
    parts = max(2, round(1 / share))
    try:
        numbers = fold_numbers(rows, parts, seed)
    except DataError as error:
        hint = "; ask for a larger share" if parts > 2 else ""
        raise DataError(f"{option}: {error}{hint}") from error
    return select_rows(rows, numbers != 0), select_rows(rows, numbers == 0)


def _described(rows: Dataset) -> str:
    count = f"{rows.num_rows} rows of {len(np.unique(ranks(rows, LABEL)))} classes"
    return f"{count} in {len(np.unique(ranks(rows, GROUP)))} groups" if GROUP in rows.column_names else count
