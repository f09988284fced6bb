"""Files without a header: named as such, and nothing else is."""

from pathlib import Path

import pytest

from tests.support.tasks import split_rows
from textmix.data.config import DataConfig
from textmix.data.readers.header import first_cell_of_data
from textmix.data.sources import load_source
from textmix.data.windows import open_source
from textmix.errors import DataError

LONG = "the soup was cold and so was the bread but the waiter smiled at us all the same"


def message(path: Path, content: str, **options: object) -> str:
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        split_rows(DataConfig(str(path), **options), 0)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "cell"),
    [
        ("a.csv", "1,a title,some text\n2,another,more of it\n1,third,and so on\n", "1"),
        ("a.tsv", "nice\t1\nawful\t0\nfine\t1\n", "1"),
        ("a.csv", f"{LONG},x\nshort,y\n", "the soup was cold and so was t…"),
    ],
)
def test_a_file_without_a_header_is_told(tmp_path: Path, name: str, content: str, cell: str) -> None:
    assert message(tmp_path / name, content) == (
        f"a: the file seems to have no header, as its first line has '{cell}', which looks like data; name its columns,"
        " among them 'text' (data.text_column) and 'label' (data.label_column), in a first line or with"
        " --data.columns, as in --data.columns text,label"
    )


def test_so_are_new_rows_and_the_second_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{LONG}\nshort\n")
    with pytest.raises(DataError, match=r"no header, .* 'review' \(data\.text_column\), .* --data\.columns review$"):
        open_source(str(tmp_path / "a.csv"), ["review"])
    (tmp_path / "b.csv").write_text("good,1\nbad,0\n")
    (tmp_path / "c.csv").write_text("dull,0\nflat,0\n")
    with pytest.raises(DataError, match=r"c\.csv: the file seems to have no header, as its first line has '0'"):
        load_source([str(tmp_path / "b.csv"), str(tmp_path / "c.csv")])


@pytest.mark.parametrize(
    "content",
    [
        "review,stars\ngood,5\nbad,1\n",
        "review,stars\ngood,5\nreview,stars\nbad,1\n",  # two files, one after the other
        "0,1\ngood,1\nbad,0\nfine,1\n",  # a table of pandas without names
        ",0,1\n0,good,1\n1,bad,0\n2,fine,1\n",  # and with its index
        "What did you like about the service that we offer in our restaurants?,stars\ngood,5\n",
        "1,text\n1,good\n",  # one of the columns asked for is there
    ],
)
def test_other_names_of_columns_are_listed(tmp_path: Path, content: str) -> None:
    names = content.partition("\n")[0].replace(",", ", ")
    names = f"Unnamed: 0{names}" if names.startswith(",") else names
    assert f"it has {names}" in message(tmp_path / "a.csv", content)


def test_names_of_json_are_names(tmp_path: Path) -> None:
    assert "it has y" in message(tmp_path / "a.jsonl", '{"y": "y"}\n{"y": "x"}\n')


def test_missing_cells_are_no_data() -> None:
    assert first_cell_of_data({"a": [None, "b"], "b": ["a", None]}) is None
    assert first_cell_of_data({"a": [None, "a"], "b": ["c", "c"]}) == "a"
    assert first_cell_of_data({"a": []}) is None
