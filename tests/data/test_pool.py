"""The pool: which rows without labels are read, and that their labels are not."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from tests.support.commands import csv_of
from tests.support.tasks import SINGLE, split_rows
from textmix.data import pool as pools
from textmix.data import windows
from textmix.data.config import DataConfig
from textmix.data.pool import Pool, load_pool
from textmix.data.splits import build_splits
from textmix.errors import ConfigError, DataError

TEXTS = ["a lemon", "b song", "c goal", "d soup"]


def pool_of(unlabeled: Any, test: Dataset | None = None, most: int = 100, seed: int = 0, **options: Any) -> Pool:
    options = {"source": "data.csv", **options}
    return load_pool(DataConfig(unlabeled=unlabeled, **options), test, most, seed)


def texts(pool: Pool) -> list[str]:
    return list(pool.rows["text"])


class TestSources:
    def test_files_of_every_format(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"id": range(4), "text": TEXTS})
        frame.to_csv(tmp_path / "p.csv", index=False)
        frame.to_csv(tmp_path / "p.tsv", index=False, sep="\t")
        frame.to_json(tmp_path / "p.jsonl", orient="records", lines=True)
        frame.to_parquet(tmp_path / "p.parquet")
        (tmp_path / "p.txt").write_text("\n".join(TEXTS))
        found = [pool_of(str(tmp_path / f"p.{ending}")) for ending in ("csv", "tsv", "jsonl", "parquet", "txt")]
        assert [texts(pool) for pool in found] == [TEXTS] * 5
        assert len({pool.digest for pool in found}) == 1

    def test_lists_globs_and_lines_under_another_name(self, tmp_path: Path) -> None:
        for number, text in enumerate(TEXTS):
            (tmp_path / f"p{number}.txt").write_text(text)
        glob = str(tmp_path / "p*.txt")
        assert texts(pool_of(glob, text_column="review")) == TEXTS
        assert texts(pool_of([str(tmp_path / "p3.txt"), str(tmp_path / "p[01].txt")])) == ["d soup", *TEXTS[:2]]

    def test_directories_and_saved_data_sets(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for number, text in enumerate(TEXTS):
            folder = tmp_path / "folders" / "xy"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.txt").write_text(text)
        with caplog.at_level(logging.INFO):
            assert sorted(texts(pool_of(str(tmp_path / "folders")))) == TEXTS
        assert "folders: the column 'label' of the unlabelled rows is not read" in caplog.messages
        splits = {name: Dataset.from_dict({"text": [name]}) for name in ("train", "test", "unsupervised")}
        DatasetDict(splits).save_to_disk(tmp_path / "saved")
        assert texts(pool_of(str(tmp_path / "saved"))) == ["unsupervised"]

    def test_pairs(self, tmp_path: Path) -> None:
        source = csv_of(tmp_path / "p.csv", "second,first,third\nx,a,1\n,,\n,b,\ny,a,2\n")
        test = Dataset.from_dict({"text": ["a"], "text_pair": ["y 2"]})
        pool = pool_of(source, test, text_column=["first", "second", "third"])
        assert pool.rows.to_dict() == {"text": ["a", "b"], "text_pair": ["x 1", " "]}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("text\n", "no rows"),
            ('text\n" "\n', "no rows without a label are left"),
            ("b\nx\n", "'text'"),
        ],
    )
    def test_no_rows_are_one_line(self, tmp_path: Path, content: str, message: str) -> None:
        with pytest.raises(DataError, match=message):
            pool_of(csv_of(tmp_path / "p.csv", content))

    @pytest.mark.parametrize("nothing", ["", []])
    def test_an_empty_name_is_refused(self, nothing: Any) -> None:
        with pytest.raises(ConfigError, match=r"data\.unlabeled is empty"):
            DataConfig("data.csv", unlabeled=nothing)


class TestRowsOfTheSource:
    """`data.unlabeled empty`."""

    ROWS = (("a lemon", "food"), ("b song", ""), ("c goal", "sport"), ("d soup", " "), ("", ""), ("e match", "sport"))

    def config(self, tmp_path: Path, more: str = "", **options: Any) -> DataConfig:
        lines = "".join(f"{text},{label}\n" for text, label in self.ROWS)
        source = csv_of(tmp_path / "data.csv", f"text,label\n{lines}{more}")
        return DataConfig(source, **{"unlabeled": "empty", "validation_fraction": 0, "test_fraction": 0, **options})

    def test_they_are_the_pool_and_in_no_split(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        config = self.config(tmp_path)
        splits, report = split_rows(config, seed=0)
        assert splits["train"]["text"][:] == ["a lemon", "c goal", "e match"]
        assert report.missing == 0
        with caplog.at_level(logging.INFO):
            assert texts(load_pool(config, None, 100, 0)) == ["b song", "d soup"]
        assert caplog.messages == ["data: 2 rows without a label; left out 1 with an empty text"]
        assert config.sources == [config.source]

    def test_without_the_option_they_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="3 of 6 rows have an empty or missing 'label'"):
            build_splits(self.config(tmp_path, unlabeled=None), SINGLE, 0)

    def test_labelled_rows_without_a_text_are_still_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match=r"1 of 7 rows have an empty or missing 'text' \(the first is row 7\); fill"
        ):
            build_splits(self.config(tmp_path, more=",sport\n"), SINGLE, 0)
        _, report = split_rows(self.config(tmp_path, more=",sport\n", drop_missing=True), seed=0)
        assert report.missing == 1

    def test_groups_and_folds_leave_them_out(self, tmp_path: Path) -> None:
        source = csv_of(
            tmp_path / "g.csv",
            "text,label,g\n" + "".join(f"t{n},{'' if n % 3 == 0 else n % 3},{n}\n" for n in range(30)),
        )
        config = DataConfig(source, unlabeled="empty", folds=2, fold=0, group_column="g", validation_fraction=0)
        splits, _ = split_rows(config, seed=0)
        numbers = [int(text[1:]) for name in splits for text in splits[name]["text"][:]]
        assert sorted(numbers) == [number for number in range(30) if number % 3]

    def test_a_source_without_such_rows(self, tmp_path: Path) -> None:
        source = csv_of(tmp_path / "full.csv", "text,label\na,x\nb,y\n")
        with pytest.raises(DataError, match="full: no rows without a label are left"):
            pool_of("empty", source=source)

    def test_classes_with_names(self, tmp_path: Path) -> None:
        rows = Dataset.from_dict({"text": TEXTS, "label": ["x", "y", "x", "y"]}).class_encode_column("label")
        rows = rows.map(lambda row, number: {"label": -1 if number in (1, 3) else row["label"]}, with_indices=True)
        rows.save_to_disk(tmp_path / "named")
        assert texts(pool_of("empty", source=str(tmp_path / "named"))) == ["b song", "d soup"]


def test_texts_of_the_test_split_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = csv_of(tmp_path / "p.csv", "text\n" + "\n".join([*TEXTS, '" "', TEXTS[0]]))
    test = Dataset.from_dict({"text": ["a lemon", "c goal", "other"], "label": ["x", "x", "y"]})
    with caplog.at_level(logging.INFO):
        assert texts(pool_of(source, test)) == ["b song", "d soup"]
    said = "p: 2 rows without a label; left out 1 with an empty text and 3 whose text is in the test split"
    assert caplog.messages == [said]
    assert texts(pool_of(source)) == [*TEXTS, TEXTS[0]]  # a file to be submitted, of which no split is made
    everything = Dataset.from_dict({"text": TEXTS})
    with pytest.raises(DataError, match="p: no rows without a label are left"):
        pool_of(source, everything)


def test_labels_of_the_pool_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"text {number}" for number in range(50)]
    labels = [f"class {number % 5}" for number in range(50)]
    shuffled = list(np.random.default_rng(0).permutation(labels))
    found = []
    for name, column in (("a", labels), ("b", shuffled), ("c", [""] * 50), ("d", None)):
        frame = pd.DataFrame({"text": rows} if column is None else {"text": rows, "label": column})
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "p.csv", index=False)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            found.append(pool_of(str(tmp_path / name / "p.csv"), most=20, seed=4))
        notes = [line for line in caplog.messages if line == "p: the column 'label' of the unlabelled rows is not read"]
        assert len(notes) == (column is not None)
    assert len({pool.digest for pool in found}) == 1
    assert all(pool.rows.to_dict() == found[0].rows.to_dict() for pool in found)
    assert found[0].rows.column_names == ["text"]


class TestSample:
    def test_no_more_rows_are_held_than_are_kept_and_one_window(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = csv_of(tmp_path / "p.csv", "text\n" + "".join(f"text {number}\n" for number in range(1000)))
        whole = pool_of(source, most=30, seed=2)
        held: list[int] = []
        original = pools._Sample.add

        def add(self: Any, rows: list[Any]) -> None:
            held.append(len(self.rows) + len(rows))
            original(self, rows)
            assert len(self.rows) == len(self._keys) <= 30

        monkeypatch.setattr(pools._Sample, "add", add)
        monkeypatch.setattr(windows, "WINDOW", 64)
        with caplog.at_level(logging.INFO):
            pool = pool_of(source, most=30, seed=2)
        assert max(held) == 30 + 64
        assert len(held) == 16
        assert caplog.messages == ["p: 30 of 1000 rows without a label"]
        # Neither the sample nor its order depends on the windows.
        assert (pool.digest, texts(pool)) == (whole.digest, texts(whole))
        numbers = [int(text.split()[1]) for text in texts(pool)]
        assert numbers == sorted(set(numbers))

    def test_the_seed_alone_decides(self, tmp_path: Path) -> None:
        source = csv_of(tmp_path / "p.csv", "text\n" + "".join(f"text {number}\n" for number in range(200)))
        copy = tmp_path / "copy.jsonl"
        copy.write_text("".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(200)))
        first, again, other = (pool_of(source, most=20, seed=seed) for seed in (1, 1, 2))
        assert first.digest == again.digest == pool_of(str(copy), most=20, seed=1).digest != other.digest

    def test_each_row_is_as_likely_as_any_other(self) -> None:
        count, most, seeds = 25, 5, 2000
        chosen: Counter[str] = Counter()
        for seed in range(seeds):
            sample = pools._Sample(most, seed)
            for start in range(0, count, 4):
                sample.add([(str(number),) for number in range(start, min(start + 4, count))])
            assert len(sample.rows) == most
            chosen.update(row[0] for row in sample.rows)
        expected = seeds * most / count
        deviation = (expected * (1 - most / count)) ** 0.5
        assert len(chosen) == count
        assert all(abs(found - expected) < 4.5 * deviation for found in chosen.values())

    def test_fewer_rows_than_asked_for_are_all_kept(self) -> None:
        sample = pools._Sample(10, 0)
        for rows in ([("a",), ("b",)], [], [("c",)]):
            sample.add(rows)
        assert sample.rows == [("a",), ("b",), ("c",)]
        assert sample.seen == 3
