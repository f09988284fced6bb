"""Fields inside of objects and documents."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from tests.support.tasks import read_rows
from textmix.data.config import DataConfig
from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.data.windows import open_source
from textmix.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"doc": {"body": "a", "by": {"name": "x"}}, "meta": {"label": 1}},
    {"doc": {"body": "b", "by": None}, "meta": None},
]
HOW = Reading(nested=("doc.body", "doc.by.name", "meta.label", "doc.nothing"))
FOUND = {"doc.body": ["a", "b"], "doc.by.name": ["x", None], "meta.label": [1, None]}


def dotted(source: Any, how: Reading = HOW) -> dict[str, list[Any]]:
    rows = load_source(source, how)["train"]
    return {name: rows[name][:] for name in rows.column_names if "." in name}


def test_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert dotted(str(tmp_path / "a.jsonl")) == FOUND
    (window,) = open_source(str(tmp_path / "a.jsonl"), ["doc.body"]).windows
    assert window["doc.body"].to_pylist() == ["a", "b"]


def test_parquet_saved_directories_and_tables(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "a.parquet")
    Dataset(table).save_to_disk(tmp_path / "saved")
    for source in (str(tmp_path / "a.parquet"), str(tmp_path / "saved"), table, Dataset(table), table.to_pandas()):
        assert dotted(source) == FOUND


def test_a_name_with_a_dot_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"doc.body": "plain", "doc": {"body": "inside"}}\n')
    assert dotted(str(tmp_path / "a.jsonl")) == {"doc.body": ["plain"]}
    (tmp_path / "a.csv").write_text("doc.body,label\nplain,x\n")
    assert read_rows(DataConfig(str(tmp_path / "a.csv"), text_column="doc.body"))["text"][:] == ["plain"]


def test_rows_in_a_field_of_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "data": {"rows": ROWS}}, indent=1))
    config = DataConfig(
        str(path), text_column="doc.body", label_column="meta.label", field="data.rows", drop_missing=True
    )
    assert read_rows(config).to_dict() == {"text": ["a"], "label": ["1"]}
    with pytest.raises(DataError, match=r"the field 'dta' \(data\.field\) is missing; the document has version, data"):
        load_source(str(path), Reading(field="dta"))
    with pytest.raises(DataError, match=r"the field 'version' .* is a int, not a list"):
        load_source(str(path), Reading(field="version"))
    with pytest.raises(DataError, match=r"a\.json: broken line 1: .* --data\.field"):
        load_source(str(path))


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "data": ROWS}))
    with pytest.raises(DataError, match=r"no column 'text' .*; it has version, data; .*--data\.field"):
        read_rows(DataConfig(str(path)))
    config = DataConfig(str(path), text_column="doc", label_column="meta.label", field="data")
    with pytest.raises(DataError, match=r"'doc' .* holds lists or objects.* as in doc\.field"):
        read_rows(config)


def test_frames_keep_missing_values() -> None:
    frame = pd.DataFrame({"text": ["a", None], "label": [1, 0]}, index=[5, 6])
    assert load_source(frame)["train"].to_dict() == {"text": ["a", None], "label": [1, 0]}
