import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from tests.support.tasks import SINGLE, split_rows
from textmix.data import splits as splits_module
from textmix.data import standardize as rows_module
from textmix.data.columns import (
    TextColumn,
    Texts,
    categories,
    select_rows,
    stored_tables,
)
from textmix.data.config import DataConfig
from textmix.data.sources import load_source
from textmix.data.standardize import Columns, standardize

NAMES = [f"row {number}" for number in range(25)]


def chunked() -> Dataset:
    """Rows in chunks of 1 to 9."""
    sizes = [1, 9, 3, 5, 7]
    starts = np.cumsum([0, *sizes])
    return concatenate_datasets(
        [Dataset.from_dict({"text": NAMES[start : start + size]}) for start, size in zip(starts, sizes, strict=False)]
    )


def on_disk(tmp_path: Path, count: int = 25) -> Dataset:
    path = tmp_path / "d.csv"
    path.write_text("text,label\n" + "".join(f"row {number},{'ab'[number % 2]}\n" for number in range(count)))
    return load_source(str(path))["train"]


@pytest.mark.parametrize("chosen", [[1, 3, 4, 11], [5, 6, 7], []])
def test_rows_are_selected_as_datasets_selects_them(chosen: list[int]) -> None:
    every_other = np.arange(25) % 2 == 0
    once = select_rows(chunked(), every_other)
    assert once.to_dict() == chunked().select(range(0, 25, 2)).to_dict()
    twice = select_rows(once, np.isin(np.arange(13), chosen))
    assert twice.to_dict() == chunked().select(range(0, 25, 2)).select(chosen).to_dict()
    assert list(TextColumn(twice, "text")) == twice["text"][:]
    assert twice._fingerprint != once._fingerprint


class TestTextColumn:
    def test_rows_are_read_in_any_order(self) -> None:
        column = TextColumn(chunked(), "text")
        numbers = [24, 0, 9, 10, 1, 12, 13, 13]
        assert column.take(numbers) == [NAMES[number] for number in numbers]
        assert list(column) == NAMES
        assert len(column) == 25

    @pytest.mark.parametrize("chosen", [[19, 3, 4, 11], range(5, 15), []])
    def test_selections_of_selections_keep_their_order(self, chosen: list[int]) -> None:
        selected = chunked().select([*range(24, 0, -2), *range(0, 24, 3)]).select(chosen)
        assert list(TextColumn(selected, "text")) == selected["text"][:]

    def test_lengths_are_those_of_the_bytes(self) -> None:
        rows = Dataset.from_dict({"text": ["", "猫", "ab c"]}).select([2, 1])
        assert TextColumn(rows, "text").byte_lengths().tolist() == [4, 3]

    def test_texts_can_be_read_twice(self) -> None:
        column = TextColumn(chunked(), "text")
        texts = Texts([column, column])
        assert list(texts) == list(texts) == NAMES * 2


def test_categories_are_those_of_the_rows() -> None:
    rows = Dataset.from_dict({"label": ["b", "a", "b", "c"]})
    assert categories(rows, "label").to_pylist() == ["b", "a", "b", "c"]
    assert categories(rows.select([3, 1]), "label").to_pylist() == ["c", "a"]


@pytest.mark.parametrize("size", [1, 4, 25, 100])
def test_stored_tables_hold_all_rows_in_order(tmp_path: Path, size: int) -> None:
    for dataset in (chunked(), on_disk(tmp_path)):
        tables = list(stored_tables(dataset, size))
        assert [table.num_rows for table in tables[:-1]] == [size] * (len(tables) - 1)
        assert [text for table in tables for text in table["text"].to_pylist()] == NAMES


def test_rows_are_the_same_on_disk_and_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = Columns(["text"], SINGLE)
    in_memory, _, digest = standardize(on_disk(tmp_path), columns, "x")
    monkeypatch.setattr(rows_module, "IN_MEMORY", 10)
    stored, _, same = standardize(on_disk(tmp_path), columns, "x")
    assert same == digest
    assert not in_memory.cache_files
    assert stored.cache_files
    assert in_memory.to_dict() == stored.to_dict()


def test_a_split_of_large_data_is_that_of_small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk(tmp_path, 60)
    config = DataConfig(str(tmp_path / "d.csv"), deduplicate=True)
    splits, _ = split_rows(config, 0)
    monkeypatch.setattr(rows_module, "IN_MEMORY", 10)
    monkeypatch.setattr(splits_module, "IN_MEMORY", 15)
    stored, _ = split_rows(config, 0)
    # What is small is read again and again, and from all over the file, if it stays there.
    assert [bool(stored[name].cache_files) for name in ("train", "validation", "test")] == [True, False, False]
    assert {name: split.to_dict() for name, split in splits.items()} == {
        name: split.to_dict() for name, split in stored.items()
    }


def test_a_column_can_be_sent_to_another_process(tmp_path: Path) -> None:
    column = TextColumn(on_disk(tmp_path), "text")
    assert pickle.loads(pickle.dumps(column)).take([7, 3]) == [NAMES[7], NAMES[3]]


def test_opening_a_large_file_brings_in_little_of_it(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text\n" + "a text of some words\n" * 50_000)
    rows = load_source(str(path))["train"]
    assert len(rows.data.column("text").chunks) == 5
