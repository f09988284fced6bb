"""Commands on runs without a test split: `data.test_fraction` 0."""

import json
from pathlib import Path

import pytest

from tests.support.commands import QUICK, SMALL, fails, fails_quietly, tells
from tests.support.topics import topic_rows
from textmix.cli.main import main

NONE = ["--data.test_fraction", "0"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows."""
    path = tmp_path_factory.mktemp("whole") / "topics.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(60)))
    return path


@pytest.fixture(scope="module")
def untested(source: Path) -> Path:
    """A finished run without a test split."""
    directory = source.parent / "run"
    assert main(["train", "--data.source", str(source), *QUICK, *NONE, "--output_dir", str(directory)]) == 0
    return directory


def test_a_run_tells_that_nothing_was_tested(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = [*SMALL, "--train.epochs", "1", "--data.validation_fraction", "0"]
    assert main(["train", "--data.source", str(source), *quick, *NONE, "--output_dir", str(tmp_path / "r")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "no test split (data.test_fraction 0); textmix evaluate scores other labelled rows" in lines
    assert lines[-1] == f"saved to {tmp_path / 'r'}"
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["train"]["rows"] == {"train": 60}


def test_its_files_hold_the_validation_split_alone(untested: Path) -> None:
    metrics = json.loads((untested / "metrics.json").read_text())
    assert set(metrics) == {"validation", "train"}
    assert metrics["train"]["rows"] == {"train": 54, "validation": 6}
    assert not (untested / "predictions.csv").exists()
    assert not (untested / "report.md").exists()


def test_evaluation_needs_rows(
    untested: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(["evaluate", str(untested)], capsys)
    assert tells(message, "no test split", "data.test_fraction 0", "--data.source")
    assert not (untested / "evaluations").exists()
    arguments = ["evaluate", str(untested), "--data.source", str(source), "--output_dir", str(tmp_path / "e")]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["accuracy"] > 0.8


def test_other_commands_take_the_run(untested: Path, source: Path, tmp_path: Path) -> None:
    assert main(["predict", str(untested), str(source), "--output", str(tmp_path / "p.csv")]) == 0
    assert main(["inspect", str(untested), str(source), "--mix.strategy", "word"]) == 0


def test_a_comparison_needs_a_test_split_or_folds(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [*SMALL, "--train.epochs", "1", "--strategies", "none,word"]
    arguments = ["compare", "--data.source", str(source), *quick, *NONE, "--output_dir", str(tmp_path / "c")]
    message = fails_quietly([*arguments, "--seeds", "1"], capsys)
    assert tells(message, "test split", "data.test_fraction above 0", "--folds")
    assert not (tmp_path / "c").exists()
    assert main([*arguments, "--folds", "2"]) == 0
    assert json.loads((tmp_path / "c" / "comparison.json").read_text())["pairs"] == ["fold 0", "fold 1"]


def test_a_cross_validation_tests_each_fold(source: Path, tmp_path: Path) -> None:
    arguments = ["crossval", "--data.source", str(source), *SMALL, "--train.epochs", "1", *NONE, "--folds", "2"]
    assert main([*arguments, "--output_dir", str(tmp_path / "v")]) == 0
    scores = json.loads((tmp_path / "v" / "crossval.json").read_text())
    assert scores["rows"] == 60
    assert 0 <= scores["pooled"]["accuracy"] <= 1


def test_a_sweep_needs_the_validation_split_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("mix.alpha: [0.2, 0.4]\n")
    quick = [*SMALL, "--train.epochs", "1", "--mix.strategy", "word", "--space", str(tmp_path / "space.yaml")]
    arguments = ["sweep", "--data.source", str(source), *quick, *NONE, "--trials", "1"]
    assert main([*arguments, "--output_dir", str(tmp_path / "s")]) == 0
    assert json.loads((tmp_path / "s" / "sweep.json").read_text())["best"] is not None
