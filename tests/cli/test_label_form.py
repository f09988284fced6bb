"""The form of `textmix label`: what answers mean, and what is shown."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support.answers import Typing
from textmix.active_learning.candidates import Candidates
from textmix.active_learning.labeled_file import LabeledFile
from textmix.cli.label_form import LabelForm


def form_of(tmp_path: Path, names: list[str], rows: int, *lines: str) -> tuple[LabelForm, Candidates, Typing, Path]:
    path = tmp_path / "o.csv"
    typing = Typing(*lines)
    probabilities = np.tile(np.arange(1.0, len(names) + 1), (rows, 1))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    texts = [(f"text {number}",) for number in range(rows)]
    found = Candidates([{"text": text} for (text,) in texts], texts, probabilities, np.ones((rows, 2)), 0.0, rows)
    return LabelForm(LabeledFile(path, ["text"], "label", ["text"]), names, typing), found, typing, path


def ask(tmp_path: Path, names: list[str], *lines: str, rows: int = 6) -> tuple[list[str], Typing]:
    """Answer rows; returns the labels in the file and what was typed."""
    form, found, typing, path = form_of(tmp_path, names, rows, *lines)
    form.ask(found, range(rows), ["why"] * rows)
    labels = [line.split(",")[1] for line in path.read_text().splitlines()[1:]] if path.exists() else []
    assert form.written == len(labels)
    return labels, typing


class TestForm:
    def test_names_numbers_and_new_classes(self, tmp_path: Path) -> None:
        labels, _ = ask(tmp_path, ["a", "b"], " b ", "1", "٢", "+c", "3", "+a")
        assert labels == ["b", "a", "b", "c", "c", "a"]

    def test_what_means_nothing_is_asked_again(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        answers = ["", "0", "3", "-1", "²", "9" * 5000, "+", "+ ", "/x", "A", "a\x1bb", "+a\x00b", "\ud800", "a"]
        labels, typing = ask(tmp_path, ["a", "b"], *answers)
        assert labels == ["a"]
        assert set(typing.prompts) == {"[1] a  [2] b > "}
        printed = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in printed)
        assert max(map(len, printed.splitlines())) < 300

    def test_numbers_that_are_classes(self, tmp_path: Path) -> None:
        labels, typing = ask(tmp_path, ["-1", "0", "+1", "2.5"], "0", "1", "+1", "-1", "2", "2.5")
        assert typing.prompts[0] == "-1  0  +1  2.5 > "
        assert labels == ["0", "+1", "-1", "2.5"]

    def test_a_new_class_that_is_a_number_ends_numbers(self, tmp_path: Path) -> None:
        labels, typing = ask(tmp_path, ["a", "b"], "2", "+5", "2", "5", "b")
        assert labels == ["b", "5", "5", "b"]
        assert typing.prompts[2] == "a  b  5 > "

    def test_many_classes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        names = [f"class {number:03}" for number in range(1, 301)]
        labels, typing = ask(tmp_path, names, "300", "17", "class 042", "clas 042", "+new", "301")
        assert labels == ["class 300", "class 017", "class 042", "new", "new"]
        offered = typing.prompts[0].removesuffix(" > ").split("  ")
        assert offered == [f"[{number}] class {number:03}" for number in range(300, 280, -1)]  # the likeliest
        printed = capsys.readouterr().out
        assert "[1] class 001  [2] class 002" in printed
        assert "did you mean 'class 042'?" in printed

    def test_names_that_the_terminal_must_not_see(self, tmp_path: Path) -> None:
        _, typing = ask(tmp_path, ["a\x1b[2Jb", "c\nd", "e" * 500], "/q")
        assert typing.prompts[0].startswith("[1] a\\x1b[2Jb  [2] c d  [3] eee")
        assert len(typing.prompts[0]) < 120

    def test_a_class_that_is_a_command_has_its_number(self, tmp_path: Path) -> None:
        labels, _ = ask(tmp_path, ["/s", "/q"], "1", "2", "/s", "/q")
        assert labels == ["/s", "/q"]

    def test_undo(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        labels, typing = ask(tmp_path, ["a", "b"], "/u", "a", "/s", "b", "/u", "/u", "/u", "/u", "b", "a")
        assert labels == ["b", "a"]
        places = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " of 6 · " in line]
        assert places == ["1", "1", "2", "3", "4", "3", "2", "1", "1", "2", "3"]
        assert len(typing.prompts) == len(places)

    def test_undo_at_the_end_of_the_input(self, tmp_path: Path) -> None:
        labels, _ = ask(tmp_path, ["a", "b"], "a", "/u")
        assert labels == []
        assert not (tmp_path / "o.csv").exists()

    def test_the_rows_end(self, tmp_path: Path) -> None:
        labels, typing = ask(tmp_path, ["a", "b"], *"abab", rows=3)
        assert labels == ["a", "b", "a"]
        assert len(typing.prompts) == 3

    def test_a_killed_process_leaves_what_was_answered(self, tmp_path: Path) -> None:
        form, found, _, path = form_of(tmp_path, ["a", "b"], 6, "a", "b")
        child = os.fork()
        if not child:  # at the third prompt
            form._read = Typing("a", "b", at_prompt=lambda count: count == 3 and os.kill(os.getpid(), signal.SIGKILL))
            try:
                form.ask(found, range(6), ["why"] * 6)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert path.read_text() == "text,label\ntext 0,a\ntext 1,b\n"
