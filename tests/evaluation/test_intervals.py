"""Intervals over rows: against normal theory, a plain loop, and their coverage on many draws."""

import numpy as np
import pytest

from textmix.evaluation.calibration import calibration_intervals, expected_calibration_error, log_losses
from textmix.evaluation.intervals import mean_interval, row_interval, share_interval
from textmix.tasks.multi_label import LabelSet
from textmix.tasks.regression import Numbers
from textmix.tasks.single_label import Classes


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    values = np.random.default_rng(1).gamma(4.0, size=2000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert mean_interval(values) == pytest.approx([values.mean() - half, values.mean() + half], abs=0.15 * half)


def test_it_does_not_depend_on_how_many_resamples_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random(500)
    whole = mean_interval(values)
    monkeypatch.setattr("textmix.evaluation.intervals._DRAWS_AT_ONCE", 500 * 7)
    assert mean_interval(values) == pytest.approx(whole)


def test_it_is_not_below_zero_and_a_constant_has_none() -> None:
    assert mean_interval(np.array([0.0, 0.0, 0.0, 1.0]))[0] == 0.0
    assert mean_interval(np.full(9, 0.5)) == pytest.approx([0.5, 0.5])


def test_rows_of_several_values_are_drawn_together() -> None:
    values = np.random.default_rng(2).random(300)
    low, high = row_interval(np.stack([values, -values], axis=1), lambda means: np.abs(means.sum(axis=1)))
    assert (low, high) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_the_interval_of_the_calibration_error_covers_that_of_many_rows() -> None:
    """The percentile interval would lie above it: resampling adds noise to the error of each bin."""
    random, covered = np.random.default_rng(3), 0
    for _ in range(60):
        confidence = random.uniform(0.55, 0.95, size=600)
        labels = (random.random(600) > confidence - 0.1).astype(int)  # right 0.1 less often than said
        probabilities = np.stack([confidence, 1 - confidence], axis=1)
        low, high = calibration_intervals(labels, probabilities)["ece"]
        covered += low <= 0.1 <= high
    assert covered >= 48


@pytest.mark.parametrize("seed", range(8))
def test_the_estimate_lies_within(seed: int) -> None:
    """Also of few rows and of a calibrated model, whose resamples all have a larger error."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1, 1, 1], size=60)
    labels = (random.random(60)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    found = calibration_intervals(labels, probabilities)
    assert found["nll"][0] < log_losses(labels, probabilities).mean() < found["nll"][1]
    assert found["ece"][0] < expected_calibration_error(labels, probabilities) < found["ece"][1]


def test_decisions_of_a_row_are_drawn_together() -> None:
    """Ten copies of a decision in each row say no more than one."""
    random = np.random.default_rng(5)
    true, outputs = random.random((150, 1)) < 0.4, random.random((150, 1))
    one = LabelSet(["a"]).intervals(true.astype(np.float32), outputs)
    ten = LabelSet(list("abcdefghij")).intervals(np.repeat(true, 10, axis=1).astype(np.float32), outputs.repeat(10, 1))
    for name in ("nll", "ece"):
        assert ten[name] == pytest.approx(one[name])


def test_which_scores_of_a_task_have_one() -> None:
    classes = Classes(["a", "b"])
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert set(classes.intervals(np.array([0, 1, 1]), outputs)) == {"accuracy", "nll", "ece"}
    assert set(classes.intervals(np.array([0, 1, -1]), outputs)) == {"accuracy", "nll", "ece"}
    assert set(classes.intervals(np.array([-1, -1, -1]), outputs)) == {"accuracy"}
    assert set(classes.intervals(np.array([[0.5, 0.5], [0, 1], [1, 0]]), outputs)) == {"accuracy", "nll", "ece"}
    assert Numbers(["x"], [0.0], [1.0]).intervals(np.zeros((3, 1)), np.ones((3, 1))) == {}


def test_a_share_of_few_rows_is_uncertain_even_if_all_are_right() -> None:
    z, hits = 1.959964, np.array([True] * 20)
    assert share_interval(hits) == pytest.approx([20 / (20 + z**2), 1.0])
    hits[:5] = False
    centre, spread = 15 + z**2 / 2, z * (15 * 5 / 20 + z**2 / 4) ** 0.5
    assert share_interval(hits) == pytest.approx([(centre - spread) / (20 + z**2), (centre + spread) / (20 + z**2)])
