"""Cut rows into stratified folds, and keep groups of rows together.

Rows with several labels are stratified iteratively (Sechidis et al. 2011).
"""

import warnings

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from textmix.data.columns import categories, ranks, select_rows
from textmix.data.label_format import LabelFormat, Strata
from textmix.data.standardize import GROUP, LABEL
from textmix.errors import DataError


def fold_numbers(rows: Dataset, labels: LabelFormat, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Cut rows into stratified folds; rows of one group are in one fold.

    Args:
        rows: N rows as `standardize` returns them, with or without groups.
        labels: How their labels are stratified.
        folds: Number of folds, at least 2.
        seed: Seed of the folds.

    Returns:
        The fold of each row, from 0, shape (N,).

    Raises:
        DataError: If there are too few rows of every class, or too few groups.
    """
    strata = labels.strata(categories(rows, LABEL))
    groups = ranks(rows, GROUP) if GROUP in rows.column_names else None
    if groups is not None:  # there is no splitter for groups and several labels
        strata, splitter = strata._replace(values=strata.single), StratifiedGroupKFold
    else:
        splitter = StratifiedKFold if strata.values.ndim == 1 else MultilabelStratifiedKFold
    numbers = np.full(rows.num_rows, -1, dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # `scarce_classes` lists them
        try:
            found = splitter(folds, shuffle=True, random_state=seed)
            for fold, (_, inside) in enumerate(found.split(np.zeros(rows.num_rows), strata.values, groups)):
                numbers[inside] = fold
        except ValueError as error:
            raise DataError(f"cannot cut {_described(rows, strata)} into {folds} folds: {error}") from error
    if len(np.unique(numbers)) < folds:
        raise DataError(f"cannot cut {_described(rows, strata)} into {folds} folds: one of them would be empty")
    return numbers


def split_groups(rows: Dataset, labels: LabelFormat, share: float, seed: int, option: str) -> tuple[Dataset, Dataset]:
    """Split off whole groups, stratified by class.

    Args:
        rows: Rows as `standardize` returns them, with groups.
        labels: How their labels are stratified.
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
        numbers = fold_numbers(rows, labels, parts, seed)
    except DataError as error:
        hint = "; ask for a larger share" if parts > 2 else ""
        raise DataError(f"{option}: {error}{hint}") from error
    return select_rows(rows, numbers != 0), select_rows(rows, numbers == 0)


def _described(rows: Dataset, strata: Strata) -> str:
    count = f"{rows.num_rows} rows of {np.count_nonzero(strata.counts)} classes"
    return f"{count} in {len(np.unique(ranks(rows, GROUP)))} groups" if GROUP in rows.column_names else count
