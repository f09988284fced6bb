"""Parquet files: types stay, several files are one table, and what is broken is one line."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from textmix.data.readers import parquet
from textmix.data.sources import load_source
from textmix.errors import DataError


def test_types_stay(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"]), "x": Value("float32")})
    Dataset.from_dict({"text": ["t", "u"], "label": [1, 0], "x": [0.5, None]}, features=features).to_parquet(
        tmp_path / "a.parquet"
    )
    found = load_source(str(tmp_path / "a.parquet"))["train"]
    assert found.features == features
    assert found.to_dict() == {"text": ["t", "u"], "label": [1, 0], "x": [0.5, None]}


def test_several_files_are_one_table_of_the_types_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "STORED_AT_ONCE", 2)
    pq.write_table(pa.table({"text": ["a", "b", "c"], "x": pa.array([1, 2, 3], pa.int64())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([4], pa.int8()), "text": ["d"]}), tmp_path / "b.parquet")
    found = load_source(str(tmp_path / "*.parquet"))["train"]
    assert found.to_dict() == {"text": ["a", "b", "c", "d"], "x": [1, 2, 3, 4]}
    assert found.features["x"] == Value("int64")
    pq.write_table(pa.table({"body": ["d"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"^cannot read .*b\.parquet: [^\n]+$"):
        load_source(str(tmp_path / "*.parquet"))


def test_no_rows_and_compressed_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: no rows"):
        load_source(str(tmp_path / "a.parquet"))
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert load_source(str(tmp_path / "b.parquet.gz"))["train"].to_dict() == {"text": ["a"]}
