"""`textmix adapt ENCODER SOURCE... --output_dir DIR`, and training on what it writes."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModel

from tests.support.commands import csv_of, fails, snapshot, tells
from tests.support.masked_lm import save_encoder_in
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.runs import adapt as runs_adapt

QUICK = ["--max_steps", "4", "--batch_size", "8", "--precision", "fp32"]


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return str(save_encoder_in(tmp_path / "bert"))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    """A file of one text a line, without labels."""
    path = tmp_path / "pool.txt"
    path.write_text("".join(f"{text}\n" for text, _ in topic_rows(220)))
    return str(path)


def test_adapt_and_train(
    encoder: str, texts: str, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "adapted"
    before = snapshot(Path(encoder))
    assert main(["adapt", encoder, texts, str(topics_csv), *QUICK, "--output_dir", str(target)]) == 0
    begin, end, saved = capsys.readouterr().out.splitlines()
    assert tells(begin, "294 texts", "at most 16 tokens", "4 steps of 8", "fp32")  # 310 without a twentieth
    assert tells(end, "16 held-out texts", "loss", "accuracy", "->", "new head")
    assert str(target) in saved
    assert snapshot(Path(encoder)) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "tmp"))]
    about = json.loads((target / "adaptation.json").read_text())
    assert about["texts"] == {"train": 294, "held_out": 16}
    assert about["after"]["loss"] < about["before"]["loss"]
    old, new = (AutoModel.from_pretrained(path).embeddings.word_embeddings.weight for path in (encoder, target))
    assert not torch.equal(old, new)
    run = ["--model.name", str(target), "--train.max_steps", "2", "--output_dir", str(tmp_path / "run")]
    assert main(["train", "--data.source", str(topics_csv), *run]) == 0
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_the_seed_decides_every_bit(encoder: str, texts: str, tmp_path: Path) -> None:
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        torch.rand(number)  # the global generator does not matter
        state = torch.get_rng_state()
        target = tmp_path / str(number)
        assert main(["adapt", encoder, texts, *QUICK, "--seed", str(seed), "--output_dir", str(target)]) == 0
        assert torch.equal(torch.get_rng_state(), state)
        weights.append((target / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_each_column_is_a_text_and_few_texts_have_no_score(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = csv_of(tmp_path / "pairs.csv", "title;body\n" + "soup;the soup with bread\n" * 90)
    arguments = ["adapt", encoder, source, "--data.text_column", "[title,body]", "--data.delimiter", ";"]
    assert main([*arguments, *QUICK, "--output_dir", str(tmp_path / "adapted")]) == 0
    begin, end, _ = capsys.readouterr().out.splitlines()
    assert tells(begin, "90 texts in 180 pieces")
    assert tells(end, "no held-out score", "fewer than 200 texts")


def test_the_test_split_of_a_source_is_not_read(
    encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {"train": 30, "test": 20}
    rows = {name: Dataset.from_dict({"text": ["the soup"] * count}) for name, count in splits.items()}
    DatasetDict(rows).save_to_disk(tmp_path / "splits")
    assert main(["adapt", encoder, str(tmp_path / "splits"), *QUICK, "--output_dir", str(tmp_path / "adapted")]) == 0
    assert tells(capsys.readouterr().out.splitlines()[0], "30 texts")


class TestTarget:
    def test_an_earlier_result_is_replaced(
        self, encoder: str, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "adapted"
        arguments = ["adapt", encoder, str(topics_csv), *QUICK, "--output_dir", str(target)]
        assert main(arguments) == 0
        first = snapshot(target)
        assert main([*arguments, "--seed", "1"]) == 0
        assert snapshot(target).keys() == first.keys()
        assert snapshot(target) != first
        (target / "run").mkdir()
        (target / "run" / "mine").touch()
        message = fails(arguments, capsys)
        assert tells(message, f"output_dir {target}", "run/mine", "choose another")
        # To go on from it needs another directory.
        message = fails(["adapt", str(target), str(topics_csv), *QUICK, "--output_dir", str(target)], capsys)
        assert tells(message, f"output_dir {target} would overwrite")

    def test_other_directories_are_refused(
        self, encoder: str, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for target in (encoder, str(tmp_path)):
            message = fails(["adapt", encoder, str(topics_csv), "--output_dir", target], capsys)
            assert tells(message, f"output_dir {target} would overwrite")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").touch()
        message = fails(["adapt", encoder, str(topics_csv), "--output_dir", str(tmp_path / "mine")], capsys)
        assert tells(message, "mine exists and is not an encoder that textmix adapt has written")

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
    def test_nothing_is_left_after_an_error(
        self, encoder: str, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        def fail(model: object, name: str, directory: Path) -> None:
            (directory / "config.json").touch()
            raise error

        monkeypatch.setattr(runs_adapt, "save_encoder", fail)
        before = snapshot(tmp_path)
        code = main(["adapt", encoder, str(topics_csv), *QUICK, "--output_dir", str(tmp_path / "adapted")])
        assert code == (130 if isinstance(error, KeyboardInterrupt) else 2)
        assert snapshot(tmp_path) == before
        assert not (tmp_path / "adapted").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask_probability", "1"], ("--mask_probability must lie between 0 and 1, not 1",)),
        (["--epochs", "0", "--batch_size", "-1"], ("--epochs must be at least 1", "--batch_size must be at least 1")),
        (["--max_steps", "0"], ("--max_steps must be at least 1, not 0",)),
        (["--learning_rate", "0"], ("--learning_rate must be above 0",)),
        (["--seed", "-1"], ("--seed must lie in",)),
        (["--max_length", "99"], ("--max_length 99 exceeds the 16 tokens",)),
        (["--max_length", "2"], ("--max_length must be above",)),
        (["--precision", "fp16"], ("precision",)),
        (["--data.text_column", "body"], ("no column 'body'", "it has text, label")),
        (["--data.encoding", "utf-9"], ("data.encoding 'utf-9' is unknown",)),
        (["--learning_rates", "1"], ("unknown option --learning_rates", "--learning_rate")),
    ],
)
def test_wrong_options(
    encoder: str,
    topics_csv: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: tuple[str, ...],
) -> None:
    target = tmp_path / "adapted"
    assert tells(fails(["adapt", encoder, str(topics_csv), "--output_dir", str(target), *options], capsys), *words)
    assert not target.exists()


def test_wrong_input(encoder: str, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["--output_dir", str(tmp_path / "adapted")]
    assert tells(fails(["adapt", "textcnn", str(topics_csv), *target], capsys), "textcnn is a model of words", "minilm")
    assert tells(fails(["adapt", encoder, str(tmp_path / "no.csv"), *target], capsys), "no file at", "no.csv")
    (tmp_path / "blank.csv").write_text('text,label\n"  ",a\n"",b\n')
    message = fails(["adapt", encoder, str(tmp_path / "blank.csv"), *target], capsys)
    assert tells(message, "blank.csv", "no texts", "empty or missing")
    assert "source" in fails(["adapt", encoder, *target], capsys)
    assert "output_dir" in fails(["adapt", encoder, str(topics_csv)], capsys)
