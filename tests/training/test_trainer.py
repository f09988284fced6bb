import json
import logging
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from tests.support.counting import hooks
from tests.support.trainer import (
    NAMES,
    ROWS,
    TOKENIZER,
    CrashError,
    data,
    history,
    on_loop,
    same,
    send,
    stop_at,
    textcnn,
    trainer,
    weights,
)
from textmix import TextCNN, TextCNNConfig
from textmix.data.tokenization import LazyTokens
from textmix.errors import RunError, TrainingError, TrainingInterrupted
from textmix.mixing.mixer import MixObserver
from textmix.tasks.evaluation import Evaluation
from textmix.training.batches import EpochBatches
from textmix.training.checkpoint import find_checkpoints
from textmix.training.loop import TrainingLoop
from textmix.training.progress import TrainProgress


@pytest.mark.parametrize(
    ("strategy", "runs"), [("none", ["a"]), ("word", ["a"]), ("sentence", ["a", "b"]), ("manifold", ["a", "b"])]
)
def test_it_learns_and_two_runs_are_identical(tmp_path: Path, strategy: str, runs: list[str]) -> None:
    for name in runs:
        torch.rand(1 if name == "a" else 7)  # what happened before must not matter
        trainer(tmp_path / name, strategy, epochs=6, learning_rate=2e-2).train()
    assert_same_runs(*(tmp_path / name for name in (runs[0], runs[-1])))
    validations = [line["validation"]["accuracy"] for line in history(tmp_path / "a") if "validation" in line]
    assert max(validations) > 0.9


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        trainer(tmp_path / str(seed), seed=seed, epochs=1).train()
    assert not same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_history_has_steps_and_epochs(whole: Path) -> None:
    lines = history(whole)
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(2, 25, 2))
    assert steps[3]["epoch"] == 1.0
    assert set(steps[0]) == {"step", "epoch", "learning_rate", "loss", "accuracy", "lam"}
    assert [line["epoch"] for line in lines if "validation" in line] == [1, 2, 3]


