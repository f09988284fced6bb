"""Tables of text: the delimiter, files without a header, columns without a name."""

from pathlib import Path

import pytest

from textmix.data.readers.delimiter import find_delimiter
from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.errors import DataError


def read(path: Path, content: str, **how: object) -> dict[str, list[str | None]]:
    path.write_text(content)
    return load_source(str(path), Reading(**how))["train"].to_dict()


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        ("text,label\na;b,x\n", ","),
        ('text;label\n"a; b";x\n"c, d";y\n', ";"),
        ("text;label\na, b, c;x\nd;y\n", ";"),
        ("text\tlabel\na, b\tx\n", "\t"),
        ("text|label\na|x\n", "|"),
        ("text\nno, delimiter; here\n", ","),
        ("good, really; yes,1\nbad,0\n", ","),
        ("a;b, c;1\nd;e;0\n", ";"),
        ('"title; with, all",text,label\nx,y,z\n', ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_found(head: str, delimiter: str) -> None:
    assert find_delimiter(head) == delimiter


def test_the_number_of_columns_decides() -> None:
    assert find_delimiter("a, b;1\nc, d;0\n") == ","
    assert find_delimiter("a, b, c;1\nd, e, f;0\n", width=2) == ";"


def test_texts_keep_their_delimiters(tmp_path: Path) -> None:
    rows = {"text": ["a; b", "c, d"], "label": ["x", "y"]}
    assert read(tmp_path / "a.csv", 'text;label\r\n"a; b";x\r\n"c, d";y\r\n') == rows
    assert read(tmp_path / "a.csv", 'text,label\n"a; b",x\n"c, d",y\n') == rows


def test_a_given_delimiter_wins(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "text,label;x\na,b;1\n", delimiter=";") == {"text,label": ["a,b"], "x": ["1"]}
    assert read(tmp_path / "a.tsv", "a;b\n1;2\n", delimiter=";") == {"a": ["1"], "b": ["2"]}
    assert read(tmp_path / "a.tsv", "a;b\tc\n1;2\t3\n") == {"a;b": ["1;2"], "c": ["3"]}


def test_columns_are_named_for_files_without_a_header(tmp_path: Path) -> None:
    rows = {"label": ["1", "2"], "title": ["a", "b"], "text": ["c, d", None]}
    assert read(tmp_path / "a.csv", '1,a,"c, d"\n2,b,\n', columns=("label", "title", "text")) == rows
    assert read(tmp_path / "a.txt", "one\t0\ntwo\t1\n", format="tsv", columns=("text", "label")) == {
        "text": ["one", "two"],
        "label": ["0", "1"],
    }


def test_a_header_that_has_the_names_is_none_of_the_rows(tmp_path: Path) -> None:
    columns = ("label", "title", "text")
    assert read(tmp_path / "a.csv", "title,text\na,b\n", columns=columns) == {"title": ["a"], "text": ["b"]}


def test_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv has 3 columns, not the 2 of data\.columns \(text, label\)"):
        read(tmp_path / "a.csv", "1,a,b\n", columns=("text", "label"))


def test_columns_without_name_and_values_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "v1,v2,,,\nham,a,,,\nspam,b,,,\n") == {"v1": ["ham", "spam"], "v2": ["a", "b"]}
    (tmp_path / "b.csv").write_text("v1,v2,,,\nspam,c,, more,\n")
    found = load_source([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])["train"].to_dict()
    assert found == {"v1": ["ham", "spam", "spam"], "v2": ["a", "b", "c"], "Unnamed: 3": [None, None, " more"]}


def test_other_options_read_the_file_anew(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\nc,d\n")
    assert load_source(str(tmp_path / "a.csv"))["train"].num_rows == 1
    assert load_source(str(tmp_path / "a.csv"), Reading(columns=("x", "y")))["train"].num_rows == 2
