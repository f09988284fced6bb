"""Choice of rows against plain loops."""

import numpy as np
import numpy.typing as npt
import pytest

from textmix.active_learning.choice import choose_rows, margins

Floats = npt.NDArray[np.float64]


def random_rows(count: int, classes: int = 4, size: int = 6, seed: int = 0) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(classes), count), generator.normal(size=(count, size))


def plain_margin(row: Floats) -> float:
    ordered = sorted(row.tolist(), reverse=True)
    return float(ordered[0] - ordered[1])


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_margins(classes: int) -> None:
    probabilities, _ = random_rows(50, classes)
    np.testing.assert_allclose(margins(probabilities), [plain_margin(row) for row in probabilities], atol=1e-15)


def test_equal_probabilities_have_no_margin() -> None:
    assert margins(np.full((3, 4), 0.25)).tolist() == [0, 0, 0]


def test_margin_takes_the_least_certain_in_order() -> None:
    probabilities, vectors = random_rows(40)
    wanted = sorted(range(40), key=lambda number: (plain_margin(probabilities[number]), number))[:7]
    assert choose_rows("margin", probabilities, vectors, 7, seed=0).tolist() == wanted


def plain_seeding(places: Floats, count: int, seed: int) -> list[int]:
    """k-means++ as scikit-learn draws: of 2 + log(count) trials the one that leaves the least squared distance."""
    random = np.random.RandomState(seed)
    trials = 2 + int(np.log(count))
    chosen = [int(random.choice(len(places), p=np.full(len(places), 1 / len(places))))]
    nearest = [float(((place - places[chosen[0]]) ** 2).sum()) for place in places]
    while len(chosen) < count:
        sums = np.cumsum(nearest)
        draws = [int(np.searchsorted(sums, draw)) for draw in random.uniform(size=trials) * sum(nearest)]
        left = []
        for one in draws:
            distances = [float(((place - places[one]) ** 2).sum()) for place in places]
            left.append([min(old, new) for old, new in zip(nearest, distances, strict=True)])
        best = min(range(trials), key=lambda trial: sum(left[trial]))
        chosen.append(draws[best])
        nearest = left[best]
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_diversity_is_kmeans_plus_plus_on_directions(seed: int) -> None:
    probabilities, vectors = random_rows(60, seed=seed)
    unit = np.array([vector / np.sqrt((vector**2).sum()) for vector in vectors])
    chosen = choose_rows("diversity", probabilities, vectors, 8, seed).tolist()
    assert chosen == plain_seeding(unit, 8, seed)
    scaled = vectors * np.random.default_rng(seed).uniform(0.1, 10, (60, 1))
    assert choose_rows("diversity", probabilities, scaled, 8, seed).tolist() == chosen


@pytest.mark.parametrize("seed", range(5))
def test_both_is_kmeans_plus_plus_on_vectors_as_long_as_rows_are_uncertain(seed: int) -> None:
    probabilities, vectors = random_rows(60, seed=seed)
    places = [
        vector / np.sqrt((vector**2).sum()) * (1 - plain_margin(row))
        for row, vector in zip(probabilities, vectors, strict=True)
    ]
    assert choose_rows("both", probabilities, vectors, 8, seed).tolist() == plain_seeding(np.array(places), 8, seed)


def test_diversity_visits_every_cluster_before_any_twice() -> None:
    generator = np.random.default_rng(0)
    centres = 10 * np.eye(6)
    vectors = np.concatenate([centre + 0.01 * generator.normal(size=(20, 6)) for centre in centres])
    probabilities = np.full((120, 3), 1 / 3)
    for seed in range(10):
        chosen = choose_rows("diversity", probabilities, vectors, 6, seed)
        assert sorted(chosen // 20) == [0, 1, 2, 3, 4, 5]


def test_both_leaves_certain_rows_for_last() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(100, 5))
    probabilities = np.tile([0.999, 0.001], (100, 1))
    probabilities[10:20] = [0.5, 0.5]
    for seed in range(10):  # the first is drawn from all
        assert set(choose_rows("both", probabilities, vectors, 8, seed)[1:].tolist()) <= set(range(10, 20))


@pytest.mark.parametrize("criterion", ["margin", "diversity", "both"])
def test_rows_differ_even_where_their_vectors_do_not(criterion: str) -> None:
    probabilities, vectors = random_rows(30)
    for same in (np.ones((30, 6)), np.zeros((30, 6)), vectors[np.arange(30) % 3]):
        chosen = choose_rows(criterion, probabilities, same, 12, seed=0).tolist()  # type: ignore[arg-type]
        assert len(chosen) == len(set(chosen)) == 12
    certain = np.tile([1.0, 0.0, 0.0, 0.0], (30, 1))
    chosen = choose_rows(criterion, certain, vectors, 30, seed=0).tolist()  # type: ignore[arg-type]
    assert sorted(chosen) == list(range(30))


@pytest.mark.parametrize("criterion", ["margin", "diversity", "both"])
def test_fewer_rows_than_asked_for(criterion: str) -> None:
    for count in (1, 2, 5):
        probabilities, vectors = random_rows(count)
        chosen = choose_rows(criterion, probabilities, vectors, 20, seed=1)  # type: ignore[arg-type]
        assert sorted(chosen.tolist()) == list(range(count))
        assert chosen.dtype == np.int64
