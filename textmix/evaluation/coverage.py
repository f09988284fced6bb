"""Risk and coverage: the accuracy on the rows of which a classifier is most confident (El-Yaniv and Wiener 2010)."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textmix.evaluation.tables import Table

Array = npt.NDArray[Any]


class Coverage(NamedTuple):
    """The rows whose confidence is not below a threshold.

    Args:
        threshold: The confidence.
        share: Their share of all rows.
        accuracy: The share of them that is classified rightly.
    """

    threshold: float
    share: float
    accuracy: float


def coverage_curve(correct: Array, confidence: Array) -> list[Coverage]:
    """Return accuracy by coverage, from all rows down to the most confident ones.

    Args:
        correct: Which of N rows are classified rightly, shape (N,), bool.
        confidence: The probability of the predicted class, shape (N,).

    Returns:
        A point for each of the coverages 1.00, 0.95, ... 0.05 that can be told apart with N rows.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, right = confidence[order], correct[order].cumsum()
    counts = sorted({int(np.ceil(step * len(order) / 20)) for step in range(1, 21)} - {0}, reverse=True)
    points = []
    for count in counts:
        # Rows of one confidence are predicted or left out together.
        last = int(np.searchsorted(-sorted_confidence, -sorted_confidence[count - 1], side="right"))
        points.append(Coverage(float(sorted_confidence[last - 1]), last / len(order), float(right[last - 1] / last)))
    return list(dict.fromkeys(points))


def coverage_table(curve: list[Coverage]) -> Table:
    """Return a curve as a table."""
    rows = [(f"{share:.1%}", f"{accuracy:.4f}", f"{threshold:.4f}") for threshold, share, accuracy in curve]
    return Table(("rows", "accuracy", "least confidence"), rows)


def threshold_for(curve: list[Coverage], accuracy: float) -> Coverage | None:
    """Return the point with the most coverage at which an accuracy is reached; None if it never is."""
    return next((point for point in curve if point.accuracy >= accuracy), None)
