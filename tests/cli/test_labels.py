"""Labels from the command line: unknown ones, several a row, and options that do not fit the task."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import QUICK, fails, tells
from tests.support.task_files import ROWS, TOPICS, has_topic
from tests.support.topics import topic_rows
from textmix import Predictor
from textmix.cli.main import main


class TestUnknownLabels:
    @pytest.fixture
    def other(self, run: Path, tmp_path: Path) -> list[str]:
        """Rows for the run of all commands, two of which have a class that it never saw."""
        rows = [*topic_rows(8, seed=5), ("a late train", "traffic"), ("a full bus", "traffic")]
        source = tmp_path / "new.csv"
        source.write_text("review,stars\n" + "".join(f"{text},{label}\n" for text, label in rows))
        return ["evaluate", str(run), "--data.source", str(source), "--output_dir", str(tmp_path / "out")]

    def test_they_are_refused_left_out_or_wrong(
        self, other: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = fails(other, capsys)
        assert tells(message, "'traffic' (2 rows)", "--data.unknown_labels skip")
        accuracy = {}
        for choice, rows in (("skip", 8), ("wrong", 10)):
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            assert main([*other, "--data.unknown_labels", choice]) == 0
            assert f"new: {rows} rows" in capsys.readouterr().out
            accuracy[choice] = json.loads((tmp_path / "out" / "metrics.json").read_text())["accuracy"]
        assert accuracy["wrong"] == pytest.approx(accuracy["skip"] * 8 / 10)


def test_thresholds_are_tuned_on_validation_rows_and_used_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "wide.csv"
    table = pd.DataFrame({"text": [text for text, _ in ROWS], **{name: has_topic(name) for name in TOPICS}})
    table.to_csv(source, index=False)
    columns = ["--data.source", str(source), "--data.label_column", "[food,music,sport]"]
    options = [*columns, *QUICK, "--train.tune_thresholds", "true", "--loss.class_weights", "balanced"]
    run = tmp_path / "run"
    assert main(["train", *options, "--output_dir", str(run)]) == 0
    thresholds = json.loads((run / "model" / "config.json").read_text())["thresholds"]
    assert len(thresholds) == 3
    assert thresholds != [0.5] * 3
    predicted = pd.read_csv(run / "predictions.csv", keep_default_na=False)
    values = predicted[[f"probability_{name}" for name in TOPICS]].to_numpy()
    expected = ["|".join(np.array(TOPICS)[row >= thresholds]) for row in values]
    assert predicted["prediction"].tolist() == expected
    found = Predictor.from_pretrained(run)({"text": predicted["text"].tolist()})
    assert found["prediction"] == expected
    crossval = ["crossval", *options, "--folds", "2", "--output_dir", str(tmp_path / "cv")]
    assert main(crossval) == 0
    pooled = pd.read_csv(tmp_path / "cv" / "oof_predictions.csv", keep_default_na=False)
    of_fold = [
        json.loads((tmp_path / "cv" / f"fold-{fold}" / "model" / "config.json").read_text())["thresholds"]
        for fold in (0, 1)
    ]
    for fold, prediction, row in zip(
        pooled["fold"], pooled["prediction"], pooled[[f"probability_{name}" for name in TOPICS]].to_numpy(), strict=True
    ):
        assert prediction == "|".join(np.array(TOPICS)[row >= of_fold[fold]])
    message = fails(["train", *options, "--data.validation_fraction", "0"], capsys)
    assert tells(message, "train.tune_thresholds", "data.validation_fraction")


@pytest.mark.slow
def test_three_forms_of_the_same_labels_train_the_same_model(tmp_path: Path) -> None:
    texts = [text for text, _ in ROWS]
    sets = [[name for name in ("sport", "music") if has_topic(name)[row]] for row in range(60)]
    wide = {name: [int(name in row) for row in sets] for name in ("sport", "music")}
    pd.DataFrame({"text": texts, **wide}).to_csv(tmp_path / "wide.csv", index=False)
    pd.DataFrame({"text": texts, "label": ["; ".join(row) for row in sets]}).to_csv(
        tmp_path / "joined.csv", index=False
    )
    lines = [json.dumps({"text": text, "label": row}) + "\n" for text, row in zip(texts, sets, strict=True)]
    (tmp_path / "lists.jsonl").write_text("".join(lines))
    forms = {
        "wide.csv": ["--data.label_column", "[sport,music]"],
        "joined.csv": ["--data.label_separator", ";"],
        "lists.jsonl": [],
    }
    for name, options in forms.items():
        source = ["--data.source", str(tmp_path / name), *options]
        assert main(["train", *source, *QUICK, "--output_dir", str(tmp_path / f"{name}.run")]) == 0
    for file in ("model/model.safetensors", "predictions.csv"):
        assert len({(tmp_path / f"{name}.run" / file).read_bytes() for name in forms}) == 1
    metrics = [json.loads((tmp_path / f"{name}.run" / "metrics.json").read_text())["test"] for name in forms]
    assert metrics[0] == metrics[1] == metrics[2]


def test_options_of_another_task_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "d.csv"
    source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS))
    options = ["train", "--data.source", str(source), *QUICK, "--output_dir", str(tmp_path / "r")]
    for more, words in (
        (["--train.metric", "mse"], ("train.metric", "single_label", "macro_f1")),
        (["--train.tune_thresholds", "true"], ("train.tune_thresholds", "single_label")),
        (["--task", "regression"], ("'label'", "not a number")),
        (["--task", "regression", "--loss.label_smoothing", "0.1"], ("label smoothing", "regression")),
        (["--task", "token_classification"], ("d: a cell holds", "not a list")),
        (["--task", "multi_label"], ("--data.label_separator",)),
        (["--task", "regression", "--mix.targets", "remix"], ("mix.targets remix", "regression")),
        (["--task", "regression", "--mix.targets", "trust"], ("mix.targets trust", "regression")),
        (["--task", "regression", "--mix.partner", "easy_hard"], ("mix.partner easy_hard", "regression")),
        (["--task", "multilabel"], ("task", "multi_label")),
    ):
        assert tells(fails([*options, *more], capsys), *words), more
    assert not (tmp_path / "r").exists()
