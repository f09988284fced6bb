"""Folds of a source: stratified, complete, and never with a group on both sides."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.tasks import SINGLE, split_rows
from textmix.data.config import DataConfig
from textmix.data.splits import build_splits, load_folds
from textmix.errors import ConfigError, DataError


def csv(path: Path, rows: list[tuple[str, ...]], header: str = "text,label") -> str:
    path.write_text(f"{header}\n" + "".join(",".join(row) + "\n" for row in rows))
    return str(path)


def rows(count: int) -> list[tuple[str, str]]:
    return [(f"text {i}", "a" if i % 4 else "b") for i in range(count)]


def grouped(groups: int) -> list[tuple[str, str, str]]:
    """Groups of 1 to 5 rows, whose rows are scattered over the file."""
    made = [(f"text {g}-{i}", "abc"[(g + i) % 3], f"g{g}") for g in range(groups) for i in range(1 + g % 5)]
    return sorted(made, key=lambda row: row[0][::-1])


def texts(config: DataConfig, seed: int = 0) -> dict[str, list[str]]:
    splits, _ = split_rows(config, seed)
    return {name: split["text"][:] for name, split in splits.items()}


def test_each_row_is_in_the_test_split_of_one_fold(tmp_path: Path) -> None:
    source = csv(tmp_path / "d.csv", rows(100))
    tested: list[str] = []
    for fold in range(5):
        splits, report = split_rows(DataConfig(source, folds=5, fold=fold), seed=3)
        assert report.sizes == {"train": 72, "validation": 8, "test": 20}
        assert Counter(splits["test"]["label"][:]) == {"a": 15, "b": 5}
        parts = [set(split["text"][:]) for split in splits.values()]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 100
        tested += splits["test"]["text"][:]
    assert sorted(tested) == sorted(text for text, _ in rows(100))


def test_the_seed_fixes_the_folds(tmp_path: Path) -> None:
    config = DataConfig(csv(tmp_path / "d.csv", rows(60)), folds=3, fold=1)
    assert texts(config, 0) == texts(config, 0) != texts(config, 1)
    assert texts(replace(config, split_seed=7), 0) == texts(replace(config, split_seed=7), 1)


@pytest.mark.parametrize("deduplicate", [False, True])
def test_load_folds_says_where_the_test_rows_stand_in_the_source(tmp_path: Path, deduplicate: bool) -> None:
    given = [("", "a"), *rows(40), ("text 3", "a"), ("x", ""), *rows(6)]
    config = DataConfig(csv(tmp_path / "d.csv", given), folds=4, fold=0, drop_missing=True, deduplicate=deduplicate)
    source = load_folds(config, SINGLE, 0)
    assert len(source.row_numbers) == source.rows.num_rows == (40 if deduplicate else 47)
    assert [given[number][0] for number in source.row_numbers] == source.rows["text"][:]
    for fold in range(4):
        found = [given[number][0] for number in source.row_numbers[source.folds == fold]]
        assert found == texts(replace(config, fold=fold))["test"]


class TestRareClasses:
    def test_a_fold_whose_training_rows_lack_a_class_knows_it(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", [*rows(40), ("odd one", "c"), ("odd 2", "d"), ("odd 3", "d")])
        lacking = 0
        for fold in range(4):
            splits, everything, report = build_splits(DataConfig(source, folds=4, fold=fold), SINGLE, 0)
            assert set(everything.to_pylist()) == {"a", "b", "c", "d"}
            assert report.scarce == ["c", "d"]
            assert any("fewer rows than folds" in line and line.endswith(": c, d") for line in report.lines())
            lacking += "c" not in splits["train"]["label"][:]
        assert lacking == 1

    @pytest.mark.filterwarnings("error::UserWarning")
    def test_it_is_told_by_the_report_alone(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", [*rows(40), ("odd one", "c")])
        split_rows(DataConfig(source, folds=4, fold=0), 0)

    def test_too_few_rows_are_an_error(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", rows(8))
        with pytest.raises(DataError, match="cannot cut 8 rows of 2 classes into 9 folds"):
            split_rows(DataConfig(source, folds=9, fold=0), 0)


class TestGroups:
    @pytest.mark.parametrize("folds", [None, 4])
    def test_no_group_is_in_two_splits(self, tmp_path: Path, folds: int | None) -> None:
        given = grouped(60)
        group = {text: name for text, _, name in given}
        label_of = {text: label for text, label, _ in given}
        config = DataConfig(csv(tmp_path / "d.csv", given, "text,label,author"), group_column="author")
        for fold in range(folds or 1):
            config = replace(config, folds=folds, fold=None if folds is None else fold)
            parts = texts(config)
            homes = defaultdict(set)
            for name, part in parts.items():
                for text in part:
                    homes[group[text]].add(name)
            assert len(homes) == 60
            assert all(len(names) == 1 for names in homes.values())
            assert len(parts["test"]) / len(given) == pytest.approx(1 / folds if folds else 0.2, abs=0.05)
            assert len(parts["validation"]) / len(given) == pytest.approx(0.08, abs=0.04)
            for label in "abc":
                share = np.mean([label_of[text] == label for text in parts["test"]])
                assert share == pytest.approx(1 / 3, abs=0.12)

    def test_their_column_must_be_there_and_filled(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", [*grouped(20), ("lone", "a", "")], "text,label,author")
        with pytest.raises(DataError, match=r"no column 'autor' \(data.group_column\).*did you mean 'author'"):
            split_rows(DataConfig(source, group_column="autor"), 0)
        with pytest.raises(DataError, match="1 of 61 rows have an empty or missing 'author'"):
            split_rows(DataConfig(source, group_column="author"), 0)

    def test_fewer_groups_than_folds(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", grouped(3) * 3, "text,label,author")
        with pytest.raises(DataError, match="in 3 groups into 4 folds: "):
            split_rows(DataConfig(source, group_column="author", folds=4, fold=0), 0)
        with pytest.raises(DataError, match=r"^data\.test_fraction 0\.2: .* into 5 folds: .*; ask for a larger share$"):
            split_rows(DataConfig(source, group_column="author"), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "data.folds needs data.fold, from 0 to 4"),
        ({"fold": 0}, "data.fold needs data.folds"),
        ({"folds": 1, "fold": 0}, "data.folds must be at least 2, not 1"),
        ({"folds": 5, "fold": 5}, "data.fold must lie between 0 and 4, not 5"),
        ({"folds": 5, "fold": -1}, "data.fold must lie between 0 and 4, not -1"),
        ({"folds": 5, "fold": 0, "test_source": "t.csv"}, "leave out data.test_source"),
        ({"group_column": "label"}, "data.group_column must not be data.label_column"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataConfig("x", **options)
