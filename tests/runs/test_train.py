from pathlib import Path

import pytest

from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.models.config import ModelConfig
from textmix.runs.options import resolve


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
