"""Options of the model: what is kept of long texts, and going on from a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import QUICK, fails, tells
from tests.support.task_files import ROWS
from textmix import Predictor
from textmix.cli.main import main


def test_both_ends_of_long_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    middle = " ".join(["the"] * 30)
    source = tmp_path / "long.csv"
    source.write_text("text,label\n" + "".join(f"a {middle} {text},{label}\n" for text, label in ROWS))
    arguments = ["train", "--data.source", str(source), *QUICK, "--model.max_length", "12"]
    accuracy = {}
    for kept in ("truncate", "head_tail"):
        run = tmp_path / kept
        assert main([*arguments, "--model.long_text", kept, "--output_dir", str(run)]) == 0
        assert "100.0% of the training texts exceed 12 tokens" in capsys.readouterr().out
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["train"]["truncated"] == 1.0
        accuracy[kept] = metrics["test"]["accuracy"]
    assert accuracy["head_tail"] > accuracy["truncate"]
    short, long = (
        Predictor.from_pretrained(tmp_path / "head_tail")([f"a {text} soup bread cheese"])
        for text in ("the the", middle)
    )
    np.testing.assert_allclose(short.argmax(), long.argmax())
    message = fails(
        [
            *arguments,
            "--model.long_text",
            "head_tail",
            "--data.text_column",
            "[text,label]",
            "--data.label_column",
            "x",
        ],
        capsys,
    )
    assert tells(message, "model.long_text head_tail", "pairs")


def test_windows_of_long_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filler = " ".join(["the"] * 15)
    source = tmp_path / "long.csv"
    source.write_text("text,label\n" + "".join(f"{filler} {text} {filler},{label}\n" for text, label in ROWS))
    arguments = ["train", "--data.source", str(source), *QUICK, "--mix.strategy", "sentence", "--model.max_length", "8"]
    accuracy = {}
    for kept in ("truncate", "windows"):
        run = tmp_path / kept
        assert main([*arguments, "--model.long_text", kept, "--output_dir", str(run)]) == 0
        assert "100.0% of the training texts exceed 8 tokens" in capsys.readouterr().out
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["train"]["truncated"] == (1.0 if kept == "truncate" else 0.0)
        accuracy[kept] = metrics["test"]["accuracy"]
    assert accuracy["windows"] > accuracy["truncate"]
    predictor = Predictor.from_pretrained(tmp_path / "windows")
    begin, middle = predictor([f"{ROWS[0][0]} {filler} {filler}", f"{filler} {ROWS[0][0]} {filler}"])
    assert begin.argmax() == middle.argmax()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mix.strategy", "word"], ("model.long_text windows", "mix.strategy word", "use one of none, sentence")),
        (["--mix.strategy", "sentence", "--mix.partner", "length"], ("mix.partner length", "model.long_text windows")),
        (["--mix.strategy", "sentence", "--mix.lam", "similarity"], ("mix.lam similarity", "model.long_text windows")),
        (["--model.head", "native"], ("model.long_text windows needs model.head linear",)),
        (["--data.text_column", "[text,label]", "--data.label_column", "x"], ("model.long_text windows", "pairs")),
    ],
)
def test_what_windows_cannot_do(
    options: list[str], words: tuple[str, ...], topics_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(["train", "--data.source", str(topics_csv), "--model.long_text", "windows", *options], capsys)
    assert tells(message, *words)


def test_a_word_model_goes_on_at_the_rate_of_word_models(run: Path, tmp_path: Path) -> None:
    source = [
        "--data.source",
        str(run.parent / "topics.csv"),
        "--data.text_column",
        "review",
        "--data.label_column",
        "stars",
    ]
    options = [
        "train",
        *source,
        "--model.name",
        str(run),
        "--train.max_steps",
        "1",
        "--output_dir",
        str(tmp_path / "r"),
    ]
    assert main(options) == 0
    config = (tmp_path / "r" / "config.yaml").read_text()
    assert f"name: {run / 'model'}\n" in config
    assert "learning_rate: 0.001\n" in config
