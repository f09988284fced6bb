"""LabelFormat: how the labels of one kind are read from a source, and what rows are stratified by."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# N labels as strings, each string once.
Labels: TypeAlias = pa.DictionaryArray  # Python 3.11 has no `type`
Array: TypeAlias = npt.NDArray[Any]


class Strata(NamedTuple):
    """What rows are stratified by.

    Args:
        values: The stratum of each row, from 0, shape (N,); or which of L labels each row has, shape (N, L), bool.
        names: Names of the strata or labels, for messages.
    """

    values: Array
    names: list[str]

    @classmethod
    def of_labels(cls, present: Array, names: list[str]) -> "Strata":
        """Return the strata of rows with labels.

        Args:
            present: Which of L labels each row has, shape (N, L), bool. With a single label there are two strata.
            names: Names of the labels.
        """
        if len(names) > 1:
            return cls(present, names)
        return cls(np.asarray(present.any(axis=1), dtype=np.int64), ["", *names])

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of rows of each stratum, or with each label."""
        if self.values.ndim == 2:
            return np.asarray(self.values.sum(axis=0))
        return np.bincount(self.values, minlength=len(self.names))

    @property
    def single(self) -> Array:
        """One stratum of each row, shape (N,): where a row has several labels, the rarest of them."""
        if self.values.ndim == 1:
            return self.values
        rarity = np.argsort(np.argsort(self.counts, kind="stable"), kind="stable")
        ranks = np.where(self.values, rarity, len(self.names))
        return np.asarray(ranks.min(axis=1, initial=len(self.names)))


class LabelFormat(ABC):
    """How labels are written in the label columns of a source.

    Args:
        columns: The label columns.
    """

    nested: ClassVar[bool] = False  # whether a label column may hold lists
    of_tokens: ClassVar[bool] = False  # whether texts are lists of tokens

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    @abstractmethod
    def read(self, table: pa.Table, features: Mapping[str, Any], where: str) -> pa.Array:
        """Write the labels of each row as one string, in a form in which equal labels are equal strings.

        Args:
            table: The label columns, and those of the texts, each with N cells.
            features: Features of all columns in datasets.
            where: Name of the source, for errors.

        Returns:
            N strings; the empty string marks a missing label.

        Raises:
            DataError: If a cell does not hold labels of this kind.
        """

    @abstractmethod
    def strata(self, labels: Labels) -> Strata:
        """Return what N rows are stratified by, independent of their order."""
