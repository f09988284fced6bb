"""`textmix evaluate` and `textmix predict`: formats in and out, what is refused."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.commands import QUICK, csv_of, fails, snapshot, tells
from textmix.cli.main import main


class TestEvaluate:
    def test_the_test_split_of_the_run_is_the_default(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["evaluate", str(run)]) == 0
        again = json.loads((run / "evaluations" / "test-split" / "metrics.json").read_text())
        scores = json.loads((run / "metrics.json").read_text())["test"]
        # What needs a temperature is said of the run alone, which has fitted one on its validation split.
        assert again.pop("about") == {"run": str(run), "data": None}
        assert again == {name: value for name, value in scores.items() if name in again}
        fitted = {"scaled_nll", "scaled_nll_interval", "scaled_ece", "scaled_ece_interval"}
        assert scores.keys() - again.keys() == {"temperature", *fitted}
        assert "precision" in capsys.readouterr().out

    def test_a_directory_with_something_else_is_left_alone(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "predictions.csv").write_text("mine")
        message = fails(["evaluate", str(run), "--output_dir", str(tmp_path)], capsys)
        assert message.endswith("exists and is not an evaluation; choose another")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
        for _ in range(2):  # an earlier evaluation is replaced
            assert main(["evaluate", str(run), "--output_dir", str(tmp_path / "new")]) == 0

    def test_an_evaluation_on_other_rows_is_left_alone(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for folder, text in (("a", "goal"), ("b", "soup")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "new.csv").write_text(f"review,stars\n{text},sport\n")
        options = ["evaluate", str(run), "--output_dir", str(tmp_path / "out"), "--data.source"]
        for _ in range(2):  # one on the same rows is replaced
            assert main([*options, str(tmp_path / "a" / "new.csv")]) == 0
        before = snapshot(tmp_path / "out")
        message = fails([*options, str(tmp_path / "b" / "new.csv")], capsys)
        assert tells(message, str(tmp_path / "out"), "on other rows", "--output_dir")
        assert "on other rows" in fails(
            [*options, str(tmp_path / "a" / "new.csv"), "--data.drop_missing", "true"], capsys
        )
        assert "on other rows" in fails(["evaluate", str(run), "--output_dir", str(tmp_path / "out")], capsys)
        other = Path(shutil.copytree(run, tmp_path / "other"))
        message = fails(["evaluate", str(other), *options[2:], str(tmp_path / "a" / "new.csv")], capsys)
        assert tells(message, str(tmp_path / "out"), f"evaluation of {run}", "--output_dir")
        assert snapshot(tmp_path / "out") == before

    def test_a_test_split_of_changed_data_is_refused(
        self, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = Path(shutil.copy(topics_csv, tmp_path / "copy.csv"))
        arguments = ["train", "--data.source", str(source), *QUICK, "--output_dir", str(tmp_path / "run")]
        assert main(arguments) == 0
        source.write_text(source.read_text().replace("goal", "score"))
        message = fails(["evaluate", str(tmp_path / "run")], capsys)
        assert message == (
            f"the data of {tmp_path / 'run'} have changed since it started (train), and rows may be in another"
            " split: restore the data, train in another directory, or evaluate new rows with --data.source"
        )
        assert not (tmp_path / "run" / "evaluations").exists()
        assert main(["evaluate", str(tmp_path / "run"), "--data.source", str(source)]) == 0
        (tmp_path / "run" / "data.json").write_text("[]")
        assert "data.json is damaged" in fails(["evaluate", str(tmp_path / "run")], capsys)

    def test_only_the_test_source_must_be_as_it_was(
        self, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, test = (
            Path(shutil.copy(topics_csv, tmp_path / "s.csv")),
            Path(shutil.copy(topics_csv, tmp_path / "t.csv")),
        )
        data = ["--data.source", str(source), "--data.test_source", str(test)]
        run = str(tmp_path / "run")
        assert main(["train", *data, *QUICK, "--output_dir", run]) == 0
        source.write_text(source.read_text().replace("goal", "score"))
        assert main(["evaluate", run]) == 0
        evaluated = json.loads((tmp_path / "run" / "evaluations" / "test-split" / "metrics.json").read_text())
        assert evaluated["nll"] == json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["nll"]
        (tmp_path / "run" / "metrics.json").unlink()
        assert "have changed since it started (train)" in fails(["train", "--resume", run], capsys)
        source.unlink()
        assert main(["evaluate", run]) == 0
        test.write_text(test.read_text().replace("goal", "score"))
        assert "have changed since it started (test)" in fails(["evaluate", run], capsys)

    def test_another_file_with_other_columns(self, run: Path, tmp_path: Path) -> None:
        path = tmp_path / "new.jsonl"
        rows = [{"t": "goal match team", "y": "sport"}, {"t": "song guitar", "y": "music"}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = ["--data.source", str(path), "--data.text_column", "t", "--data.label_column", "y"]
        assert main(["evaluate", str(run), *options, "--output_dir", str(tmp_path / "out")]) == 0
        assert json.loads((tmp_path / "out" / "metrics.json").read_text())["report"]["food"]["support"] == 0
        assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 2

    def test_a_label_that_training_never_saw(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "new.csv"
        path.write_text("review,stars\ngoal,sport\ncar,traffic\n")
        message = fails(["evaluate", str(run), "--data.source", str(path)], capsys)
        assert message == (
            "new: 1 labels that training never saw: 'traffic' (1 rows); the classes are food, music, sport;"
            " --data.unknown_labels skip leaves these rows out"
        )
        assert not (run / "evaluations" / "data-new").exists()


class TestPredict:
    TEXTS = ("goal match team league", "soup bread", "song, guitar album drum", "")

    @pytest.mark.parametrize("source", ["new.csv", "new.jsonl", "new.parquet", "new.tsv"])
    @pytest.mark.parametrize("target", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
    def test_every_format_in_and_out(self, run: Path, tmp_path: Path, source: str, target: str) -> None:
        frame = pd.DataFrame({"id": ["1", "2", "3", "4"], "review": self.TEXTS})
        path = tmp_path / source
        {
            ".csv": lambda: frame.to_csv(path, index=False),
            ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
            ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
            ".parquet": lambda: frame.to_parquet(path),
        }[path.suffix]()
        output = tmp_path / target
        assert main(["predict", str(run), str(path), "--output", str(output)]) == 0
        read = {
            ".csv": pd.read_csv,
            ".tsv": lambda p: pd.read_csv(p, sep="\t"),
            ".jsonl": lambda p: pd.read_json(p, lines=True),
            ".parquet": pd.read_parquet,
        }[output.suffix](output)
        assert read["prediction"].tolist()[:3] == ["sport", "food", "music"]
        assert [str(value) for value in read["id"]] == ["1", "2", "3", "4"]
        expected = ["id", "review", "prediction", "confidence", "probability_food", "probability_music"]
        assert list(read.columns) == [*expected, "probability_sport"]
        assert read["confidence"].between(1 / 3, 1).all()

    def test_sparse_and_dated_columns_survive(self, run: Path, tmp_path: Path) -> None:
        late = [None] * 1100 + ["filled"]
        dates = pd.to_datetime(["2026-01-02"] * 1101)
        frame = pd.DataFrame({"review": ["goal match"] * 1101, "note": late, "day": dates})
        frame.to_parquet(tmp_path / "n.parquet")
        for name in ("o.parquet", "o.jsonl"):
            assert main(["predict", str(run), str(tmp_path / "n.parquet"), "--output", str(tmp_path / name)]) == 0
        table = pd.read_parquet(tmp_path / "o.parquet")
        assert table["note"].tolist()[-1] == "filled"
        assert table["day"].equals(frame["day"])
        last = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[-1])
        assert (last["note"], last["day"][:10], last["prediction"]) == ("filled", "2026-01-02", "sport")

    def test_lines_of_standard_input(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.StringIO("goal match team\nguitar song\twith a tab\n\n"))
        assert main(["predict", str(run), "-"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [(label, text) for label, _, text in lines[:2]] == [
            ("sport", "goal match team"),
            ("music", "guitar song with a tab"),
        ]
        assert lines[2][2] == ""
        assert 0 < float(lines[0][1]) <= 1

    def test_standard_input_into_a_file(self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("goal match\n" * 2500))
        assert main(["predict", str(run), "-", "--output", str(tmp_path / "o.csv")]) == 0
        table = pd.read_csv(tmp_path / "o.csv")
        assert table["prediction"].tolist() == ["sport"] * 2500

    def test_integers_beside_missing_values_stay_whole(self, run: Path, tmp_path: Path) -> None:
        ids = [9007199254740993, None]
        rows = [{"review": "goal", "id": value} for value in ids]
        (tmp_path / "n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name in ("o.csv", "o.jsonl"):
            assert main(["predict", str(run), str(tmp_path / "n.jsonl"), "--output", str(tmp_path / name)]) == 0
            assert "9007199254740993" in (tmp_path / name).read_text()
            assert "9007199254740993." not in (tmp_path / name).read_text()

    def test_no_column_is_overwritten(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = csv_of(tmp_path / "n.csv", "review,confidence\ngoal,mine\n")
        message = fails(["predict", str(run), source, "--output", str(tmp_path / "o.csv")], capsys, progress=True)
        assert tells(message, "source", "column 'confidence'", "rename")
        assert not (tmp_path / "o.csv").exists()

    def test_a_directory_is_never_replaced(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "o.parquet").mkdir()
        (tmp_path / "o.parquet" / "part-0").write_text("precious")
        source = csv_of(tmp_path / "n.csv", "review\ngoal\n")
        message = fails(["predict", str(run), source, "--output", str(tmp_path / "o.parquet")], capsys)
        assert message.endswith("o.parquet': it is a directory")
        assert (tmp_path / "o.parquet" / "part-0").read_text() == "precious"

    @pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the latter is Python's in the locale C
    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "standard input has no lines"), (b"caf\xe9\n", "standard input is not UTF-8")]
    )
    def test_unusable_standard_input(
        self,
        run: Path,
        content: bytes,
        message: str,
        errors: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8", errors))
        assert fails(["predict", str(run), "-"], capsys).startswith(message)

    def test_a_failure_leaves_no_half_written_file(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from textmix import Predictor

        (tmp_path / "o.csv").write_text("precious")
        monkeypatch.setattr("sys.stdin", io.StringIO("goal\n" * 30))
        monkeypatch.setattr("textmix.data.windows.WINDOW", 10)
        calls, original = [], Predictor.__call__

        def fail_late(self: Predictor, rows: Any, **options: Any) -> object:
            calls.append(1)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return original(self, rows, **options)

        monkeypatch.setattr(Predictor, "__call__", fail_late)
        assert main(["predict", str(run), "-", "--output", str(tmp_path / "o.csv")]) == 130
        assert (tmp_path / "o.csv").read_text() == "precious"
        assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]
        assert len(calls) == 2

    def test_the_last_window_may_be_short(self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("textmix.data.windows.WINDOW", 10)
        rows = [("goal match team", "sport"), ("guitar song", "music")] * 12
        source = csv_of(tmp_path / "n.csv", "review\n" + "".join(f"{text}\n" for text, _ in rows))
        for name in ("o.csv", "o.parquet"):
            assert main(["predict", str(run), source, "--output", str(tmp_path / name)]) == 0
        assert pd.read_csv(tmp_path / "o.csv")["prediction"].tolist() == [label for _, label in rows]
        assert pd.read_parquet(tmp_path / "o.parquet")["review"].tolist() == [text for text, _ in rows]

    def test_no_batch_without_rows(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        message = fails(["predict", str(run), "-", "--batch_size", "0"], capsys)
        assert message == "--batch_size must be at least 1, not 0"

    def test_bf16_gives_nearly_the_same(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        outputs = []
        for precision in ("fp32", "bf16"):
            capsys.readouterr()
            monkeypatch.setattr("sys.stdin", io.StringIO("goal match team\nsoup bread\n"))
            assert main(["predict", str(run), "-", "--precision", precision]) == 0
            outputs.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
        assert [row[0] for row in outputs[0]] == [row[0] for row in outputs[1]] == ["sport", "food"]
        assert all(abs(float(a[1]) - float(b[1])) < 1e-2 for a, b in zip(*outputs, strict=True))
