"""What names tell, `data.format`, and zip files."""

import gzip
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

from textmix.data.readers.names import ending
from textmix.data.reading import Reading
from textmix.data.sources import load_source, source_name
from textmix.errors import DataError


def zipped(path: Path, **files: bytes) -> str:
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def test_endings() -> None:
    names = ["a.csv", "a.b.CSV.GZ", "a.zip", "a.csv.zip", "a.doc", "a.gz", "a"]
    assert [ending(name) for name in names] == [".csv", ".csv.gz", ".zip", ".zip", "", "", ""]
    assert source_name("x/reviews.zip") == "reviews"


def test_a_zip_file_with_one_table_is_that_table(tmp_path: Path) -> None:
    files = {"x/a.csv": b"text;label\na;1\n", "__MACOSX/x/._a.csv": b"\0", "readme.txt": b"hi", "x/.DS_Store": b""}
    assert load_source(zipped(tmp_path / "a.zip", **files))["train"].to_dict() == {"text": ["a"], "label": ["1"]}
    found = load_source(zipped(tmp_path / "b.zip", **{"b.jsonl.gz": gzip.compress(b'{"text": "a"}\n')}))["train"]
    assert found.to_dict() == {"text": ["a"]}
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "c.parquet")
    source = zipped(tmp_path / "c.zip", **{"c.parquet": (tmp_path / "c.parquet").read_bytes()})
    assert load_source(source)["train"].to_dict() == {"text": ["a"]}
    source = zipped(tmp_path / "d.zip", data=b"a\t1\n")
    how = Reading(format="tsv", columns=("text", "label"))
    assert load_source(source, how)["train"].to_dict() == {"text": ["a"], "label": ["1"]}


def test_other_zip_files_are_refused(tmp_path: Path) -> None:
    two = zipped(tmp_path / "two.zip", **{"a.csv": b"x\n", "b.csv": b"x\n"})
    with pytest.raises(
        DataError, match=r"two\.zip: a zip file must have one table, this one has several: a\.csv, b\.c"
    ):
        load_source(two)
    with pytest.raises(DataError, match=r"none\.zip: .* has none"):
        load_source(zipped(tmp_path / "none.zip", **{".DS_Store": b"x"}))
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"cannot read .*bad\.zip"):
        load_source(str(tmp_path / "bad.zip"))
    with pytest.raises(DataError, match=r"unknown format of 'a\.doc'.* --data\.format"):
        load_source(zipped(tmp_path / "doc.zip", **{"a.doc": b"x"}))


def test_the_format_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text('{"text": "a"}\n')
    assert load_source(str(tmp_path / "a.dat"), Reading(format="jsonl"))["train"].to_dict() == {"text": ["a"]}
    (tmp_path / "a.csv").write_text("a,b\tc\n1,2\t3\n")
    assert load_source(str(tmp_path / "a.csv"), Reading(format="tsv"))["train"].to_dict() == {
        "a,b": ["1,2"],
        "c": ["3"],
    }
