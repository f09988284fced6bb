"""Plain text: a text a line, and a folder for each class."""

from pathlib import Path

import pytest

from tests.support.tasks import split_rows
from textmix.data.config import DataConfig
from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.data.windows import open_source
from textmix.errors import DataError


def test_each_line_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone, two\tthree\r\n\r\nfour\n")
    assert load_source(str(tmp_path / "a.txt"))["train"].to_dict() == {"text": ["one, two\tthree", "", "four"]}


def test_new_rows_have_the_columns_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ttwo\tthree\nfour\n")
    (window,) = open_source(str(tmp_path / "a.txt"), ["review"]).windows
    assert window.to_pydict() == {"review": ["one\ttwo\tthree", "four"]}
    (window,) = open_source(str(tmp_path / "a.txt"), ["first", "second"]).windows
    assert window.to_pydict() == {"first": ["one", "four"], "second": ["two\tthree", ""]}


def test_training_on_lines_alone_says_how_to_read_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\t1\ntwo\t0\n")
    with pytest.raises(DataError, match=r"no column 'label' .* one text a line: --data\.format csv or tsv"):
        split_rows(DataConfig(str(tmp_path / "a.txt")), 0)


def folders(root: Path) -> str:
    for name, content in {
        "neg/1.txt": "bad\nfilm",
        "neg/2.txt": "dull",
        "pos/1.txt": "fine",
        "pos/.h.txt": "x",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "readme.txt").write_text("about")
    return str(root)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    source = folders(tmp_path / "films")
    rows = {"text": ["bad\nfilm", "dull", "fine"], "label": ["neg", "neg", "pos"]}
    assert load_source(source)["train"].to_dict() == rows
    named = load_source(source, Reading(columns=("review", "mood")))["train"]
    assert named.column_names == ["review", "mood"]
    with pytest.raises(DataError, match=r"two columns, text and class; data\.columns names 1"):
        load_source(source, Reading(columns=("review",)))


def test_their_encoding(tmp_path: Path) -> None:
    source = folders(tmp_path / "films")
    (tmp_path / "films" / "pos" / "1.txt").write_bytes("déjà vu, très bien".encode("latin-1"))
    with pytest.raises(DataError, match=r"pos/1\.txt: line 1 is not UTF-8 .* cp1252"):
        load_source(source)
    assert load_source(source, Reading(encoding="auto"))["train"]["text"][2] == "déjà vu, très bien"
