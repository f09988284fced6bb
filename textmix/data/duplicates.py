"""Find rows that repeat a text, within a split and between splits."""

from collections.abc import Iterator, Mapping
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from textmix.data.standardize import text_columns

_BLOCK = 10_000


def repeated_rows(splits: Mapping[str, Dataset], unique: str) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the rows whose text also occurs in an earlier split.

    Args:
        splits: Splits in order of precedence: the first keeps all its rows.
        unique: The split in which repeated texts, except the first of each, are found as well.

    Returns:
        For each split which of its N rows are repeated, shape (N,).
    """
    seen = np.empty(0, dtype=np.int64)
    repeated: dict[str, npt.NDArray[np.bool_]] = {}
    for name, split in splits.items():
        keys = _keys(split)
        repeated[name] = _is_in(keys, seen)
        if name == unique:
            first = np.zeros(len(keys), dtype=bool)
            first[np.unique(keys, return_index=True)[1]] = True
            repeated[name] |= ~first
        seen = np.sort(np.concatenate([seen, keys]))
    return repeated


def count_duplicates(splits: Mapping[str, Dataset]) -> dict[str, int]:
    """Count the rows of each split whose text also occurs in a later split.

    Args:
        splits: One or more splits. The first, which may be large, is hashed block by block.

    Returns:
        For each pair, as in `train/test`, the number of rows of the first split whose text the second contains.
    """
    (name, first), *rest = splits.items()
    keys = {other: np.sort(_keys(split)) for other, split in rest}
    counts = {f"{name}/{other}": 0 for other in keys}
    hashes = _hashes(first)
    while len(block := np.fromiter(islice(hashes, _BLOCK), dtype=np.int64)):
        for other, found in keys.items():
            counts[f"{name}/{other}"] += int(_is_in(block, found).sum())
    pairs = combinations(keys, 2)
    return counts | {f"{one}/{other}": int(_is_in(keys[one], keys[other]).sum()) for one, other in pairs}


def _keys(split: Dataset) -> npt.NDArray[np.int64]:
    """Hash each row's texts, since the texts of all rows may not fit into memory.

    Among 2 million different texts, two have the same hash with a probability of 1e-7.
    """
    return np.fromiter(_hashes(split), dtype=np.int64, count=split.num_rows)


def _hashes(split: Dataset) -> Iterator[int]:
    return map(hash, zip(*text_columns(split), strict=True))


def _is_in(keys: npt.NDArray[np.int64], among: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Test which keys are in a sorted array of others."""
    if not len(among):
        return np.zeros(len(keys), dtype=bool)
    places = np.searchsorted(among, keys)
    return np.asarray(among[np.minimum(places, len(among) - 1)] == keys)
