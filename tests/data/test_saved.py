"""Directories that `save_to_disk` of datasets has written."""

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.commands import QUICK, fails_quietly, snapshot
from tests.support.tasks import read_rows, split_rows
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.data import columns
from textmix.data import splits as splits_module
from textmix.data import standardize as rows_module
from textmix.data.config import DataConfig
from textmix.data.sources import absolute, load_source, source_name
from textmix.data.windows import open_source
from textmix.errors import DataError

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["food", "sport", "music"])})


def rows(count: int, seed: int = 0) -> Dataset:
    texts, labels = zip(*topic_rows(count, seed), strict=True)
    numbers = [FEATURES["label"].str2int(label) for label in labels]
    return Dataset.from_dict({"text": list(texts), "label": numbers}, features=FEATURES)


def saved(path: Path, data: Dataset | DatasetDict) -> str:
    data.save_to_disk(path)
    return str(path)


def test_a_data_set_is_training_data(tmp_path: Path) -> None:
    data = rows(60).select(range(59, -1, -1)).with_format("numpy", columns=["label"])
    source = saved(tmp_path / "set", data)
    assert load_source(source)["train"].to_dict() == data.with_format(None).to_dict()
    splits, report = split_rows(DataConfig(source), 0)
    assert sum(report.sizes.values()) == 60
    assert set(splits["test"]["label"]) == {"food", "sport", "music"}
    assert split_rows(DataConfig(source), 0)[1].digests == report.digests
    data.select(range(58)).save_to_disk(source)
    assert split_rows(DataConfig(source), 0)[1].digests != report.digests


def test_a_dictionary_has_its_splits(tmp_path: Path) -> None:
    source = saved(tmp_path / "sets", DatasetDict(train=rows(30), validation=rows(6, 1), test=rows(9, 2)))
    splits, report = split_rows(DataConfig(source), 0)
    assert report.sizes == {"train": 30, "validation": 6, "test": 9}
    assert splits["test"]["text"][0] == topic_rows(1, 2)[0][0]
    assert read_rows(DataConfig(source))["text"][:] == splits["test"]["text"][:]
    assert open_source(source, ["text"]).size == 9


def test_a_dictionary_may_lack_splits_that_are_not_asked_for(tmp_path: Path) -> None:
    tests = saved(tmp_path / "tests", DatasetDict(test=rows(9)))
    other = saved(tmp_path / "other", DatasetDict(dev=rows(9)))
    training = saved(tmp_path / "set", rows(30))
    assert split_rows(DataConfig(training, test_source=tests), 0)[1].sizes["test"] == 9
    with pytest.raises(DataError, match="the data set has no split train; it has test"):
        split_rows(DataConfig(tests), 0)
    with pytest.raises(DataError, match="the data set has no split test or validation or train; it has dev"):
        open_source(other, ["text"])


def test_nothing_is_written_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "IN_MEMORY", 10)
    monkeypatch.setattr(splits_module, "IN_MEMORY", 10)
    monkeypatch.setattr(columns, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = saved(tmp_path / "set", rows(60))
    before = snapshot(tmp_path / "set")
    splits, _ = split_rows(DataConfig(source), 0)
    assert [Path(file["filename"]).parent for file in splits["train"].cache_files] == [tmp_path / "cache" / "textmix"]
    assert sorted(len(split["text"][:]) for split in splits.values()) == [5, 12, 43]
    assert snapshot(tmp_path / "set") == before


def test_names_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("reviews.v2"), rows(3))
    assert source_name("reviews.v2") == source_name("x/reviews.v2/") == "reviews.v2"
    assert absolute("reviews.v2") == str(tmp_path / "reviews.v2")
    assert absolute(["reviews.v2"]) == [str(tmp_path / "reviews.v2")]


@pytest.mark.parametrize("source", ["other", "./other/", "empty", ["set"], ["a.csv", "set"]])
def test_other_directories_are_told(tmp_path: Path, source: str | list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("set"), rows(3))
    Path("empty").mkdir()
    Path("other").mkdir()
    for name in ("a.csv", "other/a.csv"):
        Path(name).write_text("text,label\na,x\n")
    with pytest.raises(DataError, match=r"is a directory; name its files, as in '.*/\*\.csv', or give a single direct"):
        load_source(source)


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\x00"])
def test_a_damaged_one_is_told_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "set", rows(30))
    if content is None:
        (tmp_path / "set" / name).unlink()
    else:
        (tmp_path / "set" / name).write_bytes(content)
    before = snapshot(tmp_path / "set")
    capsys.readouterr()
    code = main(["train", "--data.source", source, *QUICK, "--train.epochs", "1", "--output_dir", str(tmp_path / "r")])
    if code == 0:
        assert (name, content) == ("dataset_info.json", b"{}")  # which says nothing that is needed
        return
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "Saving" not in line)
    assert code == 2
    assert line.startswith("textmix: error: ")
    assert snapshot(tmp_path / "set") == before


def test_a_run_on_one_is_evaluated_and_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = saved(tmp_path / "sets", DatasetDict(train=rows(60), test=rows(9, 2)))
    run = str(tmp_path / "run")
    assert main(["train", "--data.source", source, *QUICK, "--output_dir", run]) == 0
    assert main(["evaluate", run]) == 0
    output = tmp_path / "o.csv"
    assert main(["predict", run, source, "--output", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 10
    rows(9, 3).save_to_disk(tmp_path / "sets" / "test")
    assert "have changed since it started" in fails_quietly(["evaluate", run], capsys)
