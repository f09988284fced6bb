"""Soft labels: probabilities of the classes of each row, as strings among the labels."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from textmix.data.label_format import Array, Labels
from textmix.errors import DataError

# Probabilities that were rounded to two decimals do not sum to 1 exactly.
_TOLERANCE = 0.02
# Marks the string of probabilities; names of classes begin with no space.
_SOFT = " "


def are_soft(labels: Labels) -> bool:
    """Return whether labels are the strings of `write_soft`."""
    return len(labels.dictionary) > 0 and labels.dictionary[0].as_py().startswith(_SOFT)


def read_soft(lists: list[list[Any] | None], where: str) -> Array:
    """Return lists of C probabilities as an array, shape (N, C); NaN for missing lists."""
    width = next((len(row) for row in lists if row), 0)
    for number, row in enumerate(lists):
        if row and (len(row) != width or not all(isinstance(value, int | float) for value in row)):
            raise DataError(
                f"{where}: row {number + 1} has the labels {str(row)[:60]}, not {width} probabilities; lists of names"
                " are --task multi_label"
            )
    return np.array([row or [np.nan] * width for row in lists], dtype=np.float64).reshape(len(lists), width)


def write_soft(rows: Array, where: str) -> pa.Array:
    """Write probabilities, shape (N, C), as JSON; rows with a missing number are missing."""
    known: Array = np.asarray(np.isfinite(rows).all(axis=1))
    totals = rows.sum(axis=1)
    wrong = np.flatnonzero(known & ((rows < 0).any(axis=1) | (np.abs(totals - 1) > _TOLERANCE)))
    if len(wrong):
        raise DataError(
            f"{where}: row {wrong[0] + 1} has {rows[wrong[0]].tolist()}, whose sum is {totals[wrong[0]]:.4g};"
            " single_label takes probabilities from several columns or lists, which sum to 1 in each row (0/1 columns"
            " are --task multi_label)"
        )
    with np.errstate(invalid="ignore"):
        shares = rows / totals[:, None]
    cells = [f"{_SOFT}{json.dumps(share)}" if full else "" for share, full in zip(shares.tolist(), known, strict=True)]
    return pa.array(cells, pa.string())
