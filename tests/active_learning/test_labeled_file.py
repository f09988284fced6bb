"""LabeledFile: rows go in whole, come out of every reader, and can be taken back to the last byte."""

import csv
import json
import os
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.full_disk import little_room
from textmix.active_learning.labeled_file import LabeledFile
from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.errors import DataError, RunError

HOSTILE = [
    "plain",
    "two\nlines",
    "two\r\nlines",
    "a lone \r return",
    "tab\there",
    'she said "no", twice',
    ";;;|;",
    "  spaces  ",
    "NA",
    "null",
    "\x1b[31mred\x07",
    "line\u2028sep\x85next\x0bvt\x0cff",
    "\u202eright to left",
    "猫 😀",
    "x" * 200_000,
    "'=1+1",
    "\\n",
]


def opened(path: Path, columns: list[str] | None = None, text: list[str] | None = None) -> LabeledFile:
    return LabeledFile(path, text or ["text"], "label", columns or ["id", "text"])


class TestNewFiles:
    @pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "CSV"])
    def test_hostile_texts_come_back(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"new.{ending}"
        file = opened(path)
        for number, text in enumerate(HOSTILE):
            file.add({"id": str(number), "text": text}, f"class {number % 2}")
        again = opened(path)
        assert again.texts == {(text,) for text in HOSTILE}
        assert again.counts == file.counts == {"class 0": 9, "class 1": 8}
        reading = Reading(delimiter="\t" if ending == "tsv" else None if ending == "jsonl" else ",")
        rows = load_source(str(path), reading)["train"]
        assert rows.column_names == ["id", "text", "label"]
        assert rows["text"][:] == HOSTILE
        assert rows["id"][:] == [str(number) for number in range(len(HOSTILE))]

    def test_pairs(self, tmp_path: Path) -> None:
        file = opened(tmp_path / "p.csv", ["a", "b", "c"], ["a", "b", "c"])
        assert file.texts == set()
        file.add({"a": "1", "b": "2", "c": "3"}, "x")
        assert opened(tmp_path / "p.csv", ["a", "b", "c"], ["a", "b", "c"]).texts == {("1", "2 3")}

    def test_values_of_every_type(self, tmp_path: Path) -> None:
        row = {"text": "a", "n": 3, "f": 0.5, "nan": float("nan"), "none": None, "day": date(2026, 1, 2), "b": True}
        row |= {"money": Decimal("1.50"), "list": ["x", float("inf")], "object": {"a": [1]}}
        for name in ("o.csv", "o.jsonl"):
            opened(tmp_path / name, list(row)).add(row, "yes")
        read = json.loads((tmp_path / "o.jsonl").read_text())
        assert read == {
            **{"text": "a", "n": 3, "f": 0.5, "nan": None, "none": None, "day": "2026-01-02", "b": True},
            **{"money": "1.50", "list": ["x", None], "object": {"a": [1]}, "label": "yes"},
        }
        cells = next(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
        assert cells == {
            **{"text": "a", "n": "3", "f": "0.5", "nan": "", "none": "", "day": "2026-01-02", "b": "True"},
            **{"money": "1.50", "list": '["x", null]', "object": '{"a": [1]}', "label": "yes"},
        }

    def test_a_label_of_the_pool_is_replaced(self, tmp_path: Path) -> None:
        opened(tmp_path / "o.csv", ["label", "text"]).add({"label": "old", "text": "a"}, "new")
        assert (tmp_path / "o.csv").read_text() == "label,text\nnew,a\n"


ROW = {"id": "2", "text": "b"}
EXISTING = {
    "usual": ("o.csv", b"id,text,label\n1,a,x\n", b"2,b,y\n"),
    "no final newline": ("o.csv", b"id,text,label\n1,a,x", b"\n2,b,y\n"),
    "another order and a column more": ("o.csv", b"label,note,text,id\nx,n,a,1\n", b"y,,b,2\n"),
    "CRLF": ("o.csv", b"id,text,label\r\n1,a,x\r\n", b"2,b,y\r\n"),
    "CRLF without a final one": ("o.csv", b"id,text,label\r\n1,a,x", b"\r\n2,b,y\r\n"),
    "BOM": ("o.csv", b"\xef\xbb\xbfid,text,label\n1,a,x\n", b"2,b,y\n"),
    "quotes": ("o.csv", b'"id","text","label"\n"1","a","x"\n', b"2,b,y\n"),
    "blank lines": ("o.csv", b"\n\nid,text,label\n\n1,a,x\n\n", b"2,b,y\n"),
    "tsv": ("o.tsv", b"id\ttext\tlabel\n1\ta\tx\n", b"2\tb\ty\n"),
    "jsonl": ("o.jsonl", b'{"label": "x", "text": "a", "id": 1}\n', b'{"label": "y", "text": "b", "id": "2"}\n'),
    "jsonl without a final newline": (
        "o.jsonl",
        b'{"id": 1, "text": "a", "label": "x"}',
        b'\n{"id": "2", "text": "b", "label": "y"}\n',
    ),
    "numbers": ("o.jsonl", b'{"id": 1, "text": "a", "label": 1.0}\n', b'{"id": "2", "text": "b", "label": "y"}\n'),
}


@pytest.mark.parametrize(("name", "before", "added"), EXISTING.values(), ids=EXISTING)
def test_existing_files_grow_and_shrink_back(tmp_path: Path, name: str, before: bytes, added: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(before)
    file = opened(path)
    assert file.texts == {("a",)}
    assert set(file.counts) <= {"x", "1"}
    file.add(ROW, "y")
    assert path.read_bytes() == before + added
    assert opened(path).texts == {("a",), ("b",)}
    file.add({"id": "3", "text": "c"}, "x")
    assert file.undo()
    assert path.read_bytes() == before + added
    assert file.undo()
    assert path.read_bytes() == before
    assert not file.undo()
    assert sum(file.counts.values()) == 1


@pytest.mark.parametrize("before", [None, b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf"])
def test_files_without_rows_get_a_header(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "o.csv"
    if before is not None:
        path.write_bytes(before)
    file = opened(path)
    for text in "bc":
        file.add({"id": "2", "text": text}, "y")
    assert path.read_bytes() == (before or b"") + b"id,text,label\n2,b,y\n2,c,y\n"
    assert load_source(str(path))["train"]["text"][:] == ["b", "c"]
    file.undo()
    file.undo()
    assert path.exists() == (before is not None)
    assert before is None or path.read_bytes() == before
    file.add(ROW, "y")
    assert path.read_bytes() == (before or b"") + b"id,text,label\n2,b,y\n"


REFUSED: dict[str, tuple[bytes, str]] = {
    "no text column": (b"review,label\na,x\n", "no column 'text'; it has review, label"),
    "no label column": (b"id,text\n1,a\n", "no column 'label'; it has id, text"),
    "another separator": (b"id;text;label\n1;a;x\n", "no column 'text'; it has id;text;label"),
    "no place for a column": (b"text,label\na,x\n", "has no column for 'id' of the pool; write to another file"),
    "an open quote": (b'id,text,label\n1,"a', "cannot be read: unexpected end of data"),
    "latin": (b"id,text,label\n1,caf\xe9,x\n", "cannot be read: 'utf-8' codec can't decode"),
    "utf-16": ("id,text,label\n1,a,x\n".encode("utf-16"), "cannot be read: 'utf-8' codec can't decode"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_do_not_fit_are_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "o.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        opened(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", ["[1]", "5", '"a"', "null", "{", '[{"text": "a"}]', '{"text": ["a"], "label": "x"}'])
def test_lines_that_are_no_rows(tmp_path: Path, line: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text('{"id": 1, "text": "a", "label": "x"}\n' + line + "\n")
    with pytest.raises(DataError, match=r"o\.jsonl"):
        opened(path)


def test_paths_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.csv").mkdir()
    os.mkfifo(tmp_path / "f.csv")
    for path, message in (
        (tmp_path / "o.parquet", "must end in .csv, .tsv or .jsonl"),
        (tmp_path / "d.csv", "it is a directory"),
        (tmp_path / "f.csv", "it is not a file"),
        (tmp_path / "missing" / "o.csv", "there is no directory"),
    ):
        with pytest.raises(RunError, match=message):
            opened(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunError, match="no permission"):
        opened(tmp_path / "o.csv")


def test_each_row_is_on_disk_when_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    path = tmp_path / "o.csv"
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(path.read_bytes()))
    file = opened(path)
    file.add(ROW, "x")
    file.add({"id": "3", "text": "c"}, "y")
    file.undo()
    assert flushed == [
        b"id,text,label\n2,b,x\n",
        b"id,text,label\n2,b,x\n3,c,y\n",
        b"id,text,label\n2,b,x\n",
    ]


def test_a_killed_process_leaves_what_was_added(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    file = opened(path)
    child = os.fork()
    if not child:
        try:
            file.add(ROW, "x")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_bytes() == b"id,text,label\n2,b,x\n"


@pytest.mark.parametrize("before", [None, b"id,text,label\n1,a,x"])
def test_a_full_disk_leaves_whole_rows(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "o.csv"
    if before is not None:
        path.write_bytes(before)
    file = opened(path)
    with little_room(40), pytest.raises(OSError, match="too large"):
        file.add({"id": "2", "text": "b" * 100}, "x")
    assert (path.read_bytes() if before is not None else path.read_bytes() or None) == before
    assert file.counts["x"] == (before is not None)
    assert not file.undo()
    file.add(ROW, "x")
    assert opened(path).texts >= {("b",)}


def test_rows_of_other_programs_are_not_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    file, other = opened(path), opened(path)
    file.add(ROW, "x")
    other.add({"id": "3", "text": "c"}, "y")
    before: Any = path.read_bytes()
    assert before == b"id,text,label\n2,b,x\n3,c,y\n"
    with pytest.raises(RunError, match="has changed since the last answer"):
        file.undo()
    assert path.read_bytes() == before
    assert other.undo()
