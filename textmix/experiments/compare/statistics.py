"""Paired comparisons of few runs: test, interval, correction for many comparisons, runs needed. Pure functions."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, nct, norm, permutation_test, t

Array = npt.NDArray[np.float64]

# What is usual: errors of the first kind, and power as in Cohen 1988.
LEVEL, POWER = 0.05, 0.8
# An interval ends at the smallest and the largest difference, between which the mean lies with a probability of
# 1 - 2 ** (1 - N) where differences are symmetric: 0.94 for 5.
FEWEST_FOR_INTERVALS = 5
# So many choices of signs are tried, and so many bootstrap samples drawn: their percentiles lie far out.
_RESAMPLES = 20_000
# Nobody trains more pairs of models than this.
_MOST_PAIRS = 1_000_000


def sign_flip_test(differences: Sequence[float]) -> float:
    """Test whether paired differences have the mean 0, by flipping their signs (Fisher 1935).

    If it made no difference which of a pair is which, every choice of signs would be as likely. All of them are tried
    for up to 14 pairs, else 20 000 drawn from a fixed seed.

    Args:
        differences: One for each of the N ≥ 2 pairs.

    Returns:
        Two-sided p value: the share of choices whose mean is as far from 0 as the one observed. It is never below
        `smallest_p`.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values / (np.abs(values).max() or 1)
    result = permutation_test(
        (values, np.zeros_like(values)),
        # Rounded, as differences of accuracies are multiples of one number but for their last bits, and signs whose
        # means are equal must count as equal.
        lambda first, second, axis: (first - second).mean(axis=axis).round(9),
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_p(pairs: int) -> float:
    """Return the smallest p value that the test can give for so many pairs: that of differences of one sign."""
    return max(2.0 ** (1 - pairs), 2 / (_RESAMPLES + 1))


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Find the 95 % interval of the mean of paired differences by the bootstrap over pairs.

    The percentiles are those that Hesterberg 2015 takes for few samples ("expanded percentile interval"): the ordinary
    ones are too narrow, for 5 pairs by a factor of 0.63. Those of fewer than `FEWEST_FOR_INTERVALS` pairs still are.

    Args:
        differences: One for each of the N ≥ 2 pairs.

    Returns:
        Lower and upper end.
    """
    values = np.asarray(differences, dtype=np.float64)
    size = len(values)
    expanded = math.sqrt(size / (size - 1)) * t.ppf(1 - LEVEL / 2, size - 1)
    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=2 * norm.cdf(expanded) - 1,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of comparisons (Holm 1979), in the order they came in.

    The chance that any of them falls below a level by chance alone is then at most that level.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        corrected[number] = largest
    return corrected


def pairs_needed(differences: Sequence[float]) -> int | None:
    """Say how many pairs would show a difference as large, against as much noise, as the one observed.

    Args:
        differences: One for each of the N ≥ 2 pairs.

    Returns:
        Pairs for which a two-sided paired t test at 5 % has a power of 80 %; None where they would be more
        than a million, or the mean is 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean, spread = abs(float(values.mean())), float(values.std(ddof=1))
    if spread <= 1e-12:  # 0, but for rounding
        return 2 if mean > 1e-12 else None
    effect = mean / spread
    # What would do if the standard deviation were known; a test that estimates it needs a few more.
    known = (norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) ** 2
    if known > _MOST_PAIRS * effect**2:
        return None
    pairs: int = max(2, math.floor(known / effect**2))
    while _power(pairs, effect) < POWER:
        pairs += 1
    return pairs


def _power(pairs: int, effect: float) -> float:
    if pairs > 10_000:  # there the t distribution is the normal one
        return float(norm.sf(norm.ppf(1 - LEVEL / 2) - effect * math.sqrt(pairs)))
    critical, shift = t.ppf(1 - LEVEL / 2, pairs - 1), effect * math.sqrt(pairs)
    return float(nct.sf(critical, pairs - 1, shift) + nct.cdf(-critical, pairs - 1, shift))
