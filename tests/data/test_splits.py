from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.tasks import SINGLE, read_rows, split_rows
from textmix.data import sources, stratified
from textmix.data.config import DataConfig
from textmix.data.splits import build_splits, load_test_split
from textmix.errors import ConfigError, DataError


def csv(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def rows(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"text {start + i}", "a" if i % 4 else "b") for i in range(count)]


def test_splits_are_stratified_disjoint_and_complete(tmp_path: Path) -> None:
    splits, report = split_rows(DataConfig(csv(tmp_path / "d.csv", rows(200))), seed=0)
    assert report.sizes == {"train": 144, "validation": 16, "test": 40}
    texts = [set(split["text"][:]) for split in splits.values()]
    assert len(set.union(*texts)) == sum(map(len, texts)) == 200
    for split in splits.values():
        assert Counter(split["label"][:])["b"] == split.num_rows / 4


def test_the_seed_fixes_the_splits(tmp_path: Path) -> None:
    source = csv(tmp_path / "d.csv", rows(60))

    def test_texts(seed: int, split_seed: int | None = None) -> list[str]:
        return split_rows(DataConfig(source, split_seed=split_seed), seed)[0]["test"]["text"][:]

    assert test_texts(0) == test_texts(0) != test_texts(1)
    assert test_texts(0, split_seed=7) == test_texts(1, split_seed=7)


class TestManyRows:
    """More rows than are split at once."""

    @pytest.fixture(autouse=True)
    def _small_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stratified, "_PIECE", 200)

    def test_every_piece_is_split_alike(self, tmp_path: Path) -> None:
        splits, report = split_rows(DataConfig(csv(tmp_path / "d.csv", rows(1000))), seed=0)
        assert report.sizes == {"train": 720, "validation": 80, "test": 200}
        texts = [set(split["text"][:]) for split in splits.values()]
        assert len(set.union(*texts)) == sum(map(len, texts)) == 1000
        for split in splits.values():
            assert Counter(split["label"][:])["b"] == split.num_rows / 4
        numbers = sorted(int(text.removeprefix("text ")) for text in splits["test"]["text"][:])
        assert [sum(start <= number < start + 200 for number in numbers) for start in range(0, 1000, 200)] == [40] * 5

    def test_sizes_that_do_not_divide_are_kept(self, tmp_path: Path) -> None:
        config = DataConfig(csv(tmp_path / "d.csv", rows(1013)), test_fraction=0.1, max_train_samples=500)
        assert split_rows(config, 0)[1].sizes == {"train": 500, "validation": 92, "test": 102}

    def test_a_class_that_a_piece_has_once_stays_for_training(self, tmp_path: Path) -> None:
        given = [(text, "rare" if number % 400 == 7 else label) for number, (text, label) in enumerate(rows(1000))]
        splits, report = split_rows(DataConfig(csv(tmp_path / "d.csv", given)), seed=0)
        assert Counter(splits["train"]["label"][:])["rare"] == 3
        assert report.rare == []

    def test_each_class_may_be_in_every_part_of_a_piece(self, tmp_path: Path) -> None:
        # 40 classes and a tenth of the rows: a piece of 200 rows could not have one of each in its second part.
        given = [(f"text {number}", f"class {number % 40}") for number in range(1200)]
        config = DataConfig(csv(tmp_path / "d.csv", given), test_fraction=0.1, validation_fraction=0.0)
        splits, _ = split_rows(config, seed=0)
        assert Counter(splits["test"]["label"][:]) == {f"class {number}": 3 for number in range(40)}


def test_given_files_are_not_split(tmp_path: Path) -> None:
    config = DataConfig(
        csv(tmp_path / "train.csv", rows(40)),
        test_source=csv(tmp_path / "test.csv", rows(8, 100)),
        validation_source=csv(tmp_path / "dev.csv", rows(6, 200)),
    )
    _, report = split_rows(config, 0)
    assert report.sizes == {"train": 40, "validation": 6, "test": 8}


def test_no_validation_split_on_request(tmp_path: Path) -> None:
    splits, _ = split_rows(DataConfig(csv(tmp_path / "d.csv", rows(40)), validation_fraction=0.0), 0)
    assert list(splits) == ["train", "test"]


