from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.trainer import history, stop_at, trainer
from textmix.errors import ConfigError
from textmix.training import trackers
from textmix.training.loop import TrainingLoop


def events(directory: Path) -> EventAccumulator:
    found = EventAccumulator(str(directory / "tensorboard" / "textmix"))
    found.Reload()
    return found


def test_tensorboard_is_told_what_history_is_told(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=2, trackers=["tensorboard"], settings={"train": {"epochs": 2}}).train()
    found, told = events(tmp_path), {}
    for line in history(tmp_path):
        for name, value in trackers.flatten(line, "/"):
            if name != "step":
                told.setdefault(name, []).append((line["step"], pytest.approx(value)))
    assert {"loss", "lam", "learning_rate", "epoch", "validation/macro_f1"} <= set(told)
    assert {name: [(event.step, event.value) for event in found.Scalars(name)] for name in told} == told
    (settings,) = (tmp_path / "tensorboard" / "textmix").glob("*/hparams.yml")
    assert settings.read_text() == "train.epochs: 2\n"


def test_a_resumed_run_replaces_what_was_told_after_its_checkpoint(tmp_path: Path) -> None:
    class CrashError(Exception):
        pass

    def crash(loop: TrainingLoop) -> None:
        raise CrashError

    options = {"epochs": 2, "trackers": ["tensorboard"], "save_steps": 5, "log_steps": 1}
    first = trainer(tmp_path, **options)
    stop_at(first, 7, crash)
    with pytest.raises(CrashError):
        first.train()
    trainer(tmp_path, **options).train(resume=True)
    lines = [line for line in history(tmp_path) if "loss" in line]
    assert [event.step for event in events(tmp_path).Scalars("loss")] == [line["step"] for line in lines]


def test_a_tracker_that_is_not_installed_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"wandb is not installed; pip install 'textmix\[wandb\]'"):
        trainer(tmp_path, trackers=["wandb"])
