"""Mixing and scoring under the trainer: what it fills in and tells the mixer, and what a resumed run repeats."""

import signal
from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification

from tests.support.commands import tells
from tests.support.family_configs import bert_config
from tests.support.trainer import (
    NAMES,
    ROWS,
    TOKENIZER,
    history,
    on_loop,
    same,
    send,
    stop_at,
    textcnn,
    trainer,
    weights,
)
from textmix.errors import ConfigError, ModelError, TrainingInterrupted
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import Mixer, MixObserver
from textmix.mixing.registry import STRATEGIES
from textmix.training.loop import TrainingLoop

CHOICES = {"word": 0.5, "cutmix": 0.5}
# Food is rare here: 20 rows of music and of sport, 5 of food.
UNBALANCED = [row for number, row in enumerate(ROWS) if row[1] != "food" or number < 15]


def config_of(strategy: str) -> MixConfig:
    choices = CHOICES if strategy == "any" else None
    return MixConfig(strategy=strategy, any={"choices": choices}, lam="fixed", lam_value=0.5)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("kind", ["textcnn", "bert"])
def test_every_strategy_trains(tmp_path: Path, strategy: str, kind: str) -> None:
    torch.manual_seed(0)
    config = bert_config()
    config.vocab_size = len(TOKENIZER)
    model = BertForSequenceClassification(config) if kind == "bert" else None
    instance = trainer(tmp_path, mix=config_of(strategy), model=model, epochs=1, log_steps=1, batch_size=20)
    plans = []
    stop_at(instance, 1, lambda loop: plans.append(loop.mixer.plan))
    assert instance.train().step == 3
    assert (plans[0] is None) == (strategy == "none")
    lines = [line for line in history(tmp_path) if "loss" in line]
    assert all(0 < line["loss"] < 3 for line in lines)
    assert all((line["lam"] == 1) == (strategy == "none") for line in lines)


class TestCompletion:
    def test_counts_and_special_tokens_are_filled_in(self, tmp_path: Path) -> None:
        mix = trainer(tmp_path, mix=MixConfig(strategy="cutmix", targets="remix"), rows=UNBALANCED).mix
        assert mix.class_counts == [5, 20, 20]
        assert mix.special_ids == special_ids(TOKENIZER)
        assert TOKENIZER.unk_token_id not in mix.special_ids
        assert TOKENIZER.pad_token_id in mix.special_ids

    def test_a_class_without_rows_counts_none(self, tmp_path: Path) -> None:
        rows = [row for row in ROWS if row[1] != "music"]
        assert trainer(tmp_path, mix=MixConfig(targets="remix"), rows=rows).mix.class_counts == [20, 0, 20]

    def test_what_does_not_fit_the_classes_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            trainer(tmp_path, mix=MixConfig(class_counts=[1]), loss=LossConfig(class_weights=[1.0, 2.0]))
        counts, weights = str(caught.value).split(";")
        assert tells(counts, "mix.class_counts", "1", "3", "LABEL_0, LABEL_1, LABEL_2")
        assert tells(weights, "loss.class_weights", "2", "3", "LABEL_0, LABEL_1, LABEL_2")


def first_loss(loss: LossConfig, directory: Path) -> float:
    """Loss of the one step over all unbalanced rows, unmixed and without dropout."""
    options = {"epochs": 1, "batch_size": len(UNBALANCED), "log_steps": 1, "validation": None, "rows": UNBALANCED}
    trainer(directory, "none", textcnn(dropout=0.0), loss=loss, **options).train()
    return float(history(directory)[0]["loss"])


def test_balanced_weights_are_those_of_the_training_rows(tmp_path: Path) -> None:
    counts = [sum(label == name for _, label in UNBALANCED) for name in NAMES]
    assert counts == [5, 20, 20]
    given = [sum(counts) / (3 * count) for count in counts]
    balanced = first_loss(LossConfig(class_weights="balanced"), tmp_path / "a")
    assert balanced == pytest.approx(first_loss(LossConfig(class_weights=given), tmp_path / "b"))
    assert balanced != pytest.approx(first_loss(LossConfig(), tmp_path / "c"), rel=1e-3)


def test_remix_knows_the_training_rows(tmp_path: Path) -> None:
    instance = trainer(tmp_path, mix=MixConfig(strategy="word", targets="remix"), epochs=1)
    assert instance.mix.class_counts == [20, 20, 20]
    assert instance.train().step == 8


class TestProgress:
    def test_it_is_told_before_each_step(self, tmp_path: Path) -> None:
        instance = trainer(tmp_path, mix=MixConfig(start=0.25, stop=0.75), epochs=2, accumulation_steps=2)
        seen = []

        class Noting(MixObserver):
            def __init__(self, mixer: Mixer) -> None:
                self.mixer = mixer

            def scored(self, rows: int, loss: torch.Tensor) -> None:
                seen.append((self.mixer.progress, self.mixer.plan is not None))

        on_loop(instance, lambda loop: loop.mixer.observers.append(Noting(loop.mixer)))
        instance.train()
        assert seen == [(step / 8, 2 <= step < 6) for step in range(8) for _ in range(2)]

    def test_alpha_follows_its_schedule(self, tmp_path: Path) -> None:
        mix = MixConfig(strategy="word", alpha=1.0, alpha_schedule="linear_out", per_sample=True)
        instance = trainer(tmp_path, mix=mix, epochs=1)
        alphas = []

        def change(loop: TrainingLoop) -> None:
            original = loop.mixer._alpha
            loop.mixer._alpha = lambda: alphas.append(original()) or alphas[-1]

        on_loop(instance, change)
        instance.train()
        assert alphas == pytest.approx([1 - step / 8 for step in range(8)])


@pytest.mark.parametrize(
    "mix",
    [
        MixConfig(
            strategy="any", any={"choices": {"word": 1.0, "cutmix": 1.0, "ssmix": 1.0, "batch": 1.0}}, probability=0.8
        ),
        MixConfig(strategy="multi", alpha_schedule="cosine_in", start=0.2, regmix=1.0),
        MixConfig(strategy="nonlinear", partner="nearest", neighbours=2, targets="remix"),
        MixConfig(strategy="sentence", lam="similarity", partner="easy_hard", targets="trust"),
    ],
    ids=lambda mix: mix.strategy,
)
def test_a_resumed_run_repeats_the_uninterrupted_one(tmp_path: Path, mix: MixConfig) -> None:
    options = {"mix": mix, "loss": LossConfig(0.1, "balanced", 1.5), "accumulation_steps": 2}
    trainer(tmp_path / "whole", **options).train()
    first = trainer(tmp_path / "parts", **options)
    stop_at(first, 5, send(signal.SIGINT))
    with pytest.raises(TrainingInterrupted):
        first.train()
    torch.rand(5)
    trainer(tmp_path / "parts", **options).train(resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert history(tmp_path / "whole") == history(tmp_path / "parts")


def test_a_site_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="TextCNN has no site layer:4"):
        trainer(tmp_path, mix=MixConfig(strategy="manifold", manifold={"layers": [4]}))
