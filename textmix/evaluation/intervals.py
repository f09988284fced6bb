"""95 % intervals of scores over the rows that were evaluated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

Array = npt.NDArray[Any]

_RESAMPLES, _FEWEST_RESAMPLES = 1000, 100
# Draws in total, and at a time: a million rows take some seconds and 80 MB.
_DRAWS, _DRAWS_AT_ONCE = 20_000_000, 10_000_000


def row_interval(rows: Array, statistic: Callable[[Array], Array]) -> list[float]:
    """Compute the 95 % interval of a statistic by drawing rows with replacement (the bootstrap, Efron 1979).

    The percentiles are shifted by the mean difference of the resamples from the estimate: the calibration error of a
    resample is larger than that of the rows, and the percentiles alone would lie above the estimate.

    Args:
        rows: Values of each of N rows, shape (N, K).
        statistic: Maps R means of the values, shape (R, K), to R statistics, shape (R,), none below 0.

    Returns:
        The lower end, at least 0, and the upper end.
    """
    count = len(rows)
    resamples = int(np.clip(_DRAWS // count, _FEWEST_RESAMPLES, _RESAMPLES))
    random, found = np.random.default_rng(0), []
    at_once = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, resamples, at_once):
        weights = random.multinomial(count, np.full(count, 1 / count), size=min(at_once, resamples - start))
        found.append(statistic(weights @ rows / count))
    [estimate] = statistic(rows.mean(axis=0, keepdims=True))
    drawn = np.concatenate(found)
    low, high = np.percentile(drawn, [2.5, 97.5]) + estimate - drawn.mean()
    return [max(0.0, float(low)), float(high)]


def mean_interval(values: Array) -> list[float]:
    """Return the interval of the mean of N values, none below 0."""
    return row_interval(values.astype(np.float64).reshape(-1, 1), lambda means: means[:, 0])


def share_interval(hits: Array) -> list[float]:
    """Return the interval of a share of N rows (Wilson 1927); of few rows that all count, a bootstrap has no width.

    Args:
        hits: Which rows count, shape (N,), bool.
    """
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]
