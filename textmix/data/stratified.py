"""Split rows in two, with the classes in equal shares."""

import math
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset
from sklearn.model_selection import train_test_split

from textmix.data.columns import TextColumn, ranks, select_rows
from textmix.data.folds import split_groups
from textmix.data.standardize import GROUP, LABEL
from textmix.errors import DataError

# Least number of rows of a piece of a large split.
_PIECE = 100_000


@dataclass
class Splitter:
    """Splits rows with a fixed seed.

    Args:
        seed: Seed of all splits.
        rare: Collects the classes with too few rows to be split.
    """

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
            return split_groups(rows, share, self.seed, option)
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
        if surplus < np.count_nonzero(np.bincount(ranks(rows, LABEL))):
            dropped = np.random.default_rng(self.seed).choice(rows.num_rows, surplus, replace=False)
            wanted = np.ones(rows.num_rows, dtype=bool)
            wanted[dropped] = False
            return select_rows(rows, wanted)
        kept, _ = self._split(rows, surplus, option)
        return kept

    def _split(self, rows: Dataset, size: float, option: str) -> tuple[Dataset, Dataset]:
        """Split off a stratified part, given as a share or a number of rows; classes of one row stay in the first."""
        classes = ranks(rows, LABEL)
        counts = np.bincount(classes)
        self.rare.update(TextColumn(rows, LABEL).take(np.flatnonzero((counts == 1)[classes])))
        number, common = np.count_nonzero(counts), int(counts[counts > 1].sum())
        what = f"cannot split {rows.num_rows} rows of {number} classes ({option})"
        if not common:
            raise DataError(f"{what}: no class has two rows, one for each part")
        wanted = size if isinstance(size, int) else math.ceil(size * common)
        # scikit-learn takes over a hundred bytes a row, so that many rows are split piece by piece. A piece has enough
        # rows for each class to have one in its second part.
        pieces = max(1, rows.num_rows // max(_PIECE, number * rows.num_rows // max(wanted, 1)))
        second = np.zeros(rows.num_rows, dtype=bool)
        generator = np.random.RandomState(self.seed)
        for piece in range(pieces):
            start, end = (edge * rows.num_rows // pieces for edge in (piece, piece + 1))
            share = wanted * (piece + 1) // pieces - wanted * piece // pieces
            part = classes[start:end]
            several = np.flatnonzero((np.bincount(part) > 1)[part])
            try:
                _, chosen = train_test_split(several, test_size=share, random_state=generator, stratify=part[several])
            except ValueError as error:
                raise DataError(f"{what}: {error}") from error
            second[start + chosen] = True
        return select_rows(rows, ~second), select_rows(rows, second)
