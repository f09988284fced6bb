"""What users get wrong: one line that tells them, exit code 2, nothing written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import SMALL, csv_of, fails, fails_quietly, snapshot
from tests.support.topics import topic_rows

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
    "wrong type": ("", ["--train.epochs", "many"], r'Parser key "train\.epochs": .*int.* Given value: many$'),
    "wrong choice": (
        "",
        ["--model.pooling", "meen"],
        r'Parser key "model\.pooling": Expected .*mean.* Got value: meen$',
    ),
    "out of range": ("", ["--mix.alpha", "-1"], r"mix\.alpha .*above 0.* -1\.0$"),
    "missing value": ("", ["--mix.alpha"], r".*mix\.alpha.*"),
    "unknown model": (
        "",
        ["--model.name", "minilmm"],
        r"no model 'minilmm' \(built in: minilm, textcnn, textrnn, fasttext;.*",
    ),
    "too long": (
        "",
        ["--model.name", "minilm", "--model.max_length", "9999"],
        r"model\.max_length 9999 exceeds the 512",
    ),
    "shots of numbers": (
        "text,label\na,1.5\nb,2.5\nc,3.5\nd,4.5\n",
        ["--task", "regression", "--data.shots", "2"],
        r"data\.shots needs one class for each row; the task is regression",
    ),
    "layer too deep": (
        "text,label\n" + BODY,
        ["--mix.strategy", "manifold", "--mix.manifold.layers", "[9]"],
        r"TextCNN has no site layer:9 for strategy 'manifold'; it offers tokens, embeddings, layer:1, pooled",
    ),
    "unknown strategy in choices": (
        "",
        ["--mix.strategy", "any", "--mix.any.choices", "{wrod: 1}"],
        r"unknown mix\.any\.choices 'wrod'; did you mean 'word'\?",
    ),
    "any without choices": (
        "",
        ["--mix.strategy", "any"],
        r"mix\.strategy any needs mix\.any\.choices: strat",
    ),
    "choices that are no mapping": (
        "",
        ["--mix.strategy", "any", "--mix.any.choices", "word"],
        r'Parser key "mix\.any\.choices": .*dict\[str, float\].* Given value: word$',
    ),
    "choices without any": (
        "",
        ["--mix.any.choices", "{word: 1}"],
        r"mix\.any\.choices has no effect with strategy 'none'",
    ),
    "an option of another strategy": (
        "",
        ["--mix.strategy", "word", "--mix.batch.temperature", "2"],
        r"mix\.batch\.temperature has no effect with strategy 'word'",
    ),
    "keep without embeddings": (
        "",
        ["--mix.strategy", "cutmix", "--mix.cutmix.keep", "0.5"],
        r"mix\.cutmix\.keep has .*mix\.cutmix\.level embeddings",
    ),
    "kappa of nothing": (
        "",
        ["--mix.targets", "remix", "--mix.remix_kappa", "0"],
        r"mix\.remix_kappa must be .*, not 0\.0",
    ),
    "two things at once": (
        "",
        ["--mix.start", "0.5", "--mix.stop", "0.5", "--mix.strategy", "multi", "--mix.multi.rows", "1"],
        r"mix\.start .*mix\.stop.* 0\.5 and 0\.5; mix\.multi\.rows .*2.* 1$",
    ),
    "smoothing all away": (
        "",
        ["--loss.label_smoothing", "1"],
        r"loss\.label_smoothing .*\[0, 1\).* 1\.0$",
    ),
    "negative gamma": ("", ["--loss.focal_gamma", "-1"], r"loss\.focal_gamma .*0.* -1\.0$"),
    "unknown weights": (
        "",
        ["--loss.class_weights", "balancd"],
        r'Parser key "loss\.class_weights": .*balanced.* Given value: balancd$',
    ),
    "too few class weights": (
        "text,label\n" + BODY,
        ["--loss.class_weights", "[1, 2]"],
        r"loss\.class_weights .*2 .*3 classes food, music, sport",
    ),
    "too many class counts": (
        "text,label\n" + BODY,
        ["--mix.targets", "remix", "--mix.class_counts", "[1, 2, 3, 4]"],
        r"mix\.class_counts has 4 numbers for the 3 classes food, music, sport",
    ),
    "unknown option of the loss": (
        "",
        ["--loss.gamma", "1"],
        r"unknown option --loss\.gamma; did you mean '--.*'\?|unknown option --loss\.gamma; --help lists all options",
    ),
    "a class named like a key of the report": (
        "text,label\n" + BODY.replace(",food", ",accuracy"),
        [],
        r"d: 'accuracy' is a key of the classification report",
    ),
    "tiny vocabulary": ("", ["--model.words.vocab_size", "1"], r"model\.words\.vocab_size must be at least 10"),
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
        ["--model.words.vectors", "no.txt"],
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
            ("data: {source: x}\nmix: {alpha: 1\n", r"config: cannot read recipe\.yaml: .*line 2"),
            ("data: {source: x}\ntrain: {epochs: many}\n", r'Parser key "train\.epochs": .*many'),
            ("mix: {alpha: 1}\n", r".*arguments are required: data\.source; it is a file"),
            ("- a list\n", r"Unexpected config: - a list"),
            ("data: {source: x}\nloss: null\n", r"the section 'loss' is not a mapping of options"),
            ("data: {source: x}\nloss: {focal: 1}\n", r"unknown key 'loss\.focal'"),
            ("data: {source: x}\ntrain: null\n", r"the section 'train' is not a mapping of options"),
            (
                "data: {source: x}\nmodel: {words: 5}\n",
                r"the section 'model\.words' is not a mapping of options",
            ),
            ("data: {source: x}\nmodel: minilm\n", r"Parser key \"model\": Unable to load config 'minilm'"),
        ],
    )
    def test_a_wrong_recipe(
        self, recipe: str, pattern: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("recipe.yaml").write_text(recipe)
        assert re.match(pattern, message := fails(["train", "recipe.yaml"], capsys)), message

    def test_a_section_that_is_none_beside_options_of_the_command_line(
        self, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("recipe.yaml").write_text("data: {source: x}\nmodel: 3\n")
        message = fails(["train", "recipe.yaml", "--model.name", "textcnn"], capsys)
        assert message.startswith("the section 'model' is not a mapping of options to values")
        message = fails(["train", "--data.source", "x", "--model.fasttext", "\0"], capsys)
        assert message == "an option has an invalid value: embedded null byte"

    @pytest.mark.slow
    def test_libraries_say_nothing_beside_the_one_line(self, in_tmp_path: Path) -> None:
        csv_of(in_tmp_path / "d.csv", 'text,label\na,x\n"b,y\nc,z\n')
        (in_tmp_path / "d.parquet").write_bytes(b"PAR1 and no more")
        calls = [["train", "--data.source", name, *SMALL] for name in ("d.csv", "d.parquet")]
        code = f"from textmix.cli.main import main\nassert [main(call) for call in {calls}] == [2, 2]"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 2, result.stderr

    def test_wrong_places(self, run: Path, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("empty").mkdir()
        new = csv_of(in_tmp_path / "new.csv", "review\nx\n")
        cases = {
            ("train", "missing.yaml"): r"no file and no recipe 'missing\.yaml'; `textmix recipes` lists them$",
            ("train",): r"the following arguments are required: data\.source; it is a file, a built-in data set",
            ("trian",): r"unknown command 'trian'; did you mean 'train'\?",
            ("evaluate", "nowhere"): r"no run at nowhere",
            ("evaluate", "empty"): r"empty is not a run: it has no config\.yaml",
            ("evaluate", str(run), "--data.text_column", "x"): r"options of data need --data\.source",
            ("predict", str(run), "missing.csv"): r"no file at 'missing\.csv'",
            ("predict", str(run), new, "--output", "o.xls"): r"cannot write 'o\.xls': its name must end in",
            ("predict", str(run), new, "--output", "no/o.csv"): r"cannot write 'no/o\.csv': there is no directory no",
            ("predict", str(run), new, "--data.text_column", "t"): r"new: no column 't'",
            ("predict", str(run), new, "--batch_size", "0"): r"--batch_size must be at least 1, not 0",
            ("predict", str(run)): r"the following arguments are required: source$",
            ("predict", str(run), new, "--outptu", "x"): r"unknown option --outptu; did you mean '--output'\?",
            ("predict", str(run), "x" * 300): r"x+: File name too long|no data set 'x+'",
            ("train", "--overwite"): r"unknown option --overwite; did you mean '--overwrite'\?",
            ("train", "--overwrite", "recipe.yaml"): r"unrecognized arguments: recipe\.yaml$",
            ("train", "--overwrite", "--resume=run"): r"--resume takes the directory of a run and no other",
            ("evaluate", str(run), "--output_dir", str(run)): r".* is a run, and its metrics would be overwritten",
            ("train", "--resume", "nowhere"): r"no run at nowhere",
            (
                "train",
                "--resume",
                str(run),
                "--model.trust_remote_code",
                "yes",
            ): r"--resume takes the directory of a run",
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
