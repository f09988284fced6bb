"""Labels that spread among neighbours: against the iteration of Zhou et al. in plain Python, and rows out of reach."""

import math

import numpy as np
import pytest

from textmix.semi_supervised.spreading import spread_labels


def spread(vectors: list[list[float]], labels: list[int | None], classes: int, count: int, alpha: float) -> np.ndarray:
    """Iterate F = α S F + (1 - α) Y; returns the shares of the rows without a label.

    As in scikit-learn, the neighbours of a row are those it finds, itself among them, in one direction.
    """
    rows = range(len(vectors))
    near = [
        set(sorted(rows, key=lambda other: math.dist(vectors[row], vectors[other]))[:count]) - {row} for row in rows
    ]
    sums = [sum(row in near[other] for other in rows) for row in rows]  # how many find the row
    start = [[float(label == number) for number in range(classes)] for label in labels]
    found = [list(row) for row in start]
    for _ in range(300):
        found = [
            [
                (1 - alpha) * start[row][number]
                + alpha
                * sum(found[other][number] / math.sqrt(max(sums[row], 1) * max(sums[other], 1)) for other in near[row])
                for number in range(classes)
            ]
            for row in rows
        ]
    shares = [row for row, label in zip(found, labels, strict=True) if label is None]
    return np.array([[value / sum(row) if sum(row) else 1 / classes for value in row] for row in shares])


@pytest.mark.parametrize("alpha", [0.2, 0.8])
@pytest.mark.parametrize("neighbours", [3, 5, 50])
def test_labels_spread_as_in_a_plain_loop(neighbours: int, alpha: float) -> None:
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(16, 3))
    labels: list[int | None] = [0, 2, 0, 2, *[None] * 12]
    found = spread_labels(vectors[:4], np.array([0, 2, 0, 2]), vectors[4:], 3, neighbours, alpha)
    expected = spread(vectors.tolist(), labels, 3, min(neighbours, 16), alpha)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert not found[:, 1].any() or neighbours == 3  # a class without rows spreads nowhere


def test_rows_follow_their_neighbours_and_rows_out_of_reach_know_nothing() -> None:
    labeled = np.array([[0.0, 0], [10.0, 0]])
    unlabeled = np.array([[0.1, 0], [0.2, 0], [10.1, 0], [10.2, 0], [500.0, 0], [500.1, 0]])
    found = spread_labels(labeled, np.array([1, 0]), unlabeled, 2, 2, 0.2)
    assert found[:4].argmax(axis=1).tolist() == [1, 1, 0, 0]
    assert found[4:].tolist() == [[0.5, 0.5]] * 2


def test_one_row_of_each_kind() -> None:
    found = spread_labels(np.array([[0.0, 1]]), np.array([1]), np.array([[1.0, 1]]), 3, 15, 0.2)
    assert found.tolist() == [[0, 1, 0]]
