"""What the tests of all commands need."""

from pathlib import Path

import pytest

from textmix.cli.main import main

SMALL = ["--model.name", "textcnn", "--model.words.embedding_dim", "16", "--model.textcnn.num_filters", "8"]
QUICK = [*SMALL, "--train.epochs", "4", "--train.batch_size", "8", "--train.learning_rate", "0.02"]


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


def fails_quietly(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Like `fails`, but the command may have said something on the way."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0].removeprefix("textmix: error: ")


def tells(message: str, *words: str) -> bool:
    """Test whether a message names what is wrong: options, values, key words; its sentences may change."""
    return all(word in message for word in words)


def csv_of(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)
