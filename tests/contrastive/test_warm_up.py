"""The contrastive warm-up: what it learns, what it leaves as it was, with every strategy."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import Tensor

from tests.support.counting import hooks
from tests.support.few_labels import TOKENIZER, classifier, completed, labeled, weights
from tests.support.trainer import same
from textmix import MixupForSequenceClassification
from textmix.config.contrastive import ContrastiveConfig
from textmix.contrastive.warm_up import sentence_vectors, warm_up
from textmix.errors import ConfigError, TrainingError
from textmix.mixing.registry import STRATEGIES
from textmix.training.steps import StepsMade

CONFIG = ContrastiveConfig(steps=3, batch_size=12, learning_rate=1e-3)


def warmed(
    model: MixupForSequenceClassification,
    config: ContrastiveConfig = CONFIG,
    rows: tuple[Dataset, np.ndarray] | None = None,
    strategy: str = "none",
    seed: int = 0,
    **mix: Any,
) -> StepsMade:
    tokens, targets = rows or labeled()
    return warm_up(model, TOKENIZER, tokens, targets, config, completed(strategy, **mix), "fp32", seed, False)


def of_encoder(model: MixupForSequenceClassification) -> dict[str, Tensor]:
    return {name: value for name, value in weights(model).items() if not name.startswith("classifier")}


def test_rows_of_a_class_come_together() -> None:
    model, (rows, targets) = classifier(), labeled(30)
    same_class = (targets[:, None] == targets) & ~np.eye(30, dtype=bool)

    def gap() -> float:
        vectors = sentence_vectors(model, TOKENIZER, rows, 8)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        similarity = unit @ unit.T
        return float(similarity[same_class].mean() - similarity[targets[:, None] != targets].mean())

    before = gap()
    made = warmed(model, replace(CONFIG, steps=60, batch_size=24, learning_rate=3e-3), (rows, targets))
    assert made.steps == 60
    assert made.loss < math.log(7) + 0.02  # the least there is: 8 of 24 rows have a class
    assert gap() > before + 0.3


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("classes", [3, 32])  # 32 is the size of the sentence vectors, too
def test_all_but_the_encoder_is_as_before(
    fails: bool, training: bool, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(dropout=0.2, classes=classes).train(training)
    head, dropout, head_weights = model.classifier, model.dropout, model.classifier.weight.clone()
    config, modules, count = model.config.to_dict(), dict(model.named_modules()), hooks(model)
    encoder = of_encoder(model)
    config_file = {**CONFIG.__dict__, "learning_rate": 1e30 if fails else 1e-3, "steps": 11}
    if fails:
        with pytest.raises(TrainingError):
            warmed(model, ContrastiveConfig(**config_file), strategy="manifold")
    else:
        warmed(model, ContrastiveConfig(**config_file), strategy="manifold")
        assert not same(of_encoder(model), encoder)
    assert model.classifier is head
    assert model.dropout is dropout
    assert model.dropout.p == 0.2
    assert torch.equal(head.weight, head_weights)
    assert head.weight.requires_grad
    assert model.config.to_dict() == config
    assert model.config.num_labels == classes
    assert model.config.id2label[1] == "class 1"
    assert model.config.label2id["class 1"] == 1
    assert dict(model.named_modules()) == modules
    assert hooks(model) == count
    assert not hasattr(model, "mixer")
    assert {module.training for module in model.modules()} == {training}


def test_a_frozen_part_stays() -> None:
    model = classifier()
    model.encoder.embeddings.requires_grad_(False)
    before = of_encoder(model)
    warmed(model)
    for name, value in of_encoder(model).items():
        if name.endswith("weight"):
            assert torch.equal(value, before[name]) == ("embeddings" in name), name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy(strategy: str) -> None:
    once, again, other, none = (classifier() for _ in range(4))
    made = warmed(once, strategy=strategy, seed=5)
    assert np.isfinite(made.loss)
    assert made.loss > 0
    assert warmed(again, strategy=strategy, seed=5).loss == made.loss
    assert same(weights(once), weights(again))
    warmed(other, strategy=strategy, seed=6)
    assert not same(weights(once), weights(other))
    warmed(none, seed=5)
    assert same(weights(once), weights(none)) == (strategy == "none")


@pytest.mark.parametrize("partner", ["same_class", "other_class", "nearest", "length"])
def test_every_partner(partner: str) -> None:
    assert np.isfinite(warmed(classifier(), strategy="manifold", partner=partner).loss)


def test_lam_by_similarity() -> None:
    assert np.isfinite(warmed(classifier(), strategy="word", lam="similarity").loss)


@pytest.mark.parametrize("options", [{"partner": "easy_hard"}, {"targets": "trust"}])
def test_sentence_vectors_have_no_probabilities(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^partner easy_hard and targets trust need probabilities of classes, not"):
        warmed(classifier(), strategy="word", **options)


def test_targets_of_remix_and_a_schedule_of_alpha() -> None:
    one, stopped, none = replace(CONFIG, steps=1), classifier(), classifier()
    plain = warmed(classifier(), one, strategy="manifold").loss
    even = warmed(classifier(), one, strategy="manifold", targets="remix").loss
    assert even == pytest.approx(plain, rel=1e-5)  # classes of equal size are blended as ever
    uneven = warmed(classifier(), one, strategy="manifold", targets="remix", class_counts=[1, 100, 1]).loss
    assert uneven != pytest.approx(plain, rel=2e-5)
    warmed(stopped, strategy="word", start=0.9)
    warmed(none)
    assert same(weights(stopped), weights(none))  # the progress of the steps is known


def test_a_class_with_one_row_has_a_pair_of_views() -> None:
    rows, targets = labeled(3)
    model = classifier()
    assert warmed(model, replace(CONFIG, batch_size=6), (rows, targets)).loss > 0


def test_a_class_without_rows() -> None:
    rows, targets = labeled(9)
    kept = np.flatnonzero(targets != 1)
    made = warmed(classifier(), rows=(rows.select(kept), targets[kept]))
    assert np.isfinite(made.loss)
    assert made.loss > 0
    one = warmed(classifier(), replace(CONFIG, batch_size=2), (rows.select([0]), targets[:1]))
    assert one.loss == pytest.approx(0, abs=1e-6)  # two views of one row: nothing to be far from


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_trained_weights_are_averaged_with_those_before(share: float) -> None:
    whole, averaged = classifier(), classifier()
    before = weights(whole)
    warmed(whole)
    warmed(averaged, replace(CONFIG, interpolation=share))
    if share == 0:
        assert same(weights(averaged), before)
    assert not same(weights(whole), before)
    for name, value in weights(averaged).items():
        start, end = before[name].flatten().tolist(), weights(whole)[name].flatten().tolist()
        expected = [first + share * (last - first) for first, last in zip(start, end, strict=True)]
        torch.testing.assert_close(value.flatten(), torch.tensor(expected, dtype=value.dtype), atol=1e-6, rtol=1e-5)


def test_bfloat16_trains_about_the_same() -> None:
    model, other = classifier(dropout=0.0), classifier(dropout=0.0)
    made = warmed(model)
    tokens, targets = labeled()
    found = warm_up(other, TOKENIZER, tokens, targets, CONFIG, completed("none"), "bf16", 0, False)
    assert found.loss == pytest.approx(made.loss, rel=0.05)
    assert {value.dtype for value in other.parameters()} == {torch.float32}


def test_sentence_vectors_are_in_the_order_of_the_rows() -> None:
    model, (rows, _) = classifier().train(), labeled(7)
    rows = rows.map(lambda row, number: {name: cells[: 3 + number] for name, cells in row.items()}, with_indices=True)
    found = sentence_vectors(model, TOKENIZER, rows, 2)
    assert model.training
    for number in range(7):
        inputs = {name: torch.tensor([cells]) for name, cells in rows[number].items()}
        with torch.no_grad():
            expected = model.eval().pool(**inputs)[0]
        np.testing.assert_allclose(found[number], expected.numpy(), atol=1e-5)
        model.train()
