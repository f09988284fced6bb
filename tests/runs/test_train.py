from pathlib import Path

import pytest

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.models.config import ModelConfig
from textmix.runs.options import resolve
from textmix.runs.train import train


def resolved(name: str) -> str:
    return resolve(RunConfig(data=DataConfig(source="bbc_news"), model=ModelConfig(name=name))).model.name


def test_a_model_in_a_directory_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "minilm", "textcnn"):
        Path(name).mkdir()
    assert resolved("mine") == str(tmp_path / "mine")
    # What is built in comes before a directory, as in loading; other names are those of a hub.
    assert [resolved(name) for name in ("minilm", "textcnn", "bert-base-uncased")] == [
        "minilm",
        "textcnn",
        "bert-base-uncased",
    ]


def test_options_of_mixing_that_nothing_uses_are_told(
    topics_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "textmix")
    size = {"model.name": "textcnn", "model.words.embedding_dim": 8, "train.epochs": 1, "mix.alpha": 1.0}
    config = with_options(RunConfig(DataConfig(str(topics_csv)), output_dir=str(tmp_path / "run")), size)
    train(config)
    assert config.mix.strategy == "none"
    assert "mix.alpha: no effect with mix.strategy none" in caplog.messages
