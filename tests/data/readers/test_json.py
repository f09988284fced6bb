"""JSON files: values stay what they were written as, and what is broken is named with its line."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.tasks import read_rows
from textmix.data.config import DataConfig
from textmix.data.readers import common as formats
from textmix.data.readers import json as jsonrows
from textmix.data.sources import load_source
from textmix.errors import DataError


def read(path: Path, content: bytes) -> dict[str, list[Any]]:
    path.write_bytes(content)
    return load_source(str(path))["train"].to_dict()


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def column(folder: Path, *values: Any) -> list[Any]:
    return read(folder / "a.jsonl", lines(*({"text": "t", "x": value} for value in values)))["x"]


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-01", "2024-01-02T03:04:05"],  # no dates
        ["1", "01", "true", "null", ""],
        [1, -3, None, 2**63 - 1, -(2**63)],
        [1.5, None, -0.25],
        [True, None, False],
        [None, None],
    ],
)
def test_values_of_one_kind_stay_what_they_are(tmp_path: Path, values: list[Any]) -> None:
    found = column(tmp_path, *values)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ([2**53, 0.5], [2.0**53, 0.5]),
        ([2**53 + 1, 0.5], ["9007199254740993", "0.5"]),  # as a float it would be another number
        ([2**64, 1], ["18446744073709551616", "1"]),
        ([1, "one", None, 2.0, 0.5], ["1", "one", None, "2", "0.5"]),
        ([True, "é", 0], ["True", "é", "0"]),
        ([True, 0], ["True", "0"]),
        ([[1], "x"], ["[1]", "x"]),
        ([[1], {"é": 1}], ["[1]", '{"é": 1}']),
        ([[1, 2], [], None], ["[1, 2]", "[]", None]),
        ([[1, "x"], [2]], ['[1, "x"]', "[2]"]),
        ([[2**70]], ["[1180591620717411303424]"]),
        ([[1], [0.5]], ["[1]", "[0.5]"]),
        ([[], {}], ["[]", "{}"]),
        ([{}], ["{}"]),
        ([{"a": 1, "b": ["x"]}, {"a": 2, "b": []}], ['{"a": 1, "b": ["x"]}', '{"a": 2, "b": []}']),
        ([{"a": 1}, {"a": "x", "b": [{"c": None}]}], ['{"a": 1}', '{"a": "x", "b": [{"c": null}]}']),
        ([{str(number): number} for number in range(101)], [f'{{"{number}": {number}}}' for number in range(101)]),
    ],
)
def test_kinds_that_meet_become_strings_unless_nothing_is_lost(
    tmp_path: Path, values: list[Any], expected: list[Any]
) -> None:
    found = column(tmp_path, *values)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_nan_is_missing(tmp_path: Path) -> None:
    nan = float("nan")
    assert column(tmp_path, "a", nan, "b") == ["a", None, "b"]
    assert column(tmp_path, 1, nan, 2) == [1, None, 2]
    assert column(tmp_path, nan, nan) == [None, None]
    assert column(tmp_path, [0.5, nan], [nan]) == ["[0.5, null]", "[null]"]


def test_a_label_is_spelt_alike_whatever_is_beside_it(tmp_path: Path) -> None:
    def labels(*values: Any) -> list[str]:
        (tmp_path / "a.jsonl").write_bytes(lines(*({"text": "t", "label": value} for value in values)))
        return read_rows(DataConfig(str(tmp_path / "a.jsonl")))["label"][:]

    assert labels(True, False, "maybe")[:2] == labels(True, False) == ["True", "False"]
    assert labels(1.0, 2.5, "other")[:2] == labels(1.0, 2.5) == ["1", "2.5"]
    assert labels(3, 4, "other")[:2] == labels(3, 4) == ["3", "4"]


def test_lists_and_objects_are_no_texts_or_labels(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": ["x"], "body": {"a": 1}}, {"text": "b", "label": [], "body": None}]
    (tmp_path / "a.jsonl").write_bytes(lines(*rows))
    for options, message in (
        ({}, r"row 1 has the labels \['x'\], not 1 probabilities; lists of names are --task multi_label"),
        ({"text_column": "body"}, r"column 'body' \(data\.text_column\) holds lists or objects"),
    ):
        with pytest.raises(DataError, match=message):
            read_rows(DataConfig(str(tmp_path / "a.jsonl"), **options))


def test_what_is_nested_deep_or_wide_is_whole(tmp_path: Path) -> None:
    deep = json.loads("[" * 400 + "1" + "]" * 400)
    (found,) = column(tmp_path, deep)
    assert json.loads(found) == deep
    wide = [{str(a): {str(row): 1 for row in range(20)} for a in range(20)} for _ in range(3)]
    assert column(tmp_path, *wide, {"a": 1}) == [json.dumps(value) for value in (*wide, {"a": 1})]


def test_kinds_may_meet_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonrows, "STORED_AT_ONCE", 2)
    assert column(tmp_path, 1, 2, 3, 4, "five") == ["1", "2", "3", "4", "five"]
    assert column(tmp_path, 1, None, None, None, 0.5) == [1.0, None, None, None, 0.5]
    assert column(tmp_path, [1], None, None, None, ["x"]) == ["[1]", None, None, None, '["x"]']
    rows = [{"text": "a"}, {"text": "b"}, {"text": "c", "late": 1}]
    assert read(tmp_path / "b.jsonl", lines(*rows))["late"] == [None, None, 1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b'{"text":"a"}\n\n  {"text":"b"}  \n'),
        ("a.jsonl", b'\xef\xbb\xbf{"text":"a"}\r\n{"text":"b"}'),
        ("a.json", b'{"text":"a"}\n{"text":"b"}\n'),
        ("a.json", b'[{"text":"a"},{"text":"b"}]'),
        ("a.jsonl", b'\xef\xbb\xbf\n [\n  {"text":"a"},\n  {"text":\n"b"}\n]\n'),
        ("a.jsonl.gz", b'{"text":"a"}\n{"text":"b"}\n'),
        ("a.json.GZ", b'[{"text":"a"},{"text":"b"}]'),
    ],
)
def test_shapes_of_files(tmp_path: Path, name: str, content: bytes) -> None:
    written = gzip.compress(content) if name.lower().endswith(".gz") else content
    assert read(tmp_path / name, written) == {"text": ["a", "b"]}


def test_several_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines({"text": "a", "label": 1}))
    (tmp_path / "b.json").write_bytes(b'[{"label": "x", "text": "b"}]')
    found = load_source([str(tmp_path / "a.jsonl"), str(tmp_path / "b.json")])["train"].to_dict()
    assert found == {"text": ["a", "b"], "label": ["1", "x"]}


def test_characters_of_all_planes(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", b'{"text":"\\ud83d\\ude00 \\\\ud83d"}\n')["text"] == ["😀 \\ud83d"]
    assert read(tmp_path / "a.jsonl", '{"text":"a\u2028b"}\n'.encode())["text"] == ["a\u2028b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"text": "a"}\n{"text": \n',
            "broken line 2: Expecting value; each line must hold one object, or",
        ),
        (b'{\n"text": "a"}\n', "broken line 1: Expecting property name enclosed in double quotes; each line must"),
        (b'{"text": "a"}\n\n[1]\n', "broken line 3: a JSON object is needed, not list"),
        (b'\n[{"text": "a"},\n\n{"text": b}]\n', "broken line 4: Expecting value"),
        (b'[{"text": "a"},\n"b"]\n', "broken entry 2: a JSON object is needed, not str"),
        (b'[{"text": "a"},\n{"text": "\\ud800"}]\n', "\\ud800 is half of a character"),
        (b'[{"text": "a"},\n{"text": ' + b"9" * 5000 + b"}]\n", "Exceeds the limit"),
        (b'{"text": "a"}\n{"text": "\xff"}\n', "line 2 is not UTF-8 (invalid start byte); it could be "),
        (b'[{"text": "a"},\n{"text": "\xff"}]\n', "line 2 is not UTF-8"),
        ('{"text": "a"}\n'.encode("utf-16"), "line 1 is not UTF-8"),
        (b'{"text": "a"}\n{"text": "\\uD83D"}\n', "broken line 2: \\ud83d is half of a character"),
        (b'{"text": "a"}\n{"te\\udc00": "a"}\n', "broken line 2: \\udc00 is half of a character"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "broken line 1: maximum recursion depth exceeded"),
        (b'{"text": ' + b"9" * 5000 + b"}", "broken line 1: Exceeds the limit"),
        (b"\n \n", "no rows"),
        (b"{}\n", "no rows"),
        (b"[]", "no rows"),
    ],
)
def test_what_is_broken_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.jsonl", content)
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}: {message}")
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    assert column(tmp_path, "a") == ["a"]
    assert column(tmp_path, "b") == ["b"]
    before = (tmp_path / "a.jsonl").stat()
    (tmp_path / "a.jsonl").write_bytes(lines({"text": "t", "x": "c"}))
    os.utime(tmp_path / "a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` does
    assert load_source(str(tmp_path / "a.jsonl"))["train"]["x"][:] == ["c"]


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*a\.jsonl\.gz: Compressed file ended before"):
        read(tmp_path / "a.jsonl.gz", gzip.compress(lines(*({"text": str(n)} for n in range(1000))))[:500])


def test_columns_may_be_many_but_not_any_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_MOST_COLUMNS", 3)
    rows = [{f"c{number}": 1} for number in range(4)]  # each row has another one
    assert len(read(tmp_path / "a.jsonl", lines(*rows[:3]))) == 3
    with pytest.raises(DataError, match="has 4 columns; no more than 3 can be read"):
        read(tmp_path / "a.jsonl", lines(*rows))


def test_a_truncated_archive_in_another_encoding_is_told(tmp_path: Path) -> None:
    words = "".join(f'{{"text": "größe {number * 7919 % 10007}"}}\n' for number in range(20_000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(words.encode("latin-1"))[:-9])
    with pytest.raises(DataError, match=r"^cannot read .*a\.jsonl\.gz: "):
        load_source(str(path))
