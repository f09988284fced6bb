"""Choose rows to label: the least certain, the most diverse, or both."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.cluster import kmeans_plusplus

from textmix.data.label_format import Array

Criterion = Literal["margin", "diversity", "both"]


def margins(probabilities: Array) -> Array:
    """Return how far the most likely class is ahead of the next.

    Args:
        probabilities: Shape (N, C), of at least two classes.

    Returns:
        Shape (N,).
    """
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return np.asarray(first - second)


def choose_rows(
    criterion: Criterion, probabilities: Array, vectors: Array, count: int, seed: int
) -> npt.NDArray[np.int64]:
    """Choose rows.

    `margin` takes the rows with the smallest margin. `diversity` takes the centres that k-means++ would start from
    (Arthur and Vassilvitskii 2007): each far from those before. `both` does so with vectors whose length is
    1 - margin, so that the ambiguous ones are far from each other (the idea of Ash et al. 2020, BADGE, who take
    gradients).

    Args:
        criterion: How rows are chosen.
        probabilities: Shape (N, C).
        vectors: Sentence vectors, shape (N, H).
        count: Number of rows; all are chosen if there are fewer.
        seed: Seed of k-means++.

    Returns:
        Their numbers, all different, in the order in which they are to be labelled. If too few vectors differ, the
        rows with the smallest margin follow.
    """
    count = min(count, len(vectors))
    if criterion == "margin":
        return np.argsort(margins(probabilities), kind="stable")[:count]
    places = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    if criterion == "both":
        places = places * (1 - margins(probabilities))[:, None]
    _, centres = kmeans_plusplus(places.astype(np.float64), count, random_state=seed)
    # Where fewer places than `count` differ, k-means++ takes some twice.
    chosen = dict.fromkeys([*centres.tolist(), *np.argsort(margins(probabilities), kind="stable").tolist()])
    return np.asarray(list(chosen)[:count], dtype=np.int64)
