"""How far predicted probabilities can be believed, and the temperature that makes them more believable."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

Array = npt.NDArray[Any]

# Bins of Guo et al. 2017.
_BINS = 15
# Predictions further from what was observed than this are of no use at any temperature.
_LARGEST_TEMPERATURE = 100.0
# In place of probabilities that float32 rounded to 0, so that they have a logarithm.
_SMALLEST = float(np.finfo(np.float32).tiny)


def expected_calibration_error(labels: Array, probabilities: Array, bins: int = _BINS) -> float:
    """Compare confidence with accuracy: the ECE of Guo et al. 2017 (equation 3).

    Rows are put into bins of equal width by the probability of their predicted class, and the distances between
    accuracy and mean confidence of the bins are averaged, weighted by rows.

    Args:
        labels: True class ids, shape (N,).
        probabilities: Shape (N, C).
        bins: Number of bins; the m-th holds confidences in ((m - 1) / bins, m / bins].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    numbers = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(numbers, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def fit_temperature(labels: Array, probabilities: Array) -> float:
    """Find the temperature that makes labels most likely (temperature scaling, Guo et al. 2017).

    The negative log-likelihood of softmax(log p / T) is convex in 1 / T, so that its derivative has one zero.

    Args:
        labels: True class ids of rows that the model was not trained on, shape (N,).
        probabilities: Predicted ones, shape (N, C).

    Returns:
        T, at most 100. Where every row is predicted right there is no most likely one (ever lower ones would make the
        rows more likely), and it is 1.
    """
    logits = _logits(probabilities)
    own = logits[np.arange(len(labels)), labels]

    def slope(inverse: float) -> float:
        return float(((softmax(inverse * logits, axis=1) * logits).sum(axis=1) - own).mean())

    if (own == logits.max(axis=1)).all():
        return 1.0
    low = high = 1 / _LARGEST_TEMPERATURE
    if slope(low) >= 0:
        return _LARGEST_TEMPERATURE
    while slope(high) < 0:
        high *= 2
    return float(1 / brentq(slope, low, high, xtol=1e-12))


def scale(probabilities: Array, temperature: float) -> Array:
    """Divide logits by a temperature; predicted classes stay what they are.

    Args:
        probabilities: Shape (N, C).
        temperature: Above 1 lowers confidence, below 1 raises it.

    Returns:
        softmax(log p / temperature), shape (N, C), float64.
    """
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=1))


def _logits(probabilities: Array) -> Array:
    # The logarithms of a softmax are its logits but for a constant in each row, which changes nothing.
    return np.asarray(log_softmax(np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)), axis=1))
