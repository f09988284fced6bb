"""Directories of parquet files, and rows that are in memory."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.tasks import read_rows
from textmix.data.config import DataConfig
from textmix.data.sources import absolute, load_source
from textmix.errors import ConfigError, DataError

ROWS = {"text": ["a", "b"], "label": ["x", "y"]}


def parquet(path: Path, **columns: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns or ROWS).to_parquet(path)


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    parquet(tmp_path / "part-00001.snappy.parquet", text=["c"], label=["z"])
    parquet(tmp_path / "part-00000.snappy.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part-00000.parquet").write_text("no parquet")
    found = load_source(str(tmp_path))
    assert set(found) == {"train"}
    assert found["train"]["text"][:] == ["a", "b", "c"]
    assert absolute(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("name", ["data/{}-00000-of-00001.parquet", "{}/0000.parquet", "{}.parquet"])
def test_names_of_the_hub_tell_the_split(tmp_path: Path, name: str) -> None:
    for split, text in (("train", "a"), ("test", "b"), ("validation", "c")):
        parquet(tmp_path / name.format(split), text=[text], label=["x"])
    assert {split: rows["text"][:] for split, rows in load_source(str(tmp_path)).items()} == {
        "train": ["a"],
        "test": ["b"],
        "validation": ["c"],
    }


def test_a_part_without_a_split_beside_others_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "test-0.parquet")
    parquet(tmp_path / "more.parquet")
    with pytest.raises(DataError, match=r"test-0\.parquet tells a split, that of .*more\.parquet does not"):
        load_source(str(tmp_path))


@pytest.mark.parametrize(
    "rows",
    [pd.DataFrame(ROWS), pa.table(ROWS), Dataset.from_dict(ROWS), DatasetDict(train=Dataset.from_dict(ROWS))],
    ids=lambda rows: type(rows).__name__,
)
def test_rows_in_memory_are_a_source(rows: Any) -> None:
    assert load_source(rows)["train"].to_dict() == ROWS


def test_names_of_classes_survive() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"text": ["a"], "label": [1]}, features=features).with_format("numpy")
    assert load_source(rows)["train"].features["label"].names == ["no", "yes"]


def test_an_option_that_cannot_be_is_refused() -> None:
    for options, message in [
        ({"encoding": "utf-9"}, r"data\.encoding 'utf-9' is unknown; .* auto"),
        ({"encoding": "base64"}, r"data\.encoding 'base64' is unknown"),
        ({"delimiter": "ab"}, r"data\.delimiter must be one character, or tab, not 'ab'"),
        ({"columns": "text,text"}, r"data\.columns must name each column once"),
        ({"columns": []}, r"data\.columns"),
    ]:
        with pytest.raises(ConfigError, match=message):
            DataConfig("a.csv", **options)


def test_columns_and_delimiters_have_several_spellings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\tx\nb\ty\n")
    for columns in ("text, label", ["text", "label"]):
        for delimiter in ("tab", "\\t", "\t", None):
            config = DataConfig(str(tmp_path / "a.csv"), columns=columns, delimiter=delimiter)
            assert read_rows(config).to_dict() == ROWS
