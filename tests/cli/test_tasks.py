"""Every command on every task, from a file to its predictions."""

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import csv_of, fails, snapshot, tells
from tests.support.task_files import CASES, Case, write_case
from tests.support.topics import topic_rows
from tests.support.versions import needs_exporter
from textmix import Predictor
from textmix.cli.main import main
from textmix.tasks.names import COMPARED, TASK_NAMES
from textmix.training.loop import TrainingLoop


@dataclass(frozen=True)
class Done:
    """A trained run of a case.

    Args:
        case: The case.
        folder: Holds `data.jsonl`, `new.jsonl` without labels, and the run `run`.
        options: Options of the data and the model.
    """

    case: Case
    folder: Path
    options: list[str]

    def path(self, name: str) -> str:
        """Return a path in the folder."""
        return str(self.folder / name)


# The tests of a task run in one process, so that its runs are made once.
GROUPS = [pytest.param(case, marks=pytest.mark.xdist_group(f"task-{case.task}"), id=case.task) for case in CASES]


@pytest.fixture(scope="module", params=GROUPS)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    case: Case = request.param
    folder = tmp_path_factory.mktemp(case.task)
    options = [*write_case(case, folder), "--mix.strategy", "word"]
    assert main(["train", *options, "--output_dir", str(folder / "run")]) == 0
    return Done(case, folder, options)


def test_every_task_is_tried() -> None:
    assert {case.task for case in CASES} == set(TASK_NAMES)


