"""Calibration, against plain loops and hand-worked examples."""

import math

import numpy as np
import pytest

from textmix.evaluation.calibration import expected_calibration_error, fit_temperature, scale
from textmix.tasks.single_label import Classes


def predictions(rows: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from a softmax, and make the probabilities of a model that is so much too sure of it."""
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((rows, 4))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(4, p=row) for row in truth])
    sure = np.exp(logits * temperature)
    return labels, sure / sure.sum(axis=1, keepdims=True)


def ece_in_a_loop(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    total = 0.0
    for number in range(1, bins + 1):
        members = [
            (max(row), int(list(row).index(max(row)) == label))
            for row, label in zip(probabilities, labels, strict=True)
            if (number - 1) / bins < max(row) <= number / bins
        ]
        if members:
            confidence = sum(member[0] for member in members) / len(members)
            accuracy = sum(member[1] for member in members) / len(members)
            total += len(members) / len(labels) * abs(accuracy - confidence)
    return total


def nll(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return -sum(math.log(row[label]) for row, label in zip(probabilities, labels, strict=True)) / len(labels)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_is_that_of_a_loop_over_the_bins(bins: int) -> None:
    labels, probabilities = predictions(300, 3.0)
    assert expected_calibration_error(labels, probabilities, bins) == pytest.approx(
        ece_in_a_loop(labels, probabilities, bins)
    )


def test_ece_by_hand() -> None:
    # 0.5 and 0.52 share the eighth of 15 bins, where one of two is right; 0.9 and 1.0 each have a bin of their own.
    probabilities = np.array([[0.5, 0.5], [0.48, 0.52], [0.9, 0.1], [0.0, 1.0]])
    expected = 2 / 4 * abs(0.5 - 0.51) + 1 / 4 * 0.9 + 1 / 4 * 0
    assert expected_calibration_error(np.array([0, 0, 1, 1]), probabilities) == pytest.approx(expected)


def test_ece_has_15_bins_and_takes_float32() -> None:
    labels, probabilities = predictions(300, 3.0)
    found = expected_calibration_error(labels, probabilities.astype(np.float32))
    assert found == pytest.approx(ece_in_a_loop(labels, probabilities, 15), rel=1e-5)
    assert expected_calibration_error(np.array([0]), np.array([[1.0, 0.0]])) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    assert fit_temperature(*predictions(20_000, temperature)) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("prior_sd", [0.5, math.inf])
@pytest.mark.parametrize("rows", [10, 200])
def test_no_temperature_of_a_grid_is_more_likely(rows: int, prior_sd: float) -> None:
    labels, probabilities = predictions(rows, 2.5)

    def loss(temperature: float) -> float:
        likelihood = rows * nll(labels, scale(probabilities, temperature))
        return likelihood + math.log(temperature) ** 2 / (2 * prior_sd**2)

    best = loss(fit_temperature(labels, probabilities, prior_sd))
    for temperature in np.geomspace(0.1, 50, 400):
        assert best <= loss(temperature) + 1e-9


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_prior_does_not_move_the_temperature_of_many_rows(temperature: float) -> None:
    given = predictions(20_000, temperature)
    assert fit_temperature(*given) == pytest.approx(fit_temperature(*given, prior_sd=math.inf), rel=1e-3)


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0.6), (1, 0.7), (2, 0.8), (0, 0.3332)],  # three right, one wrong by a hair: T would go to 0
        [(0, 0.2), (1, 0.1), (2, 0.3), (0, 0.05)],  # all wrong: T would go to 100
        [(0, 0.9), (1, 0.8)],
        [(0, 1e-6)],
    ],
)
def test_few_rows_cannot_make_the_temperature_run_away(rows: list[tuple[int, float]]) -> None:
    """On as good a model as any, whose other rows are scored at the temperature of these."""
    labels = np.array([label for label, _ in rows])
    probabilities = np.array(
        [[own if number == label else (1 - own) / 2 for number in range(3)] for label, own in rows]
    )
    temperature = fit_temperature(labels, probabilities)
    assert 0.2 < temperature < 5
    for sharpness in (0.5, 1.0, 3.0):
        others, predicted = predictions(2000, sharpness)
        assert nll(others, scale(predicted, temperature)) < nll(others, predicted) + 0.4


def test_one_row_moves_the_temperature_less_than_many() -> None:
    one = np.array([0]), np.array([[0.1, 0.9]])
    many = np.repeat(one[0], 50), np.repeat(one[1], 50, axis=0)
    assert 1 < fit_temperature(*one) < fit_temperature(*many)


def test_where_every_row_is_right_nothing_is_scaled() -> None:
    assert fit_temperature(np.array([0, 1]), np.array([[0.6, 0.4], [0.2, 0.8]])) == 1


def test_predictions_that_are_worse_than_guessing_become_guesses() -> None:
    labels, probabilities = np.array([1, 0] * 2000), np.array([[0.9, 0.1], [0.2, 0.8]] * 2000)
    assert fit_temperature(labels, probabilities) == 100
    assert scale(probabilities, 100) == pytest.approx(np.full((4000, 2), 0.5), abs=0.01)


def test_probabilities_that_were_rounded_to_zero_or_one_can_be_scaled() -> None:
    probabilities = np.array([[1, 0, 0]] * 9 + [[0, 1, 0], [0.5, 0.3, 0.2]], dtype=np.float32)
    temperature = fit_temperature(np.array([0] * 9 + [2, 1]), probabilities)
    scaled = scale(probabilities, temperature)
    assert 1 < temperature < 100
    assert np.isfinite(scaled).all()
    assert scaled.sum(axis=1) == pytest.approx(1)


def test_scaling_divides_logits() -> None:
    logits = np.array([[2.0, 0.5, -1.0]])
    before, expected = (np.exp(z) / np.exp(z).sum() for z in (logits, logits / 1.7))
    assert scale(before, 1.7) == pytest.approx(expected)
    assert scale(before, 1.0) == pytest.approx(before)


def test_the_temperature_comes_from_validation_and_is_used_on_test() -> None:
    names = list("abcd")
    (labels, probabilities), (targets, outputs) = (predictions(2000, 3.0, seed) for seed in (1, 2))
    space = Classes(names)
    temperatures = space.temperatures(labels, probabilities)
    assert temperatures == [fit_temperature(labels, probabilities)] * 4
    test, scaled = space.scores(targets, outputs), space.scores(targets, space.scaled(outputs, temperatures))
    assert scaled["nll"] < test["nll"]
    assert scaled["ece"] < test["ece"] / 2
    assert scaled["accuracy"] == test["accuracy"]
