"""No command writes over what it reads."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.commands import SMALL, fails, fails_quietly, snapshot
from tests.support.topics import topic_rows

ROWS = "review,stars\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(30))


@pytest.fixture
def copy(run: Path, in_tmp_path: Path) -> Path:
    """A run, and a file with two links to it."""
    Path("f.csv").write_text(ROWS)
    Path("linked.csv").symlink_to("f.csv")
    os.link("f.csv", "hard.csv")
    return Path(shutil.copytree(run, "run"))


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("f.csv", "f.csv"),
        ("f.csv", "linked.csv"),
        ("linked.csv", "f.csv"),
        ("f.csv", "hard.csv"),
        ("./run/../f.csv", "f.csv"),
        ("[ef].csv", "f.csv"),
        ("f.csv", "run/predictions.csv"),
        ("run/predictions.csv", "./run/predictions.csv"),
    ],
)
def test_predict_spares_its_source_and_the_run(
    copy: Path, source: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(Path())
    message = fails(["predict", "run", source, "--output", output, "--data.text_column", "review"], capsys)
    assert message.startswith(f"--output {Path(output)} would overwrite ")
    assert snapshot(Path()) == before


def test_evaluate_spares_its_source(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/predictions.csv").write_text(ROWS)
    Path("out/metrics.json").write_text(json.dumps({"about": None}))
    before = snapshot(Path())
    arguments = ["evaluate", "run", "--data.source", "out/predictions.csv", "--output_dir", "./run/../out"]
    assert "output_dir run/../out would overwrite out/predictions.csv" in fails(arguments, capsys)
    assert snapshot(Path()) == before


def test_export_spares_the_model(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "model" / "model.onnx").touch()  # it looks like an earlier export
    before = snapshot(copy)
    assert "would overwrite run/model" in fails(["export", "run", "--output_dir", "run/model"], capsys)
    assert snapshot(copy) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--data.source", "run/predictions.csv", "--data.text_column", "text", "--data.label_column", "prediction"],
        ["--data.source", "f.csv", "--data.test_source", "run/evaluations/*/predictions.csv"],
        ["--data.source", "f.csv", "--data.validation_source", "moved.csv"],
        ["--data.source", "f.csv", "--model.name", "run/model"],
        ["--data.source", "f.csv", "--model.words.vectors", "run/profile/words.vec"],
    ],
)
def test_train_spares_data_model_and_vectors(
    copy: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("evaluations/old/predictions.csv", "profile/words.vec"):
        (copy / place).parent.mkdir(parents=True)
        (copy / place).write_text(ROWS)
    Path("moved.csv").symlink_to("run/predictions.csv")
    before = snapshot(Path())
    model = [] if "--model.name" in options else SMALL
    arguments = ["train", *model, *options, "--output_dir", "run", "--overwrite"]
    assert "output_dir run would overwrite " in fails_quietly(arguments, capsys)
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("command", "marker", "options"),
    [
        ("compare", "comparison.json", ["--strategies", "none"]),
        ("crossval", "folds.json", ["--folds", "2"]),
        ("sweep", "sweep.yaml", ["--trials", "1"]),
    ],
)
def test_an_experiment_spares_its_sources(
    in_tmp_path: Path, command: str, marker: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out", marker).write_text("{}")
    Path("out/submission.csv").write_text(ROWS)
    before = snapshot(Path())
    columns = ["--data.text_column", "review", "--data.label_column", "stars"]
    arguments = [command, "--data.source", "out/submission.csv", *columns, *SMALL, *options, "--output_dir", "out"]
    assert re.match("output_dir out would overwrite .*out/submission.csv", fails_quietly(arguments, capsys))
    assert snapshot(Path()) == before


def test_crossval_spares_the_rows_it_predicts(in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("f.csv").write_text(ROWS)
    Path("out").mkdir()
    Path("out/folds.json").write_text("{}")
    Path("out/submission.csv").write_text(ROWS)
    before = snapshot(Path())
    columns = ["--data.text_column", "review", "--data.label_column", "stars"]
    arguments = ["crossval", "--data.source", "f.csv", *columns, *SMALL, "--folds", "2", "--output_dir", "out"]
    message = fails_quietly([*arguments, "--submit", "out/submission.csv"], capsys)
    assert message.startswith("output_dir out would overwrite out/submission.csv")
    assert snapshot(Path()) == before