def test_the_task_is_found_and_said(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"task: {done.case.task}\n" in (done.folder / "run" / "config.yaml").read_text()
    assert main(["train", *done.options, "--train.epochs", "1", "--output_dir", done.path("again")]) == 0
    assert f"\ntask {done.case.task}: " in capsys.readouterr().out
    shutil.rmtree(done.folder / "again")


def test_a_stopped_run_goes_on_exactly(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = TrainingLoop._finish_epoch

    def stop_after_two(loop: TrainingLoop, *arguments: Any) -> None:
        finish(loop, *arguments)
        if loop.progress.epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = done.folder / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_finish_epoch", stop_after_two)
        assert main(["train", *done.options, "--output_dir", str(stopped)]) == 128 + signal.SIGTERM
    assert not (stopped / "metrics.json").exists()
    assert main(["train", "--resume", str(stopped)]) == 0
    for name in ("model/model.safetensors", "model/config.json", "predictions.csv"):
        assert (stopped / name).read_bytes() == (done.folder / "run" / name).read_bytes(), name


def test_it_evaluates_as_it_was_trained(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = json.loads((done.folder / "run" / "metrics.json").read_text())
    assert main(["evaluate", done.path("run")]) == 0
    again = json.loads((done.folder / "run" / "evaluations" / "test-split" / "metrics.json").read_text())
    for name in COMPARED[done.case.task].keys() & again.keys():
        assert again[name] == pytest.approx(metrics["test"][name], rel=1e-5)
    assert main(["evaluate", done.path("run"), "--data.source", done.path("data.jsonl")]) == 0
    assert "data: 60 rows" in capsys.readouterr().out


def test_the_plot_of_residuals(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", done.path("run"), "--plot"]
    if done.case.task != "regression":
        assert tells(fails(arguments, capsys), "--plot", "regression", done.case.task)
        return
    assert main(arguments) == 0
    picture = (done.folder / "run" / "evaluations" / "test-split" / "residuals.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_training_goes_on_from_a_run(done: Done) -> None:
    options = [*done.case.labels, "--data.source", done.path("data.jsonl"), "--train.max_steps", "1"]
    more = ["--train.learning_rate", "1e-9", "--train.weight_decay", "0", "--mix.strategy", "none"]
    assert main(["train", *options, *more, "--model.name", done.path("run"), "--output_dir", done.path("more")]) == 0
    first, second = (Predictor.from_pretrained(done.path(name)) for name in ("run", "more"))
    for one, other in zip(
        first.outputs(["soup", "we met in Lima"]), second.outputs(["soup", "we met in Lima"]), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


CALIBRATED = ["--train.calibrate", "true"]


def test_calibration_changes_probabilities_and_no_class(done: Done) -> None:
    run, others = done.folder / "calibrated", ("regression", "token_classification")
    assert main(["train", *done.options, *CALIBRATED, "--output_dir", str(run)]) == 0
    plain, found = (json.loads((path / "metrics.json").read_text())["test"] for path in (done.folder / "run", run))
    before, after = (
        pd.read_csv(path / "predictions.csv", keep_default_na=False) for path in (done.folder / "run", run)
    )
    if done.case.task in others:
        assert before.equals(after)
        assert "temperature" not in found
        return
    assert before["prediction"].equals(after["prediction"])
    assert found["uncalibrated_nll"] == pytest.approx(plain["nll"], rel=1e-4)
    assert found["nll"] == pytest.approx(plain["scaled_nll"], rel=1e-4)
    assert found["ece"] == pytest.approx(plain["scaled_ece"], abs=1e-4)
    assert found["temperature"] == pytest.approx(plain["temperature"], rel=1e-6)
    # A run that is interrupted behind the calibration is not calibrated again.
    weights, metrics = (run / "model" / "model.safetensors").read_bytes(), (run / "metrics.json").read_text()
    (run / "metrics.json").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    assert (run / "model" / "model.safetensors").read_bytes() == weights
    assert json.loads((run / "metrics.json").read_text())["test"] == json.loads(metrics)["test"]


def test_predictions_of_rows_and_of_lines(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    output = done.folder / "out.csv"
    assert main(["predict", done.path("run"), done.path("new.jsonl"), "--output", str(output)]) == 0
    assert list(pd.read_csv(output).columns) == ["id", "text", *done.case.predicted]
    capsys.readouterr()
    assert main(["predict", done.path("run"), done.path("new.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    table = pd.read_csv(output)
    if done.case.task == "regression":
        assert [float(line.split("\t")[0]) for line in lines] == pytest.approx(table["prediction"].tolist(), abs=1e-4)
    elif done.case.task != "token_classification":
        assert [line.split("\t")[0] for line in lines] == table["prediction"].fillna("").tolist()


def crossval(done: Done, name: str) -> list[str]:
    new, seed = ["--submit", done.path("new.jsonl")], ["--train.seed", str(len(name)), "--data.split_seed", "0"]
    return [
        "crossval",
        *done.options,
        "--train.epochs",
        "1",
        "--folds",
        "2",
        *new,
        *seed,
        "--output_dir",
        done.path(name),
    ]


@pytest.fixture(scope="module")
def crossed(done: Done) -> Done:
    """Two cross-validations, `one` and `three`, with other seeds and the same folds."""
    for name in ("one", "three"):
        assert main(crossval(done, name)) == 0
    return done


def test_cross_validation_with_a_submission(crossed: Done) -> None:
    done = crossed
    table = pd.read_csv(done.folder / "one" / "oof_predictions.csv")
    assert table["row"].tolist() == list(range(60))
    summary = json.loads((done.folder / "one" / "crossval.json").read_text())
    assert set(summary["pooled"]) >= {
        name for name in COMPARED[done.case.task] if not name.startswith(("scaled", "uncalibrated"))
    }
    submission = pd.read_csv(done.folder / "one" / "submission.csv")
    answers = [name for name in done.case.cells if name != "text"]
    assert list(submission.columns) == ["id", *answers]
    assert len(submission) == 7
    before = snapshot(done.folder / "one")
    assert main(crossval(done, "one")) == 0
    assert snapshot(done.folder / "one").keys() == before.keys()


def test_ensembles(crossed: Done, capsys: pytest.CaptureFixture[str]) -> None:
    done = crossed
    runs = [done.path("one"), done.path("three")]
    arguments = ["ensemble", *runs, "--output_dir", done.path("ensemble")]
    if not done.case.ensemble:
        assert tells(fails(arguments, capsys), "no columns of probabilities or numbers")
        return
    assert main(arguments) == 0
    result = json.loads((done.folder / "ensemble" / "ensemble.json").read_text())
    assert sum(result["weights"].values()) == pytest.approx(1)
    metric = result["metric"]
    better = min if metric in ("nll", "mse") else max
    assert better(result["fitted"][metric], result["equal"][metric]) == pytest.approx(
        result["fitted"][metric], abs=1e-6
    )
    assert (done.folder / "ensemble" / "submission.csv").is_file()


def test_comparisons(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*done.options[:-2], "--train.epochs", "1", "--strategies", "none,word", "--seeds", "2"]
    assert main(["compare", *options, "--output_dir", done.path("comparison")]) == 0
    strategies = json.loads((done.folder / "comparison" / "comparison.json").read_text())["strategies"]
    shown = [name for name in strategies["word"] if name in COMPARED[done.case.task]]
    assert shown == [name for name in COMPARED[done.case.task] if not name.startswith("uncalibrated")]
    assert f"| strategy | {' | '.join(shown)} | ms a step |" in capsys.readouterr().out


def test_a_sweep_goes_by_the_metric_of_the_task(done: Done) -> None:
    space = done.folder / "space.yaml"
    space.write_text("train.learning_rate: {low: 0.001, high: 0.02, log: true}\n")
    options = [*done.options, "--train.epochs", "1", "--trials", "2", "--space", str(space)]
    assert main(["sweep", *options, "--output_dir", done.path("sweep")]) == 0
    report = json.loads((done.folder / "sweep" / "sweep.json").read_text())
    values = [trial["value"] for trial in report["trials"]]
    assert report["best"]["value"] == (min if done.case.task == "regression" else max)(values)


@needs_exporter
@pytest.mark.slow
def test_onnx_gives_the_same_outputs(done: Done) -> None:
    assert main(["export", done.path("run"), "--output_dir", done.path("onnx")]) == 0
    eager, exported = (Predictor.from_pretrained(done.path(name)) for name in ("run", "onnx"))
    texts = ["soup goal in Lima", "", "we met in Rome again and again and again", "x"]
    assert exported.space == eager.space
    scale = 1 if done.case.task != "regression" else 10
    for one, other in zip(eager.outputs(texts), exported.outputs(texts), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * scale)


def test_inspect_shows_the_labels(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["inspect", done.path("run"), done.path("data.jsonl"), "--count", "1", "--json"]) == 0
    pair = json.loads(capsys.readouterr().out.splitlines()[0])
    assert all(isinstance(row["label"], str) for row in pair["rows"])


class TestAbstaining:
    def test_rows_of_little_confidence_are_marked(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        curve = json.loads((run / "metrics.json").read_text())["validation"]["coverage"]
        assert curve[0]["share"] == 1.0
        assert [point["share"] for point in curve] == sorted((point["share"] for point in curve), reverse=True)
        asked = max(point["accuracy"] for point in curve)
        point = next(point for point in curve if point["accuracy"] >= asked)
        source = csv_of(tmp_path / "new.csv", "review\n" + "".join(f"{text}\n" for text, _ in topic_rows(30, seed=9)))
        output = tmp_path / "out.csv"
        arguments = ["predict", str(run), source, "--abstain", str(asked)]
        assert main([*arguments, "--output", str(output)]) == 0
        assert f"below a confidence of {point['threshold']:.4f}" in capsys.readouterr().err
        table = pd.read_csv(output)
        assert (table["abstain"] == (table["confidence"] < point["threshold"])).all()
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("\t")[2] == "abstain" for line in lines] == table["abstain"].tolist()

    def test_what_cannot_be_reached_is_told(self, run: Path, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
        assert tells(fails(["predict", str(run), "-", "--abstain", "1.5"], capsys), "--abstain", "at most 1")
        if done.case.task != "single_label":
            message = fails(["predict", done.path("run"), "-", "--abstain", "0.9"], capsys)
            assert tells(message, "--abstain", "single_label", done.case.task)
