"""Statistics of few paired runs: test, interval, correction for many comparisons, runs needed. Pure functions."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, nct, norm, permutation_test, t

from textmix.io.compat import scipy_generator

Array = npt.NDArray[np.float64]

# The usual significance level, and the power recommended by Cohen 1988.
LEVEL, POWER = 0.05, 0.8
# A bootstrap interval cannot exceed the smallest and the largest difference. If differences are symmetric, the mean
# lies between these with probability 1 - 2 ** (1 - N), which is 0.94 for N = 5.
FEWEST_FOR_INTERVALS = 5
# Number of sign flips and of bootstrap samples; large, because the expanded percentiles are extreme.
_RESAMPLES = 20_000
# Above this number `pairs_needed` returns None.
_MOST_PAIRS = 1_000_000


def sign_flip_test(differences: Sequence[float]) -> float:
    """Test whether paired differences have the mean 0, by flipping their signs (Fisher 1935).

    Under the null hypothesis the two runs of a pair are exchangeable, so every choice of signs is equally likely. All
    choices are evaluated for up to 14 pairs, otherwise 20 000 random ones with a fixed seed.

    Args:
        differences: One for each of the N ≥ 2 pairs.

    Returns:
        Two-sided p value: the share of choices whose mean is at least as far from 0 as the observed mean; at least
        `smallest_p`.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values / (np.abs(values).max() or 1)
    result = permutation_test(
        (values, np.zeros_like(values)),
        # Rounded, so that means that differ only by floating-point error count as equal: differences of accuracies
        # are multiples of one number.
        lambda first, second, axis: (first - second).mean(axis=axis).round(9),
        permutation_type="samples",
        n_resamples=_RESAMPLES,
        vectorized=True,
        **scipy_generator(0),
    )
    return float(result.pvalue)


def smallest_p(pairs: int) -> float:
    """Return the smallest p value of the test for a number of pairs: all differences have the same sign."""
    return max(2.0 ** (1 - pairs), 2 / (_RESAMPLES + 1))


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the mean of paired differences.

    This is the expanded percentile interval of Hesterberg 2015, because the ordinary percentile interval is too narrow
    for few samples (by a factor of 0.63 for 5 pairs). For fewer than `FEWEST_FOR_INTERVALS` pairs it is still too
    narrow.

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
        **scipy_generator(0),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of comparisons (Holm 1979); keeps their order.

    This bounds the probability of any false positive at a significance level by that level.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        corrected[number] = largest
    return corrected


def pairs_needed(differences: Sequence[float]) -> int | None:
    """Compute the number of pairs needed to show the observed difference, given the observed noise.

    Args:
        differences: One for each of the N ≥ 2 pairs.

    Returns:
        Number of pairs for which a two-sided paired t test at the 5 % level has a power of 80 %; None if it is above a
        million, or the mean is 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean, spread = abs(float(values.mean())), float(values.std(ddof=1))
    if spread <= 1e-12:  # 0 up to rounding
        return 2 if mean > 1e-12 else None
    effect = mean / spread
    # Start from the number for a known standard deviation; estimating it takes a few more pairs.
    known = (norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) ** 2
    if known > _MOST_PAIRS * effect**2:
        return None
    pairs: int = max(2, math.floor(known / effect**2))
    while _power(pairs, effect) < POWER:
        pairs += 1
    return pairs


def _power(pairs: int, effect: float) -> float:
    if pairs > 10_000:  # the t distribution is close to normal
        return float(norm.sf(norm.ppf(1 - LEVEL / 2) - effect * math.sqrt(pairs)))
    critical, shift = t.ppf(1 - LEVEL / 2, pairs - 1), effect * math.sqrt(pairs)
    return float(nct.sf(critical, pairs - 1, shift) + nct.cdf(-critical, pairs - 1, shift))
