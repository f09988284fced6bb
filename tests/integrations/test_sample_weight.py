"""Sample weights: each label of a blended row counts as much as the row that it comes from."""

import math

import pytest
import torch

from tests.support.batches import Batch
from tests.support.families import fresh
from tests.support.strategies import MIXING, SPECIAL_IDS, mix
from textmix.errors import ConfigError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import Mixer

WEIGHTS = [0.5, 2.0, 0.0, 1.5, 1.0]


def cost(logits: list[float], label: int) -> float:
    largest = max(logits)
    return math.log(sum(math.exp(value - largest) for value in logits)) + largest - logits[label]


def looped(logits: list[list[float]], labels: list[int], rows: list[list[int]], shares: list[list[float]]) -> float:
    """The weighted loss of blended rows, row by row and label by label."""
    total = 0.0
    for own, numbers, weights in zip(logits, rows, shares, strict=True):
        total += sum(share * WEIGHTS[j] * cost(own, labels[j]) for j, share in zip(numbers, weights, strict=True))
    return total / len(logits)


@pytest.mark.parametrize("strategy", MIXING)
def test_the_loss_of_a_model_is_the_blend_of_weighted_losses(strategy: str, ragged: Batch) -> None:
    model = fresh("TextCNN")
    mixer = attach(model, mix(strategy, special_ids=SPECIAL_IDS), seed=3)
    outputs = model(**ragged, sample_weight=torch.tensor(WEIGHTS))
    plan = mixer.plan
    assert plan is not None
    expected = looped(outputs.logits.tolist(), ragged["labels"].tolist(), plan.rows.tolist(), plan.targets.tolist())
    assert outputs.loss.item() == pytest.approx(expected)
    assert 0 <= mixer.metrics["accuracy"] <= 1


def test_without_mixing_and_with_clean_rows(ragged: Batch) -> None:
    labels, weights = ragged["labels"].tolist(), torch.tensor(WEIGHTS)
    alone, ones = [[i] for i in range(5)], [[1.0]] * 5
    model = fresh("TextCNN")
    attach(model, mix("none"))
    outputs = model(**ragged, sample_weight=weights)
    assert outputs.loss.item() == pytest.approx(looped(outputs.logits.tolist(), labels, alone, ones))

    logits = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    made = Mixer(MixConfig(strategy="sentence", regmix=0.5), LossConfig(), num_blocks=1)
    made.plan = made.draw(ragged["labels"])
    assert made.plan is not None
    mixed = made.plan.mixed
    assert mixed is not None
    clean = looped(logits[:5].tolist(), labels, alone, ones)
    blended = looped(logits[5:].tolist(), labels, mixed.rows.tolist(), mixed.targets.tolist())
    loss = made.score(logits, ragged["labels"], None, None, weights)
    assert loss.item() == pytest.approx(clean + 0.5 * blended)


@pytest.mark.parametrize("strategy", ["none", "word", "cutmix"])
def test_all_tokens_of_a_row_weigh_what_it_weighs(strategy: str) -> None:
    """Where all weights are alike, they scale the loss; where one row weighs nothing, its labels do not matter."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (4, 6), generator=generator)
    logits = torch.randn(4, 6, 3, generator=generator)
    made = Mixer(mix(strategy), LossConfig(), num_blocks=1)
    made.plan = made.draw(labels, torch.arange(5, 29).view(4, 6))
    plain = made.score(logits, labels, None, 24)
    assert made.score(logits, labels, None, 24, torch.full((4,), 2.0)).item() == pytest.approx(2 * plain.item())
    weights, other = torch.tensor([1.0, 0.0, 1.0, 1.0]), labels.clone()
    other[1] = (other[1] + 1) % 3
    assert made.score(logits, labels, None, 24, weights) == made.score(logits, other, None, 24, weights)
    assert made.score(logits, labels, None, 24) != made.score(logits, other, None, 24)


def test_numbers_and_several_labels_are_weighted_too() -> None:
    targets = torch.rand(5, 3, generator=torch.Generator().manual_seed(2))
    logits = torch.zeros(5, 3)
    for declared in ("regression", "multi_label_classification", "single_label_classification"):
        made = Mixer(MixConfig(strategy="none"), LossConfig(), num_blocks=1)
        rows = [made.score(logits[i : i + 1], targets[i : i + 1], declared, None).item() for i in range(5)]
        expected = sum(weight * row for weight, row in zip(WEIGHTS, rows, strict=True)) / 5
        assert made.score(logits, targets, declared, None, torch.tensor(WEIGHTS)).item() == pytest.approx(expected)


def test_one_weight_a_row(ragged: Batch) -> None:
    model = fresh("TextCNN")
    attach(model, mix("word"))
    with pytest.raises(ConfigError, match=r"sample_weight of shape \(4,\) does not fit a batch of 5 rows"):
        model(**ragged, sample_weight=torch.ones(4))
