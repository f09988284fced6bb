"""`textmix recipes`, and recipes by name in the commands that take one."""

from pathlib import Path

import pytest

from tests.support.commands import SMALL, fails, snapshot
from tests.support.launching import ROOT
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.config.parsing import parse, run_parser
from textmix.io.recipes import list_recipes


class TestList:
    def test_each_has_a_line(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        assert main(["recipes"]) == 0
        lines = capsys.readouterr().out.splitlines()
        for recipe in list_recipes():
            assert len([line for line in lines if f" {recipe.name} " in line and f" {recipe.summary} " in line]) == 1

    def test_a_word_that_is_no_command_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fails(["recipes", "cpoy", "sentences/textcnn"], capsys).startswith("unrecognized arguments: cpoy")


class TestCopy:
    RECIPE = (ROOT / "recipes" / "sentences" / "textcnn.yaml").read_bytes()

    @pytest.mark.parametrize(
        ("words", "written"), [([], "textcnn.yaml"), (["my.yaml"], "my.yaml"), (["folder"], "folder/textcnn.yaml")]
    )
    def test_it_is_written(
        self, words: list[str], written: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("folder").mkdir()
        assert main(["recipes", "copy", "sentences/textcnn", *words]) == 0
        assert capsys.readouterr().out == f"copied to {written}; train it with: textmix train {written}\n"
        assert snapshot(Path()) == {written: self.RECIPE}

    def test_what_is_for_another_program_is_not_trained(
        self, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["recipes", "copy", "distributed/ray_predict"]) == 0
        assert capsys.readouterr().out == "copied to ray_predict.py\n"

    def test_a_file_is_replaced_only_on_request(self, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("textcnn.yaml").write_text("mine")
        assert fails(["recipes", "copy", "sentences/textcnn"], capsys) == (
            "textcnn.yaml exists; give another path, or --overwrite to replace it"
        )
        assert Path("textcnn.yaml").read_text() == "mine"
        assert main(["recipes", "copy", "sentences/textcnn", "--overwrite"]) == 0
        assert snapshot(Path()) == {"textcnn.yaml": self.RECIPE}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["sentences/textcn"], "no recipe 'sentences/textcn'; did you mean 'sentences/textcnn'? `textmix recipes`"),
            (["sentences/textcnn", "no/my.yaml"], "cannot write 'no/my.yaml': there is no directory no"),
            ([], "the following arguments are required: name"),
        ],
    )
    def test_wrong_words_are_told(
        self, words: list[str], message: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert fails(["recipes", "copy", *words], capsys).startswith(message)
        assert snapshot(Path()) == {}


class TestNames:
    @pytest.mark.parametrize("words", [["--config", "sentences/textcnn"], ["--config=sentences/textcnn"]])
    def test_every_form_of_the_option_takes_one(self, words: list[str], in_tmp_path: Path) -> None:
        options = parse(run_parser("textmix train", ""), [*words, "--data.source", "x", "--train.epochs", "3"])
        assert (options["train.batch_size"], options["train.epochs"]) == (50, 3)

    @pytest.mark.parametrize("command", ["train", "compare", "crossval", "sweep"])
    def test_every_command_with_a_recipe_takes_one(
        self, command: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wrong = fails([command, "sentences/textcn"], capsys)
        assert wrong.startswith("no file and no recipe 'sentences/textcn'; did you mean 'sentences/textcnn'?")
        needed = fails([command, "sentences/textcnn"], capsys)
        assert needed.startswith("the following arguments are required: data.source; it is a file, a built-in data set")

    def test_one_is_trained(self, in_tmp_path: Path) -> None:
        rows = "".join(f"{text},{label}\n" for text, label in topic_rows(60))
        Path("rows.csv").write_text(f"text,label\n{rows}")
        short = ["--train.max_steps", "1", "--output_dir", "run"]
        assert main(["train", "sentences/textcnn", "--data.source", "rows.csv", *SMALL, *short]) == 0
        assert "batch_size: 50" in Path("run/config.yaml").read_text()
