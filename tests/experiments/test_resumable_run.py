"""Runs of an experiment are trained once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.errors import RunError
from textmix.experiments.resumable_run import train_or_resume
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig, TextCNNOptions, WordOptions


def recipe(source: Path, directory: Path) -> RunConfig:
    return RunConfig(
        DataConfig(source=str(source)),
        ModelConfig("textcnn", words=WordOptions(min_frequency=1, embedding_dim=8), textcnn=TextCNNOptions(4)),
        MixConfig(strategy="word"),
        train=TrainConfig(epochs=1, save_steps="epoch"),
        output_dir=str(directory),
    )


def test_a_finished_run_is_not_trained_again(
    topics_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "textmix")
    first = train_or_resume(recipe(topics_csv, tmp_path / "c"))
    assert any(message.startswith("training textcnn") for message in caplog.messages)
    caplog.clear()
    assert train_or_resume(recipe(topics_csv, tmp_path / "c")) == first
    assert not caplog.messages
    assert json.loads((tmp_path / "c" / "metrics.json").read_text()) == first


def test_an_interrupted_run_is_resumed(topics_csv: Path, tmp_path: Path) -> None:
    first = train_or_resume(recipe(topics_csv, tmp_path / "c"))
    (tmp_path / "c" / "metrics.json").unlink()  # what a run that was killed while it evaluated leaves
    again = train_or_resume(recipe(topics_csv, tmp_path / "c"))
    assert again["test"] == first["test"]


def test_a_run_can_be_followed_and_ended_and_goes_on_from_there(
    topics_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(recipe(topics_csv, tmp_path / "c"), train=TrainConfig(epochs=3, save_steps="epoch"))
    seen: list[tuple[int, float]] = []

    class EnoughError(Exception):
        pass

    def follow(epoch: int, last: bool, scores: dict[str, float]) -> None:
        seen.append((epoch, scores["macro_f1"]))
        if len(seen) == 2:
            raise EnoughError

    caplog.set_level("INFO", "textmix")
    with pytest.raises(EnoughError):
        train_or_resume(config, on_evaluation=follow, show_progress=False, test=False)
    # From the checkpoint of the first epoch.
    metrics = train_or_resume(config, on_evaluation=follow, show_progress=False, test=False)
    assert [epoch for epoch, _ in seen] == [1, 2, 2, 3]
    assert seen[1] == seen[2]
    assert not caplog.messages
    assert metrics.keys() == {"validation", "train"}
    assert not (tmp_path / "c" / "predictions.csv").exists()
    whole = train_or_resume(replace(config, output_dir=str(tmp_path / "d")))
    assert whole["validation"] == metrics["validation"]


def test_a_run_with_other_options_is_not_taken_for_this_one(topics_csv: Path, tmp_path: Path) -> None:
    config = recipe(topics_csv, tmp_path / "c")
    train_or_resume(config)
    other = replace(config, train=replace(config.train, epochs=2), mix=MixConfig(strategy="sentence"))
    with pytest.raises(RunError, match=r"c holds a run with another mix\.strategy, train\.epochs; choose another"):
        train_or_resume(other)
