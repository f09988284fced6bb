"""Readers that go away before all is said."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nursery import Nursery
from textmix.cli.main import main


def test_a_reader_that_takes_one_line_ends_predict_quietly(run: Path, tmp_path: Path, nursery: Nursery) -> None:
    """What `textmix predict RUN - | head -1` does."""
    # More than a pipe holds, so that writing goes on after the reader has gone.
    (tmp_path / "texts").write_text("goal match team\n" * 20_000)
    os.mkfifo(tmp_path / "pipe")
    files = {"stdin": tmp_path / "texts", "stdout": tmp_path / "pipe", "stderr": tmp_path / "errors"}
    pid = nursery.start(["predict", str(run), "-"], **files)
    with (tmp_path / "pipe").open() as pipe:
        assert pipe.readline().startswith("sport\t")
    assert nursery.end(pid) == 141
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["strategies"], ["datasets"]], ids=" ".join)
def test_output_that_nobody_reads_ends_quietly(arguments: list[str]) -> None:
    """Less than a buffer holds: it is written only at the end."""
    assert unread(arguments) == 141


def test_help_of_a_command_that_nobody_reads_ends_quietly() -> None:
    assert unread(["train", "--help"]) in (0, 141)  # argparse passes over what goes wrong when it prints help


def unread(arguments: list[str]) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "textmix", *arguments]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=120)
    os.close(writer)
    assert result.stderr == b""
    return result.returncode


def test_characters_that_the_locale_lacks_are_spelt_out(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("goal 猫\n"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii", write_through=True))
    assert main(["predict", str(run), "-"]) == 0
    assert output.getvalue().endswith(b"\tgoal \\u732b\n")
