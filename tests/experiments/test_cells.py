"""Runs of an experiment are trained once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from textmix.config import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import RunError
from textmix.experiments.cells import run_cell
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig, TextCNNOptions, WordOptions
from textmix.training.config import TrainConfig


def cell(source: Path, directory: Path) -> RunConfig:
    return RunConfig(
        DataConfig(source=str(source)),
        ModelConfig("textcnn", words=WordOptions(min_frequency=1, embedding_dim=8), textcnn=TextCNNOptions(4)),
        MixConfig(strategy="word"),
        train=TrainConfig(epochs=1),
        output_dir=str(directory),
    )


def test_a_finished_cell_is_not_trained_again(topics_csv: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = run_cell(cell(topics_csv, tmp_path / "c"), said.append)
    assert said
    said.clear()
    assert run_cell(cell(topics_csv, tmp_path / "c"), said.append) == first
    assert not said
    assert json.loads((tmp_path / "c" / "metrics.json").read_text()) == first


def test_an_interrupted_cell_goes_on(topics_csv: Path, tmp_path: Path) -> None:
    first = run_cell(cell(topics_csv, tmp_path / "c"), lambda line: None)
    (tmp_path / "c" / "metrics.json").unlink()  # what a run that was killed while it evaluated leaves
    again = run_cell(cell(topics_csv, tmp_path / "c"), lambda line: None)
    assert again["test"] == first["test"]


def test_a_cell_with_other_options_is_not_taken_for_this_one(topics_csv: Path, tmp_path: Path) -> None:
    config = cell(topics_csv, tmp_path / "c")
    run_cell(config, lambda line: None)
    other = replace(config, train=replace(config.train, epochs=2), mix=MixConfig(strategy="sentence"))
    with pytest.raises(RunError, match=r"c holds a run with another mix\.strategy, train\.epochs; choose another"):
        run_cell(other, lambda line: None)
