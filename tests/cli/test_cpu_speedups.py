"""The commands change the allocator of their process only where `train.cpu_speedups` asks for it."""

from pathlib import Path

import pytest

from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.errors import RunError
from textmix.io.run_directory import CONFIG_FILE
from textmix.models.config import ModelConfig

# Where each command goes on after it has set up its process.
NEXT = {
    "train": "textmix.runs.train.train",
    "compare": "textmix.experiments.compare.comparison.choose_directory",
    "crossval": "textmix.experiments.crossval.cross_validation.prepare",
    "sweep": "textmix.experiments.sweep.sweep.Sweep",
    "predict": "textmix.inference.predictor.Predictor.from_pretrained",
}


@pytest.mark.parametrize("speedups", [True, False])
@pytest.mark.parametrize("command", NEXT)
def test_memory_is_kept_only_where_it_is_asked_for(
    command: str, speedups: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []
    monkeypatch.setattr("textmix.training.cpu.memory.keep_memory", lambda: kept.append(True))

    def stop(*args: object, **kwargs: object) -> None:
        raise RunError("far enough")

    monkeypatch.setattr(NEXT[command], stop)
    if command == "sweep":
        pytest.importorskip("optuna")
    source = tmp_path / "rows.csv"
    source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(6)))
    config = RunConfig(
        data=DataConfig(str(source)), model=ModelConfig("textcnn"), train=TrainConfig(cpu_speedups=speedups)
    )
    (tmp_path / CONFIG_FILE).write_text(config.to_yaml())
    recipe = [str(tmp_path / CONFIG_FILE), "--output_dir", str(tmp_path / "run")]
    arguments = [str(tmp_path), str(source)] if command == "predict" else recipe
    assert main([command, *arguments]) == 2
    assert kept == [True] * speedups
