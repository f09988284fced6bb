import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from tests.support.commands import tells
from tests.support.hostile_tables import write_rows
from textmix.data import sources
from textmix.data.reading import Reading
from textmix.data.sources import absolute, load_source, source_name
from textmix.errors import DataError

ROWS = {"text": ["good, very", 'so "bad"', "two\nlines"], "label": ["01", "NA", "null"]}


def write(path: Path) -> str:
    frame = pd.DataFrame(ROWS)
    if path.name.endswith((".csv", ".csv.gz", ".tsv")):
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=path.suffix == ".jsonl")
    return str(path)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.CSV", "a.csv.gz"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    lower = write(tmp_path / name.lower())
    path = Path(lower).rename(tmp_path / name)
    assert load_source(str(path))["train"].to_dict() == ROWS


def test_lists_and_globs_are_read_in_order(tmp_path: Path) -> None:
    for name, text in (("b.csv", "second"), ("a.csv", "first")):
        (tmp_path / name).write_text(f"text,label\n{text},x\n")
    listed = load_source([str(tmp_path / "b.csv"), str(tmp_path / "a.csv")])["train"]
    assert listed["text"][:] == ["second", "first"]
    assert load_source(str(tmp_path / "*.csv"))["train"]["text"][:] == ["first", "second"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\nhello,x\n")
    assert load_source(str(path))["train"].column_names == ["text", "label"]


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\none,x\n")
    assert load_source(str(path))["train"].num_rows == 1
    path.write_text("text,label\none,x\ntwo,y\n")
    assert load_source(str(path))["train"].num_rows == 2


def broken(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_source(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), path.name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.jsonl", b"", "a.jsonl is empty"),
        ("a.csv", b"text,label\n", "a.csv: no rows"),
        ("a.csv", b"text,label\na,x\nb,y,z\n", "a.csv: broken line 3: 3 fields instead of 2"),
        ("a.csv", b"text,label\na,x,z\nb,y\n", "a.csv: broken line 2: it has more fields than the 2 of the header"),
        ("a.csv", b'text,label\na,x\n"b,y\nc,z\n', "a.csv: broken line 3: a quote is opened there and never closed"),
        ("a.csv", b"text,label\n\xff\xfe,x\n", "a.csv: line 2 is not UTF-8"),
        ("a.csv", "text,label\na,x\n".encode("utf-16"), "a.csv: line 1 is not UTF-8"),
        ("a.parquet", b"PAR1 and no more", "cannot read a.parquet: "),
        ("a.csv.gz", gzip.compress(b"text,label\na,x\n" * 2000, mtime=0)[:60], "cannot read a.csv.gz: "),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert broken(tmp_path / name, content).startswith(message)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.jsonl", "a.json", "a.parquet"])
def test_too_many_columns_are_refused_in_good_time(tmp_path: Path, name: str) -> None:
    columns = {f"c{number}": ["x"] for number in range(10_001)}
    write_rows(tmp_path / name.removesuffix(".gz"), columns)
    content = (tmp_path / name.removesuffix(".gz")).read_bytes()
    message = broken(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    assert tells(message, name, "10001 columns", "10000")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_ends_of_lines_of_other_systems(tmp_path: Path, end: str) -> None:
    rows = [(f"a, {number}", "x") for number in range(6000)]
    lines = ['"text, or, ""so""",label', *(f'"{text}",{label}' for text, label in rows)]
    (tmp_path / "a.csv").write_text(end.join([*lines, ""]), newline="")
    found = load_source(str(tmp_path / "a.csv"))["train"]
    assert found.to_dict() == {'text, or, "so"': [text for text, _ in rows], "label": [label for _, label in rows]}


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv")
    with pytest.raises(DataError, match=r"no file at '.*review\.csv'; did you mean 'reviews\.csv'"):
        load_source(str(tmp_path / "review.csv"))
    with pytest.raises(DataError, match="no file at"):
        load_source(str(tmp_path / "*.tsv"))
    with pytest.raises(DataError, match="no file at"):
        load_source([str(tmp_path / "reviews.csv"), "missing.csv"])


def test_other_endings_and_mixed_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DataError, match=r"unknown format of .*a\.doc.* --data\.format"):
        load_source(str(tmp_path / "a.doc"))
    with pytest.raises(DataError, match=r"must have one format, not \.csv, \.jsonl"):
        load_source([write(tmp_path / "a.csv"), write(tmp_path / "a.jsonl")])


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("review,label\nx,y\n")
    with pytest.raises(DataError, match=r"b\.csv has the columns review, label; .*a\.csv has text, label"):
        load_source([first, str(tmp_path / "b.csv")])


def test_hub_data_sets_keep_their_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Dataset.from_dict({"text": ["a"], "label": ["x"]})
    asked = []

    def load_dataset(name: str, subset: str | None) -> DatasetDict:
        asked.append((name, subset))
        return DatasetDict(train=part, test=part)

    monkeypatch.setattr(sources, "load_dataset", load_dataset)
    assert set(load_source("someone/some-set", Reading("small"))) == {"train", "test"}
    assert asked == [("someone/some-set", "small")]
    monkeypatch.setattr(sources, "load_dataset", lambda name, subset: DatasetDict(test=part))
    with pytest.raises(DataError, match="'someone/some-set' has no train split"):
        load_source("someone/some-set")


def test_an_unknown_name_says_what_was_tried() -> None:
    with pytest.raises(DataError, match=r"no data set 'bbc_new': .*did you mean 'bbc_news'\? The hub says: ") as caught:
        load_source("bbc_new")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("bbc_news", "bbc_news"),
        ("dir/reviews.csv", "reviews"),
        ("dir/reviews.2024.csv.gz", "reviews.2024"),
        (["x/a.csv", "x/b.csv"], "a"),
        ("x/*.csv", "data"),
        ("someone/some-set", "some-set"),
    ],
)
def test_names_of_sources(source: str | list[str], name: str) -> None:
    assert source_name(source) == name


def test_json_values_survive(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": i}) + "\n" for i, text in enumerate(["é", "猫", ""])))
    assert load_source(str(path))["train"].to_dict() == {"text": ["é", "猫", ""], "label": [0, 1, 2]}


def test_names_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    path = tmp_path / "rev[1].csv"
    path.write_text("text,label\na,x\n")
    assert load_source(str(path))["train"].num_rows == 1


def test_sources_become_absolute_where_they_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text,label\na,x\n")
    assert absolute("a.csv") == str(tmp_path / "a.csv")
    assert absolute("*.csv") == str(tmp_path / "*.csv")
    assert absolute(["a.csv"]) == [str(tmp_path / "a.csv")]
    assert absolute("bbc_news") == "bbc_news"
    assert absolute("org/name") == "org/name"
