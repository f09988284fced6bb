"""Sharpening, alignment and weights of guesses against plain loops over several steps."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from textmix.config.unlabeled import UnlabeledConfig
from textmix.semi_supervised.guesses import Confidence, sharpen

ROWS, BATCH, STEPS = 12, 5, 6


def guesses_of(step: int, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return (scale * torch.randn(BATCH, 3, generator=generator)).softmax(dim=1)


def numbers_of(step: int) -> list[int]:
    return [(step * BATCH + place) % ROWS for place in range(BATCH)]


def shares_of(step: int) -> list[float]:
    return [[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.0, 0.5, 0.5]][step % 3]


def processed(
    steps: int = STEPS, scale: float = 3.0, **options: Any
) -> Iterator[tuple[int, list[list[float]], list[float]]]:
    """Process several steps; yields the number of each, its targets and weights."""
    given = {"sharpening": 1.0, "ema_decay": 0.8, **options}
    confidence = Confidence(UnlabeledConfig(steps=1, **given), 3, ROWS, torch.device("cpu"))
    for step in range(steps):
        numbers = torch.tensor(numbers_of(step))
        targets, weights = confidence.process(guesses_of(step, scale), torch.tensor(shares_of(step)), numbers)
        assert targets.shape == (BATCH, 3)
        assert weights.shape == (BATCH,)
        yield step, targets.tolist(), weights.tolist()


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0, 3.0])
def test_sharpening(temperature: float) -> None:
    given = guesses_of(0)
    for row, found in zip(given.tolist(), sharpen(given, temperature).tolist(), strict=True):
        powers = [value ** (1 / temperature) for value in row]
        assert found == pytest.approx([power / sum(powers) for power in powers], abs=1e-5)


def test_sharpening_of_what_is_certain_or_of_many_classes_stays_finite() -> None:
    assert sharpen(torch.tensor([[1.0, 0.0, 0.0]]), 0.5).tolist() == [pytest.approx([1, 0, 0], abs=1e-5)]
    even = torch.full((1, 50), 0.02)
    torch.testing.assert_close(sharpen(even, 0.01), even)


def test_without_options_guesses_are_as_they_were() -> None:
    for step, targets, weights in processed():
        torch.testing.assert_close(torch.tensor(targets), guesses_of(step))
        assert weights == [1.0] * BATCH


def test_alignment_is_that_of_adamatch() -> None:
    labeled, unlabeled = [0.0] * 3, [0.0] * 3
    for step, targets, _ in processed(align=True):
        guesses = guesses_of(step).tolist()
        for number in range(3):
            labeled[number] = 0.8 * labeled[number] + 0.2 * shares_of(step)[number]
            mean = sum(row[number] for row in guesses) / BATCH
            unlabeled[number] = 0.8 * unlabeled[number] + 0.2 * mean
        for row, found in zip(guesses, targets, strict=True):
            aligned = [row[number] * labeled[number] / unlabeled[number] for number in range(3)]
            assert found == pytest.approx([value / sum(aligned) for value in aligned], abs=1e-5)


def test_alignment_stays_finite_where_a_guess_is_sure_of_a_class_that_no_labelled_row_had() -> None:
    config = UnlabeledConfig(steps=1, align=True, weighting="soft")
    confidence = Confidence(config, 2, 2, torch.device("cpu"))
    targets, weights = confidence.process(torch.eye(2), torch.tensor([1.0, 0.0]), torch.arange(2))
    torch.testing.assert_close(targets, torch.eye(2), atol=1e-4, rtol=0)
    assert weights.isfinite().all()


def test_a_threshold() -> None:
    seen = set()
    for step, _, weights in processed(weighting="threshold", threshold=0.8):
        expected = [float(max(row) >= 0.8) for row in guesses_of(step).tolist()]
        assert weights == expected
        seen |= set(weights)
    assert seen == {0.0, 1.0}


def test_thresholds_of_classes_are_those_of_flexmatch() -> None:
    sure: dict[int, int] = {}
    differ = shy = 0
    for step, _, weights in processed(steps=40, scale=1.5, weighting="class_threshold", threshold=0.9):
        guesses = guesses_of(step, 1.5).tolist()
        for row, number in zip(guesses, numbers_of(step), strict=True):
            if max(row) >= 0.9:
                sure[number] = row.index(max(row))
        counts = [list(sure.values()).count(number) for number in range(3)]
        most = max(*counts, ROWS - len(sure))
        for row, weight in zip(guesses, weights, strict=True):
            share = counts[row.index(max(row))] / most
            assert weight == float(max(row) >= 0.9 * share / (2 - share))
            differ += weight != float(max(row) >= 0.9)
            shy += weight and max(row) < 0.9 * share
    assert differ > shy > 0


def test_weights_are_those_of_softmatch() -> None:
    means, squares, seen = 0.0, 0.0, []
    for step, _, weights in processed(weighting="soft"):
        confidences = [max(row) for row in guesses_of(step).tolist()]
        means = 0.8 * means + 0.2 * sum(confidences) / BATCH
        squares = 0.8 * squares + 0.2 * sum(value**2 for value in confidences) / BATCH
        unbias = 1 - 0.8 ** (step + 1)
        mean, deviation = means / unbias, math.sqrt(squares / unbias - (means / unbias) ** 2)
        expected = [
            1.0 if value >= mean else math.exp(-((value - mean) ** 2) / (2 * (deviation / 2) ** 2))
            for value in confidences
        ]
        assert weights == pytest.approx(expected, rel=1e-3, abs=1e-6)
        seen += weights
    assert min(seen) < 0.9


def test_guesses_are_aligned_before_they_are_weighed_and_sharpened_after() -> None:
    plain = [weights for _, _, weights in processed(align=True, weighting="threshold", threshold=0.8)]
    sharp = [weights for _, _, weights in processed(align=True, weighting="threshold", threshold=0.8, sharpening=0.1)]
    assert plain == sharp
    assert plain != [weights for _, _, weights in processed(weighting="threshold", threshold=0.8)]