def test_the_mixer_is_gone_afterwards(tmp_path: Path) -> None:
    model = textcnn()
    trainer(tmp_path, model=model, epochs=1).train()
    assert "mixer" not in vars(model)
    assert "mix" not in json.loads((tmp_path / "model" / "config.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nothing disturbs."""
    directory = tmp_path_factory.mktemp("whole")
    trainer(directory).train()
    return directory


@pytest.fixture(scope="module")
def whole_of_11_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ends in the middle of an epoch."""
    directory = tmp_path_factory.mktemp("whole")
    trainer(directory, max_steps=11).train()
    return directory


def assert_same_runs(whole: Path, parts: Path) -> None:
    assert same(weights(whole), weights(parts))
    assert history(whole) == history(parts)


class TestResume:
    @pytest.mark.parametrize("step", [2, 8, 10, 11])
    def test_steps_that_were_asked_for_survive(self, whole_of_11_steps: Path, tmp_path: Path, step: int) -> None:
        """Also when the run was stopped after its last step, which is no end of an epoch, and before its evaluation."""
        first = trainer(tmp_path, max_steps=11)
        stop_at(first, step, send(signal.SIGINT))
        with pytest.raises(TrainingInterrupted, match=f"interrupted at step {step} of 11"):
            first.train()
        assert trainer(tmp_path, max_steps=11).train(resume=True).step == 11
        assert_same_runs(whole_of_11_steps, tmp_path)

    @pytest.mark.parametrize("step", [1, 7, 8, 9, 23])
    def test_an_interrupted_run_ends_like_the_uninterrupted_one(self, whole: Path, tmp_path: Path, step: int) -> None:
        first = trainer(tmp_path)
        stop_at(first, step, send(signal.SIGINT))
        with pytest.raises(TrainingInterrupted, match=f"interrupted at step {step} of 24"):
            first.train()
        torch.rand(11)
        second = trainer(tmp_path, model=textcnn(dropout=0.5))
        progress = second.train(resume=True)
        assert progress.step == 24
        assert_same_runs(whole, tmp_path)

    def test_a_crash_goes_on_from_the_newest_checkpoint(self, whole: Path, tmp_path: Path) -> None:
        first = trainer(tmp_path, save_steps=5)

        def crash(loop: TrainingLoop) -> None:
            raise CrashError

        stop_at(first, 13, crash)
        with pytest.raises(CrashError):
            first.train()
        assert set(find_checkpoints(tmp_path)) == {8, 10}  # the best epoch and the last one
        trainer(tmp_path).train(resume=True)
        assert_same_runs(whole, tmp_path)

    def test_accumulation_and_patience_survive(self, tmp_path: Path) -> None:
        options = {"accumulation_steps": 3, "patience": 1, "epochs": 6, "learning_rate": 1e-9}
        whole = trainer(tmp_path / "whole", **options).train()
        first = trainer(tmp_path / "parts", **options)
        stop_at(first, 4, send(signal.SIGTERM))
        with pytest.raises(TrainingInterrupted):
            first.train()
        parts = trainer(tmp_path / "parts", **options).train(resume=True)
        for ended in (whole, parts):
            ended.seconds = 0
        assert whole == parts
        assert whole.epoch == 2  # the second brought nothing better

    def test_without_a_checkpoint_it_starts_from_the_beginning(
        self, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "textmix"):
            trainer(tmp_path).train(resume=True)
        assert len(caplog.messages) == 1
        assert "has no checkpoint: training starts from the beginning" in caplog.messages[0]
        assert same(weights(whole), weights(tmp_path))

    def test_the_checkpoint_of_another_run_is_refused(self, tmp_path: Path) -> None:
        trainer(tmp_path).train()
        with pytest.raises(RunError, match=r"has no average\.safetensors: a run with other options saved it"):
            trainer(tmp_path, ema_decay=0.9).train(resume=True)
        torch.manual_seed(0)
        smaller = TextCNN(TextCNNConfig(vocab_size=len(TOKENIZER), embedding_dim=8, num_filters=8, num_labels=3))
        with pytest.raises(RunError, match=r"does not fit its config\.yaml or its data, which may have changed"):
            trainer(tmp_path, model=smaller).train(resume=True)

    @pytest.mark.parametrize("epoch", [1, 3])
    def test_a_signal_during_evaluation_is_granted_after_it(self, whole: Path, tmp_path: Path, epoch: int) -> None:
        first = trainer(tmp_path, save_steps=None)

        def change(loop: TrainingLoop) -> None:
            original = loop._evaluate

            def evaluate_then_signal(loader: Any) -> dict[str, float]:
                if loop.progress.epoch == epoch:
                    os.kill(os.getpid(), signal.SIGTERM)
                return original(loader)

            loop._evaluate = evaluate_then_signal

        on_loop(first, change)
        with pytest.raises(TrainingInterrupted, match=f"interrupted at step {8 * epoch} of 24") as caught:
            first.train()
        assert caught.value.number == signal.SIGTERM
        trainer(tmp_path, save_steps=None).train(resume=True)
        assert_same_runs(whole, tmp_path)

    def test_signals_are_given_back(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGINT)
        trainer(tmp_path, epochs=1).train()
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("batch_size", [2, 5])
def test_accumulated_batches_train_like_one(tmp_path: Path, batch_size: int) -> None:
    """Also when the last window of an epoch is shorter than the others."""
    results = []
    for name, size, steps in (("one", batch_size * 4, 1), ("four", batch_size, 4)):
        model = textcnn(dropout=0.0).double()
        trainer(tmp_path / name, "none", model, batch_size=size, accumulation_steps=steps, validation=None).train()
        results.append((weights(tmp_path / name), [line["loss"] for line in history(tmp_path / name)]))
    for parameter in results[0][0]:
        torch.testing.assert_close(results[0][0][parameter], results[1][0][parameter], atol=1e-9, rtol=1e-7)
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-6)


def test_each_micro_batch_is_mixed_on_its_own(tmp_path: Path) -> None:
    instance = trainer(tmp_path, epochs=1, accumulation_steps=4)
    plans = []

    class Noting(MixObserver):
        def scored(self, rows: int, loss: torch.Tensor) -> None:
            plans.append(rows)

    on_loop(instance, lambda loop: loop.mixer.observers.append(Noting()))
    instance.train()
    assert plans == [8] * 7 + [4]
    assert instance.progress.step == 2


@pytest.mark.parametrize(("steps", "evaluated"), [(3, [3]), (8, [8]), (13, [8, 13]), (30, [8, 16, 24, 30])])
def test_as_many_steps_as_asked_for_whatever_the_epochs(tmp_path: Path, steps: int, evaluated: list[int]) -> None:
    progress = trainer(tmp_path, epochs=2, max_steps=steps, log_steps=1).train()
    lines = history(tmp_path)
    assert progress.step == steps
    assert [line["step"] for line in lines if "validation" in line] == evaluated
    rates = [line["learning_rate"] for line in lines if "loss" in line]
    assert len(rates) == steps
    assert rates[-1] == 0  # the schedule ends there too
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_rows_tokenised_on_demand_train_the_same_model(tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": [text for text, _ in ROWS]})
    tokens = LazyTokens(rows, TOKENIZER, np.array([NAMES.index(label) for _, label in ROWS]))
    trainer(tmp_path / "beforehand", group_by_length=False, validation=data(ROWS)).train()
    trainer(tmp_path / "on-demand", group_by_length=False, tokens=tokens, validation=tokens).train()
    assert same(weights(tmp_path / "beforehand"), weights(tmp_path / "on-demand"))


class TestSelection:
    def scores(self, monkeypatch: pytest.MonkeyPatch, name: str, values: list[float]) -> None:
        remaining = iter(values)
        other = dict.fromkeys(("accuracy", "macro_f1", "micro_f1", "weighted_f1", "nll"), 0.5)
        monkeypatch.setattr(Evaluation, "scores", lambda self: {**other, name: next(remaining)})

    def test_the_best_epoch_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scores(monkeypatch, "accuracy", [0.3, 0.9, 0.6])
        two_epochs = tmp_path / "two"
        progress = trainer(tmp_path / "three", metric="accuracy", schedule="constant").train()
        assert (progress.best_epoch, progress.best_value) == (2, 0.9)
        self.scores(monkeypatch, "accuracy", [0.3, 0.9])
        # The warm-up depends on the number of steps; without it two epochs are the first two of three.
        assert not (two_epochs / "model").exists()
        for name, epochs in (("x", 2), ("y", 3)):
            self.scores(monkeypatch, "accuracy", [0.3, 0.9, 0.6])
            trainer(tmp_path / name, metric="accuracy", schedule="constant", warmup_ratio=0.0, epochs=epochs).train()
        assert same(weights(tmp_path / "x"), weights(tmp_path / "y"))

    def test_lower_nll_is_better(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scores(monkeypatch, "nll", [0.9, 0.4, 0.6])
        assert trainer(tmp_path, metric="nll").train().best_epoch == 2

    def test_patience_ends_training(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scores(monkeypatch, "macro_f1", [0.9, 0.4, 0.6, 0.95, 1.0])
        progress = trainer(tmp_path, epochs=5, patience=2).train()
        assert (progress.epoch, progress.best_epoch, progress.stale_epochs) == (3, 1, 2)

    def test_without_validation_the_last_epoch_is_kept(self, tmp_path: Path) -> None:
        progress = trainer(tmp_path, validation=None).train()
        assert progress.best_epoch is None
        assert (tmp_path / "model" / "model.safetensors").is_file()


def test_a_loss_that_is_not_finite_names_its_step(tmp_path: Path) -> None:
    instance = trainer(tmp_path, "none", log_steps=100)
    stop_at(instance, 4, lambda loop: loop.bare_model.classifier.bias.data.fill_(math.nan))
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 5; lower train\.learning_rate"):
        instance.train()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("validated", [True, False])
def test_weights_that_are_not_finite_after_the_last_step_are_never_saved(tmp_path: Path, validated: bool) -> None:
    options = {} if validated else {"validation": None}
    instance = trainer(tmp_path, "none", epochs=1, **options)
    stop_at(instance, 8, lambda loop: loop.bare_model.classifier.bias.data.fill_(math.inf))
    with pytest.raises(TrainingError, match="the weights are not finite at step 8"):
        instance.train()
    assert not (tmp_path / "model").exists()


def test_a_run_that_was_stopped_after_training_needs_no_more_steps(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=2, patience=1, learning_rate=1e-9).train()
    before = weights(tmp_path)
    progress = trainer(tmp_path, epochs=2, patience=1, learning_rate=1e-9).train(resume=True)
    assert progress.step == 16
    assert same(before, weights(tmp_path))


def test_bf16_trains(tmp_path: Path) -> None:
    trainer(tmp_path, precision="bf16", epochs=6, learning_rate=2e-2).train()
    assert max(line["validation"]["accuracy"] for line in history(tmp_path) if "validation" in line) > 0.9
    assert all(weight.dtype == torch.float32 for weight in weights(tmp_path).values())


def test_the_trainer_visits_the_rows_in_the_order_of_the_batches(tmp_path: Path) -> None:
    instance, seen = trainer(tmp_path, "none", epochs=2), []

    def change(loop: TrainingLoop) -> None:
        original = loop._step
        loop._step = lambda window: seen.append(window[0]["input_ids"].shape[0]) or original(window)

    on_loop(instance, change)
    orders = []
    plain_iter = EpochBatches.__iter__

    def recording(self: EpochBatches) -> Any:
        batches = list(plain_iter(self))
        orders.append(batches)
        return iter(batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochBatches, "__iter__", recording)
        instance.train()
    assert len(orders) == 2
    assert orders[0] != orders[1]
    assert seen == [8] * 7 + [4] + [8] * 7 + [4]


def test_progress_round_trips() -> None:
    progress = TrainProgress(epoch=2, step=7, best_value=0.5, history=[{"loss": 1.0}])
    assert TrainProgress(**progress.state_dict()) == progress


@pytest.mark.parametrize(("profile", "epochs"), [(True, 2), (False, 1)])
def test_a_profile_is_written_on_request(tmp_path: Path, profile: bool, epochs: int) -> None:
    trainer(tmp_path, epochs=epochs, profile=profile).train()
    assert (tmp_path / "profile").exists() == profile
    if profile:
        assert "aten::convolution" in (tmp_path / "profile" / "table.txt").read_text()
        steps = [
            event["name"]
            for event in json.loads((tmp_path / "profile" / "trace.json").read_text())["traceEvents"]
            if str(event.get("name", "")).startswith("ProfilerStep")
        ]
        assert len(set(steps)) == 10


class TestLifetime:
    """All that acts on a model happens in `train`."""

    def surface(self, model: PreTrainedModel) -> dict[str, Any]:
        return {
            "modules": {name: type(module) for name, module in model.named_modules()},
            "hooks": hooks(model),
            "attributes": [sorted(vars(module)) for module in model.modules()],
            "parameters": [(name, one.shape, one.requires_grad) for name, one in model.named_parameters()],
            "buffers": [name for name, _ in model.named_buffers()],
        }

    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_constructing_changes_nothing_and_training_leaves_nothing(self, tmp_path: Path, precision: str) -> None:
        torch.manual_seed(0)
        large = TextCNN(TextCNNConfig(vocab_size=3 * len(TOKENIZER), embedding_dim=8, num_filters=4, num_labels=3))
        before, weights_before = self.surface(large), {n: w.clone() for n, w in large.state_dict().items()}
        generator = torch.get_rng_state()
        for _ in range(2):
            instance = trainer(tmp_path / "run", model=large, epochs=1, precision=precision)
            assert self.surface(large) == before
            assert same(large.state_dict(), weights_before)
            assert torch.equal(torch.get_rng_state(), generator)
        assert not (tmp_path / "run").exists()
        instance.train()
        assert self.surface(large) == before
        assert not same(large.state_dict(), weights_before)

    @pytest.mark.parametrize("place", ["_prepare", "step", "evaluation"])
    def test_an_error_leaves_the_model_bare(self, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*args: object, **kwargs: object) -> None:
            raise CrashError

        instance = trainer(tmp_path, epochs=1)
        before = self.surface(instance.model)
        if place == "_prepare":
            monkeypatch.setattr("textmix.training.loop.build_schedule", crash)
        elif place == "step":
            stop_at(instance, 2, crash)
        else:
            on_loop(instance, lambda loop: setattr(loop, "_evaluate", crash))
        with pytest.raises(CrashError):
            instance.train()
        assert self.surface(instance.model) == before

    def test_a_second_training_mixes_as_the_first(self, tmp_path: Path) -> None:
        instance = trainer(tmp_path, epochs=1, learning_rate=1e-9)
        lams = []
        for _ in range(2):
            assert instance.train().step == 8
            lams.append([line["lam"] for line in history(tmp_path) if "loss" in line])
        assert lams[0] == lams[1]
        assert max(lams[0]) < 1
