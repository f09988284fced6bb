"""Split rows in two, with the classes in equal shares."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from sklearn.model_selection import train_test_split

from textmix.data.columns import categories, select_rows
from textmix.data.folds import split_groups
from textmix.data.label_format import Array, LabelFormat
from textmix.data.standardize import GROUP, LABEL
from textmix.errors import DataError

# Least number of rows of a piece of a large split.
_PIECE = 100_000


@dataclass
class Splitter:
    """Splits rows with a fixed seed; rows with several labels are stratified iteratively (Sechidis et al. 2011).

    Args:
        labels: How the labels of the rows are stratified.
        seed: Seed of all splits.
        rare: Collects the classes with too few rows to be split.
    """

    labels: LabelFormat
    seed: int
    rare: set[str] = field(default_factory=set)

    def carve(self, rows: Dataset, share: float, option: str) -> tuple[Dataset, Dataset]:
        """Split off a share of the rows, by whole groups where there are groups.

        Args:
            rows: Rows as `standardize` returns them.
            share: Share of the rows, above 0 and below 1.
            option: The option that asks for it, for errors.

        Returns:
            The remaining rows, and the rows that were split off.

        Raises:
            DataError: If there are too few rows or groups.
        """
        if GROUP in rows.column_names:
            return split_groups(rows, self.labels, share, self.seed, option)
        return self._split(rows, share, option)

    def sample(self, rows: Dataset, size: int, option: str) -> Dataset:
        """Take a stratified sample.

        If fewer rows are left out than there are classes, they are chosen at random.

        Args:
            rows: More than `size` rows.
            size: Number of rows of the sample.
            option: The option that asks for it, for errors.
        """
        surplus = rows.num_rows - size
        if surplus < np.count_nonzero(self.labels.strata(categories(rows, LABEL)).counts):
            dropped = np.random.default_rng(self.seed).choice(rows.num_rows, surplus, replace=False)
            wanted = np.ones(rows.num_rows, dtype=bool)
            wanted[dropped] = False
            return select_rows(rows, wanted)
        kept, _ = self._split(rows, surplus, option)
        return kept

    def shots(self, rows: Dataset, count: int) -> tuple[Dataset, list[str]]:
        """Draw rows of each class; those of a smaller count are among those of a larger one.

        Args:
            rows: Rows of which each has one class.
            count: Number of rows of each class.

        Returns:
            The rows in their order, and the classes that have fewer, all of whose rows are taken.
        """
        strata = self.labels.strata(categories(rows, LABEL))
        order = np.random.default_rng(self.seed).permutation(rows.num_rows)
        of_classes = order[np.argsort(strata.values[order], kind="stable")]
        starts = np.cumsum(strata.counts) - strata.counts
        ranks = np.arange(rows.num_rows) - np.repeat(starts, strata.counts)
        wanted = np.zeros(rows.num_rows, dtype=bool)
        wanted[of_classes[ranks < count]] = True
        few = [name for name, own in zip(strata.names, strata.counts, strict=True) if 0 < own < count]
        return select_rows(rows, wanted), few

    def _split(self, rows: Dataset, size: float, option: str) -> tuple[Dataset, Dataset]:
        """Split off a stratified part, given as a share or a number of rows; classes of one row stay in the first."""
        strata = self.labels.strata(categories(rows, LABEL))
        values, counts = strata.values, strata.counts
        number, several = np.count_nonzero(counts), np.ones(rows.num_rows, dtype=bool)
        if values.ndim == 1:
            self.rare.update(name for name, count in zip(strata.names, counts, strict=True) if count == 1)
            several = (counts > 1)[values]
        what = f"cannot split {rows.num_rows} rows of {number} classes ({option})"
        if not several.any():
            raise DataError(f"{what}: no class has two rows, one for each part")
        wanted = size if isinstance(size, int) else math.ceil(size * np.count_nonzero(several))
        # scikit-learn takes over a hundred bytes a row, so that many rows are split piece by piece. A piece has enough
        # rows for each class to have one in its second part.
        pieces = max(1, rows.num_rows // max(_PIECE, number * rows.num_rows // max(wanted, 1)))
        second = np.zeros(rows.num_rows, dtype=bool)
        generator = np.random.RandomState(self.seed)
        for piece in range(pieces):
            start, end = (edge * rows.num_rows // pieces for edge in (piece, piece + 1))
            share = wanted * (piece + 1) // pieces - wanted * piece // pieces
            try:
                second[start:end] = _chosen(values[start:end], share, generator)
            except ValueError as error:
                raise DataError(f"{what}: {error}") from error
        return select_rows(rows, ~second), select_rows(rows, second)


def _chosen(values: Array, size: int, generator: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """Choose a stratified part of N rows; returns which are chosen, shape (N,)."""
    chosen = np.zeros(len(values), dtype=bool)
    if values.ndim == 2:
        splitter = MultilabelStratifiedShuffleSplit(1, test_size=size, random_state=generator)
        [(_, second)] = splitter.split(values, values)
    else:
        several = np.flatnonzero((np.bincount(values) > 1)[values])
        _, second = train_test_split(several, test_size=size, random_state=generator, stratify=values[several])
    chosen[second] = True
    return chosen
