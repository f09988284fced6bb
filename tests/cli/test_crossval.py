"""`textmix crossval` and `textmix ensemble`, as users run them."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import QUICK, csv_of, fails, fails_quietly, snapshot, tells
from tests.support.topics import topic_rows
from textmix.cli.main import main

OOF = "oof_predictions.csv"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cross-validations of 3 folds, and the files they were made of."""
    folder = tmp_path_factory.mktemp("crossval")
    rows = [f"{number},{text},{label}\n" for number, (text, label) in enumerate(topic_rows(60))]
    csv_of(folder / "train.csv", "id,text,label\n" + "".join(rows))
    csv_of(folder / "test.csv", "id,text\n" + "".join(f"{row.rsplit(',', 1)[0]}\n" for row in rows[:9]))
    for strategy in ("word", "none"):
        assert main(arguments(folder, folder / strategy, "--mix.strategy", strategy)) == 0
    return folder


def arguments(folder: Path, directory: Path, *more: str) -> list[str]:
    options = ["--data.source", str(folder / "train.csv"), *QUICK, "--folds", "3", "--output_dir", str(directory)]
    return ["crossval", *options, "--submit", str(folder / "test.csv"), "--submit_columns", "id,y=label", *more]


def test_what_it_writes(runs: Path) -> None:
    table = pd.read_csv(runs / "word" / OOF)
    assert table["row"].tolist() == list(range(60))
    assert table["fold"].value_counts().to_dict() == {0: 20, 1: 20, 2: 20}
    assert (table["label"] == table["prediction"]).mean() > 0.5
    assert list(pd.read_csv(runs / "word" / "submission.csv").columns) == ["id", "y"]


def test_it_prints_the_scores_and_goes_on(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shutil.copytree(runs / "none", tmp_path / "copy")
    before = snapshot(tmp_path / "copy")
    for name in ("fold-1/metrics.json", "crossval.json", OOF):
        (tmp_path / "copy" / name).unlink()
    assert main(arguments(runs, tmp_path / "copy", "--mix.strategy", "none")) == 0
    output = capsys.readouterr().out
    assert "all 60 rows" in output
    assert "mean ± sd" in output
    assert output.count("epoch 1") == 1  # of fold-1
    after = snapshot(tmp_path / "copy")
    for name in (OOF, "submission.csv", "crossval.json"):
        assert after[str(tmp_path / "copy" / name)] == before[str(tmp_path / "copy" / name)]


def test_ensemble(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    target = tmp_path / "ensemble"
    command = ["ensemble", str(runs / "word"), str(runs / "none"), "--output_dir", str(target)]
    assert main([*command, "--metric", "accuracy"]) == 0
    output = capsys.readouterr().out
    assert "(optimistic)" in output
    assert "nested" in output
    assert {path.name for path in target.iterdir()} >= {
        "ensemble.json",
        OOF,
        "submission.csv",
        "test_probabilities.csv",
    }
    assert "nothing" in fails(["ensemble", str(runs / "word"), str(runs / "nothing")], capsys)
    assert "Group" not in fails([*command, "--metric", "f1"], capsys)


class TestWrongInput:
    def test_it_is_found_before_anything_is_trained(
        self, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for more, message in (
            (["--submit_columns", "idd,label"], "--submit_columns: no column 'idd'"),
            (["--submit", str(tmp_path / "none.csv")], "no file at"),
            (["--folds", "61"], "cannot cut 60 rows of 3 classes into 61 folds"),
            (["--id_column", "ids"], "no column 'ids' (--id_column)"),
            (["--data.group_column", "user"], "no column 'user' (data.group_column)"),
            (["--data.test_source", "bbc_news"], "leave out data.test_source"),
        ):
            assert message in fails(arguments(runs, tmp_path / "cv", *more), capsys)
            assert not (tmp_path / "cv").exists()

    def test_other_options_than_those_it_was_begun_with(self, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        message = fails_quietly(arguments(runs, runs / "none", "--mix.strategy", "none", "--train.epochs", "5"), capsys)
        assert "fold-0 holds a run with another train.epochs; choose another --output_dir" in message

    def test_columns_without_rows(self, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        message = fails(["crossval", "--data.source", "x.csv", "--submit_columns", "id"], capsys)
        assert tells(message, "--submit_columns", "no effect", "without --submit")
