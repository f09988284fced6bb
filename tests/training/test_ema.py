"""The average of the weights: by an independent loop, and in a run."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.topics import topic_rows
from tests.support.trainer import data, history, on_loop, stop_at, trainer, weights
from textmix.inference.predictor import Predictor
from textmix.models.loading import load_model
from textmix.training.ema import averaged
from textmix.training.loop import TrainingLoop


def test_it_is_the_average_of_a_plain_loop() -> None:
    model = nn.Linear(3, 2)
    copy = averaged(model, 0.9)
    expected: list[float] | None = None
    for _ in range(5):
        nn.init.normal_(model.weight)
        copy.update_parameters(model)
        flat = model.weight.flatten().tolist()
        expected = flat if expected is None else [0.9 * a + 0.1 * b for a, b in zip(expected, flat, strict=True)]
    assert copy.module.weight.flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert not any(parameter.requires_grad for parameter in copy.parameters())


def test_the_averaged_weights_are_what_is_evaluated_and_saved(tmp_path: Path) -> None:
    validation = topic_rows(30, seed=1)
    instance = trainer(tmp_path, ema_decay=0.7, epochs=2, validation=data(validation))
    average: dict[str, torch.Tensor] = {}
    best: dict[str, torch.Tensor] = {}

    def change(loop: TrainingLoop) -> None:
        step, finish = loop._step, loop._finish_epoch

        def step_then_average(window: list[dict[str, torch.Tensor]]) -> None:
            step(window)
            for name, weight in loop.bare_model.state_dict().items():
                now = weight.double().clone()
                average[name] = 0.7 * average[name] + 0.3 * now if name in average else now

        def keep_the_best(bar: object) -> None:
            finish(bar)
            if loop.progress.best_step == loop.progress.step:
                best.update(average)

        loop._step, loop._finish_epoch = step_then_average, keep_the_best

    on_loop(instance, change)
    instance.train()
    saved = weights(tmp_path)
    assert saved.keys() == best.keys()
    for name, weight in saved.items():
        torch.testing.assert_close(weight.double(), best[name], atol=1e-6, rtol=1e-5)
    loaded = load_model(tmp_path / "model")
    probabilities = Predictor(loaded.model, loaded.tokenizer)([text for text, _ in validation])
    space = instance.data.space
    labels = [space.names.index(label) for _, label in validation]
    scores = space.scores(torch.tensor(labels).numpy(), probabilities)
    logged = [line["validation"] for line in history(tmp_path) if "validation" in line]
    assert scores["nll"] == pytest.approx(logged[instance.progress.best_epoch - 1]["nll"], rel=1e-5)


def test_without_it_the_weights_of_the_last_step_are_saved(tmp_path: Path) -> None:
    last: dict[str, torch.Tensor] = {}
    instance = trainer(tmp_path, epochs=1, validation=None)
    stop_at(instance, 8, lambda loop: last.update({n: w.clone() for n, w in loop.bare_model.state_dict().items()}))
    instance.train()
    assert all(torch.equal(weight, last[name]) for name, weight in weights(tmp_path).items())
