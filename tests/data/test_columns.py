import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, concatenate_datasets

from textmix.data import columns
from textmix.data import splits as splits_module
from textmix.data import standardize as rows_module
from textmix.data.columns import (
    TextColumn,
    Texts,
    categories,
    forget_pages,
    mapped_ranges,
    select_rows,
    stored_tables,
)
from textmix.data.config import DataConfig
from textmix.data.sources import load_source
from textmix.data.splits import build_splits
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
    columns = Columns(["text"], "label")
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
    splits, _ = build_splits(config, 0)
    monkeypatch.setattr(rows_module, "IN_MEMORY", 10)
    monkeypatch.setattr(splits_module, "IN_MEMORY", 15)
    stored, _ = build_splits(config, 0)
    # What is small is read again and again, and from all over the file, if it stays there.
    assert [bool(stored[name].cache_files) for name in ("train", "validation", "test")] == [True, False, False]
    assert {name: split.to_dict() for name, split in splits.items()} == {
        name: split.to_dict() for name, split in stored.items()
    }


def resident(file: str) -> int:
    """Sum up what is resident of the mappings of a file, in bytes."""
    size, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match("[0-9a-f]+-", line):
            inside = line.endswith(file)
        elif inside and line.startswith("Rss:"):
            size += 1024 * int(line.split()[1])
    return size


@pytest.mark.skipif(sys.platform != "linux", reason="pages are counted in /proc")
def test_pages_of_a_large_file_do_not_stay(tmp_path: Path) -> None:
    texts = [f"{number} " * 200 for number in range(20_000)]
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    rows = load_source(str(path))["train"]
    (stored,) = (file["filename"] for file in rows.cache_files)
    column = TextColumn(rows, "text")
    assert list(column) == texts
    size = Path(stored).stat().st_size
    assert size > 20e6
    assert resident(stored) < size / 4
    draw = np.random.default_rng(0)
    for _ in range(20):
        numbers = draw.integers(0, len(texts), 64)
        assert column.take(numbers) == [texts[number] for number in numbers]
        assert resident(stored) < size / 4
    copied = pickle.loads(pickle.dumps(column))  # in another process there may be anything at these addresses
    assert [copied.take([7]) for _ in range(100)] == [[texts[7]]] * 100
    assert not copied._ranges
    assert column.byte_lengths().tolist() == [len(text) for text in texts]


def test_nor_do_those_of_many_scattered_rows_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = on_disk(tmp_path, 1000)
    column = TextColumn(rows, "text")
    forgotten = 0

    def forget(ranges: list[tuple[int, int]]) -> None:
        nonlocal forgotten
        forgotten += 1
        forget_pages(ranges)

    monkeypatch.setattr(columns, "forget_pages", forget)
    numbers = np.random.default_rng(0).permutation(1000)[:640]
    assert column.take(numbers) == [f"row {number}" for number in numbers]
    assert forgotten == 10
    assert column.take(numbers[:63]) == [f"row {number}" for number in numbers[:63]]
    assert forgotten == 10


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are listed in /proc")
def test_only_the_own_mapping_of_a_file_is_forgotten(tmp_path: Path) -> None:
    first, second = on_disk(tmp_path), on_disk(tmp_path)
    ranges = []
    for rows in (first, second):
        chunks = rows.data.column("text").chunks
        ((start, length),) = mapped_ranges(rows, chunks)
        assert all(start <= buffer.address < start + length for buffer in chunks[0].buffers() if buffer)
        ranges.append((start, length))
    assert ranges[0] != ranges[1]
    assert mapped_ranges(first, []) == []
    assert mapped_ranges(chunked(), chunked().data.column("text").chunks) == []


def test_opening_a_large_file_brings_in_little_of_it(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text\n" + "a text of some words\n" * 50_000)
    rows = load_source(str(path))["train"]
    assert len(rows.data.column("text").chunks) == 5
