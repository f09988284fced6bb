"""Guess labels by spreading those of labelled rows among neighbours."""

import numpy as np
import numpy.typing as npt
from sklearn.semi_supervised import LabelSpreading

from textmix.data.label_format import Array

Probabilities = npt.NDArray[np.float64]


def spread_labels(
    labeled: Array, targets: Array, unlabeled: Array, classes: int, neighbours: int, alpha: float
) -> Probabilities:
    """Spread labels over the nearest neighbours of sentence vectors (Zhou et al. 2004, by scikit-learn).

    Args:
        labeled: Vectors of the labelled rows, shape (N, H).
        targets: Their classes, shape (N,).
        unlabeled: Vectors of the other rows, shape (M, H).
        classes: Number of classes, C.
        neighbours: Number of neighbours of a row, which is one of them; at most all rows are.
        alpha: Share of a row's label that comes from its neighbours.

    Returns:
        Probabilities of the classes of the other rows, shape (M, C); of a row that no label reaches they are equal.
    """
    vectors = np.concatenate([labeled, unlabeled])
    known = np.concatenate([targets, np.full(len(unlabeled), -1)])
    count = min(neighbours, len(vectors))
    fitted = LabelSpreading(kernel="knn", n_neighbors=count, alpha=alpha, max_iter=100).fit(vectors, known)
    found = np.zeros((len(unlabeled), classes))
    found[:, fitted.classes_] = fitted.label_distributions_[len(labeled) :]
    total = found.sum(axis=1, keepdims=True)
    return np.where(total > 0, found / np.where(total > 0, total, 1), 1 / classes)