class TestDuplicates:
    def test_they_are_reported_and_kept_unless_asked(self, tmp_path: Path) -> None:
        config = DataConfig(
            csv(tmp_path / "train.csv", [*rows(40), ("text 100", "a")]),
            test_source=csv(tmp_path / "test.csv", rows(8, 100)),
            validation_source=csv(tmp_path / "dev.csv", rows(6, 38)),
        )
        splits, report = split_rows(config, 0)
        assert report.duplicates == {"train/validation": 2, "train/test": 1, "validation/test": 0}
        assert splits["train"].num_rows == 41
        assert any("1 rows of train have a text that test has too" in line for line in report.lines())

    def test_removal_spares_the_given_test_split(self, tmp_path: Path) -> None:
        train = [*rows(40), ("text 1", "a"), ("text 100", "a"), ("text 200", "a")]
        test = [*rows(8, 100), ("text 100", "a")]
        dev = [*rows(6, 200), ("text 101", "b")]
        config = DataConfig(
            csv(tmp_path / "train.csv", train),
            test_source=csv(tmp_path / "test.csv", test),
            validation_source=csv(tmp_path / "dev.csv", dev),
            deduplicate=True,
        )
        splits, report = split_rows(config, 0)
        assert splits["test"].num_rows == 9
        assert splits["validation"]["text"][:] == [f"text {i}" for i in range(200, 206)]
        assert splits["train"]["text"][:] == [f"text {i}" for i in range(40)]
        assert report.removed == 4
        assert not any(report.duplicates.values())

    def test_random_splits_of_repeated_texts_become_disjoint(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", rows(50) * 2)
        _, leaking = split_rows(DataConfig(source), 0)
        assert leaking.duplicates["train/test"] > 0
        splits, report = split_rows(DataConfig(source, deduplicate=True), 0)
        assert report.removed == 50
        assert sum(split.num_rows for split in splits.values()) == 50
        assert not any(report.duplicates.values())

    def test_pairs_are_equal_only_if_both_parts_are(self, tmp_path: Path) -> None:
        path = tmp_path / "p.csv"
        path.write_text("q,p,label\n" + "".join(f"same,{i % 30},{'ab'[i % 2]}\n" for i in range(40)))
        _, report = split_rows(DataConfig(str(path), text_column=["q", "p"], deduplicate=True), 0)
        assert report.removed == 10

    def test_nothing_left_is_an_error(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", rows(10))
        with pytest.raises(DataError, match="no rows of the train split are left"):
            split_rows(DataConfig(source, test_source=source, deduplicate=True), 0)

    def test_bbc_news_has_98_and_loses_them(self) -> None:
        splits, report = split_rows(DataConfig("bbc_news", deduplicate=True), 0)
        assert report.removed == 98
        assert report.sizes == {"train": 1530, "validation": 171, "test": 426}
        texts = [set(split["text"][:]) for split in splits.values()]
        assert len(set.union(*texts)) == sum(split.num_rows for split in splits.values()) == 2127


class TestRareClasses:
    def test_a_class_of_one_row_stays_in_training(self, tmp_path: Path) -> None:
        splits, report = split_rows(DataConfig(csv(tmp_path / "d.csv", [*rows(40), ("odd one", "c")])), 0)
        assert "c" in splits["train"]["label"][:]
        assert "c" in report.rare
        assert any("all kept for training: c" in line for line in report.lines())

    def test_too_few_rows_to_split_are_named(self, tmp_path: Path) -> None:
        few = [(f"t{i}", f"{i // 2}") for i in range(8)]
        with pytest.raises(DataError, match=r"cannot split 8 rows of 4 classes \(data.test_fraction 0.2\)"):
            split_rows(DataConfig(csv(tmp_path / "d.csv", few)), 0)

    def test_no_class_with_two_rows_is_named(self, tmp_path: Path) -> None:
        alone = [(f"t{i}", f"{i}") for i in range(8)]
        with pytest.raises(DataError, match=r"8 rows of 8 classes .*: no class has two rows, one for each part"):
            split_rows(DataConfig(csv(tmp_path / "d.csv", alone)), 0)


def test_the_digests_are_those_of_the_rows_read(tmp_path: Path) -> None:
    def digests(given: list[tuple[str, str]], **options: object) -> dict[str, str | None]:
        return split_rows(DataConfig(csv(tmp_path / "d.csv", given), **options), 0)[1].digests

    given = rows(40)
    first = digests(given)
    assert digests(given) == first
    assert first == {"train": first["train"], "validation": None, "test": None}
    changed = [given[1], given[0], *given[2:]], [*given, given[0]], [(given[0][0] + "x", given[0][1]), *given[1:]]
    others = [digests(one)["train"] for one in changed] + [digests([(given[0][0], given[1][1]), *given[1:]])["train"]]
    assert len({first["train"], *others}) == 1 + len(others)
    tested = digests(given, test_source=csv(tmp_path / "t.csv", rows(10)))
    assert tested == {**first, "test": tested["test"]}
    other = digests(rows(30), test_source=str(tmp_path / "t.csv"))
    assert other["test"] == tested["test"] not in (None, first["train"])
    assert other["train"] != tested["train"]


class TestTestSplit:
    """What evaluation reads again: the rows that training has evaluated, and only the sources that they come from."""

    @pytest.mark.parametrize("options", [{}, {"deduplicate": True}, {"folds": 3, "fold": 1}, {"drop_missing": True}])
    def test_one_made_of_the_source_depends_on_all_data(self, tmp_path: Path, options: dict) -> None:
        validation = csv(tmp_path / "v.csv", rows(10))
        config = DataConfig(csv(tmp_path / "d.csv", rows(60)), validation_source=validation, **options)
        splits, report = split_rows(config, 3)
        found, digests = load_test_split(config, SINGLE, 3)
        assert found.to_dict() == splits["test"].to_dict()
        assert digests == report.digests

    @pytest.mark.parametrize("options", [{}, {"deduplicate": True}])
    def test_one_of_its_own_source_needs_no_other(self, tmp_path: Path, options: dict) -> None:
        source, test = csv(tmp_path / "d.csv", rows(60)), csv(tmp_path / "t.csv", rows(10) * 2)
        config = DataConfig(source, test_source=test, validation_source=csv(tmp_path / "v.csv", rows(10)), **options)
        splits, report = split_rows(DataConfig(source, test_source=test, **options), 3)
        Path(source).unlink()
        (tmp_path / "v.csv").unlink()
        found, digests = load_test_split(config, SINGLE, 3)
        assert found.to_dict() == splits["test"].to_dict()
        assert digests == {"test": report.digests["test"]}


def test_max_train_samples_is_a_stratified_sample(tmp_path: Path) -> None:
    source = csv(tmp_path / "d.csv", [*rows(200), ("odd one", "c")])
    splits, report = split_rows(DataConfig(source, max_train_samples=40), 0)
    counts = Counter(splits["train"]["label"][:])
    assert report.sizes["train"] == 40
    assert counts["c"] == 1
    assert counts["b"] == pytest.approx(10, abs=1)
    _, same = split_rows(DataConfig(source, max_train_samples=10_000), 0)
    assert same.sizes["train"] > 100


class TestShots:
    def texts(self, source: str, shots: int | None, seed: int = 0, **options: Any) -> dict[str, list[str]]:
        splits, _ = split_rows(DataConfig(source, shots=shots, **options), seed)
        return {name: split["text"][:] for name, split in splits.items()}

    def test_each_class_gives_as_many_rows_before_validation_rows_are_chosen(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", [*rows(200), ("odd one", "c"), ("odd two", "c"), ("odd three", "c")])
        splits, report = split_rows(DataConfig(source, shots=8, validation_fraction=0.25), 0)
        drawn = Counter(splits["train"]["label"][:]) + Counter(splits["validation"]["label"][:])
        assert (drawn["a"], drawn["b"]) == (8, 8)
        assert 0 < drawn["c"] < 4
        assert "fewer rows than data.shots, all kept for training: c" in report.lines()
        whole, _ = split_rows(DataConfig(source), 0)
        assert splits["test"].to_dict() == whole["test"].to_dict()

    def test_few_are_among_many_and_seeds_draw_others(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", rows(200))
        few, many = (set(self.texts(source, shots, validation_fraction=0)["train"]) for shots in (4, 16))
        assert few < many
        assert (len(few), len(many)) == (8, 32)
        same = {"validation_fraction": 0, "split_seed": 5}
        assert self.texts(source, 4, **same) == self.texts(source, 4, seed=1, **same)
        assert set(self.texts(source, 4, seed=1, validation_fraction=0)["train"]) != few

    def test_more_than_there_are_is_all(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "d.csv", rows(50))
        assert self.texts(source, 1000) == self.texts(source, None)


def test_a_class_that_a_sample_loses_is_a_class_still(tmp_path: Path) -> None:
    given = rows(300) + [(f"rare {number}", "rare") for number in range(3)]
    for seed in range(5):
        config = DataConfig(source=csv(tmp_path / "d.csv", given), max_train_samples=20)
        splits = build_splits(config, SINGLE, seed)
        assert set(splits.labels.to_pylist()) == {"a", "b", "rare"}


def test_dropped_rows_are_counted(tmp_path: Path) -> None:
    source = csv(tmp_path / "d.csv", [*rows(40), ("", "a"), ("x", "")])
    _, report = split_rows(DataConfig(source, drop_missing=True), 0)
    assert report.missing == 2
    assert "left out 2 rows" in " ".join(report.lines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": ""}, "data.source is empty"),
        ({"source": "x", "test_fraction": 1.0}, "data.test_fraction must lie in"),
        ({"source": "x", "validation_fraction": 1.0}, "data.validation_fraction must lie in"),
        ({"source": "x", "max_train_samples": 0}, "data.max_train_samples must be at least 1"),
        ({"source": "x", "shots": 0}, "data.shots must be at least 1, not 0"),
        ({"source": "x", "shots": 8, "max_train_samples": 9}, "data.shots and data.max_train_samples both choose"),
        ({"source": "x", "split_seed": -1}, "data.split_seed must lie in"),
        ({"source": "x", "text_column": "label"}, "data.text_column must name at least one column"),
        ({"source": "x", "text_column": []}, "data.text_column must name at least one column"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataConfig(**options)


@pytest.mark.parametrize("size", [70, 71, 72, 3])
def test_any_number_of_training_rows_can_be_asked_for(tmp_path: Path, size: int) -> None:
    source = csv(tmp_path / "d.csv", rows(100))
    _, report = split_rows(DataConfig(source, max_train_samples=size), 0)
    assert report.sizes["train"] == size


class TestHub:
    def hub(self, monkeypatch: pytest.MonkeyPatch, **labels: list[int]) -> list[tuple[str, str | None]]:
        features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
        parts = {
            name: Dataset.from_dict({"text": [f"{name} {i}" for i in range(len(y))], "label": y}, features=features)
            for name, y in labels.items()
        }
        asked = []

        real = sources.load_dataset

        def load_dataset(name: str, subset: str | None = None, **files: object) -> DatasetDict:
            if files:
                return real(name, **files)
            asked.append((name, subset))
            return DatasetDict(parts)

        monkeypatch.setattr(sources, "load_dataset", load_dataset)
        return asked

    def test_its_own_splits_are_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = self.hub(monkeypatch, train=[0, 1] * 20, validation=[0, 1] * 2, test=[0, 1] * 3)
        config = DataConfig("org/x", subset="s")
        splits, report = split_rows(config, 0)
        assert report.sizes == {"train": 40, "validation": 4, "test": 6}
        assert splits["test"]["label"][:2] == ["a", "b"]
        assert read_rows(config)["text"][0] == "test 0"
        assert load_test_split(config, SINGLE, 0)[0]["text"][0] == "test 0"
        assert load_test_split(config, SINGLE, 0)[1].keys() == {"test"}
        assert asked == [("org/x", "s")] * 4

    def test_its_test_split_is_the_test_source(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.hub(monkeypatch, train=[0, 1] * 20, validation=[0, 1] * 2, test=[0, 1] * 3)
        source = csv(tmp_path / "d.csv", rows(40))
        splits, _ = split_rows(DataConfig(source, test_source="org/x", validation_source="org/x"), 0)
        assert splits["test"]["text"][0] == "test 0"
        assert splits["validation"]["text"][0] == "validation 0"

    def test_a_test_split_without_labels_is_not_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub(monkeypatch, train=[0, 1] * 20, test=[-1] * 6)
        splits, report = split_rows(DataConfig("org/x"), 0)
        assert report.sizes["test"] == 8
        assert splits["test"]["text"][0].startswith("train")


def test_without_a_test_split_there_is_none_to_load(tmp_path: Path) -> None:
    config = DataConfig(csv(tmp_path / "d.csv", rows(40)), test_fraction=0)
    assert list(split_rows(config, seed=0)[0]) == ["train", "validation"]
    with pytest.raises(DataError, match="d has no test split"):
        load_test_split(config, SINGLE, 0)
    assert load_test_split(replace(config, folds=2, fold=0), SINGLE, 0)[0].num_rows == 20
