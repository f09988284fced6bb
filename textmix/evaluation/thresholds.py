"""Thresholds of labels."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
THRESHOLD = 0.5


def best_threshold(present: Array, values: Array) -> float:
    """Return the threshold with the highest F1 for one label.

    Args:
        present: Which of N rows have the label, shape (N,), bool.
        values: Its probabilities, shape (N,).

    Returns:
        The middle between two neighbouring probabilities; of those that are equally good, the nearest to 0.5. If no row
        has the label, 0.5.
    """
    order = np.argsort(-values, kind="stable")
    sorted_values, hits = values[order], present[order].cumsum()
    if not present.any():
        return THRESHOLD
    scores = 2 * hits / (np.arange(1, len(values) + 1) + present.sum())
    # A threshold between two equal values does not exist.
    following = np.append(sorted_values[1:], 0.0)
    scores = np.where(sorted_values > following, scores, -1)
    middles = (sorted_values + following) / 2
    best = np.flatnonzero(scores == scores.max())
    return float(middles[best[np.abs(middles[best] - THRESHOLD).argmin()]])
