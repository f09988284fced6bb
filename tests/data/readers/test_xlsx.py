"""Spreadsheets."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.errors import DataError


def book(path: Path, **sheets: list[list[Any]]) -> str:
    openpyxl = pytest.importorskip("openpyxl")
    found = openpyxl.Workbook()
    found.remove(found.active)
    for title, rows in sheets.items():
        sheet = found.create_sheet(title)
        for row in rows:
            sheet.append(row)
    found.save(path)
    return str(path)


def test_cells_are_strings(tmp_path: Path) -> None:
    day = datetime(2024, 5, 1)
    rows = [["text", "label", None, "day", None], ["a", 1, None, day, None], [], ["b", 2.5, None, None, None]]
    found = load_source(book(tmp_path / "a.xlsx", rows=rows, empty=[]))["train"]
    assert found.to_dict() == {"text": ["a", "b"], "label": ["1", "2.5"], "day": ["2024-05-01", None]}


def test_unnamed_columns_with_values_are_kept(tmp_path: Path) -> None:
    source = book(tmp_path / "a.xlsx", rows=[["text", None], ["a", "more"]])
    assert load_source(source)["train"].to_dict() == {"text": ["a"], "Unnamed: 1": ["more"]}


def test_columns_can_be_named(tmp_path: Path) -> None:
    source = book(tmp_path / "a.xlsx", rows=[["a", 1], ["b", 0]])
    how = Reading(columns=("text", "label"))
    assert load_source(source, how)["train"].to_dict() == {"text": ["a", "b"], "label": ["1", "0"]}
    with pytest.raises(DataError, match=r"has 2 columns, not the 1 of data\.columns"):
        load_source(source, Reading(columns=("text",)))


def test_of_several_sheets_one_is_named(tmp_path: Path) -> None:
    source = book(tmp_path / "a.xlsx", first=[["text"], ["a"]], second=[["text"], ["b"]])
    with pytest.raises(DataError, match=r"several sheets: first, second; name one with --data\.field"):
        load_source(source)
    assert load_source(source, Reading(field="second"))["train"].to_dict() == {"text": ["b"]}
    with pytest.raises(DataError, match=r"no sheet 'secnd' .*did you mean 'second'"):
        load_source(source, Reading(field="secnd"))


@pytest.mark.parametrize(("rows", "message"), [([], "no rows"), ([["text", "text"], ["a", "b"]], "2 columns 'text'")])
def test_unusable_sheets_are_told(tmp_path: Path, rows: list[list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_source(book(tmp_path / "a.xlsx", rows=rows))


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"pip install 'textmix\[excel\]'"):
        load_source(str(tmp_path / "a.xlsx"))
