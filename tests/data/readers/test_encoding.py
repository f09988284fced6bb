"""Encodings: read as asked, found, and told where they are wrong."""

import gzip
import json
from pathlib import Path

import pytest

from textmix.data.readers.encoding import encoding_of
from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.errors import DataError

FRENCH = "text,label\n" + "très bon, déjà vu,x\n".replace(", ", " ") * 9 + "plain,y\n"
CHINESE = "text,label\n" + "这家饭店的菜很好吃,好\n服务员的态度太差了,坏\n" * 9
RUSSIAN = "text,label\n" + "Очень вкусный суп и добрый официант,да\nХолодный чай и пустой зал,нет\n" * 9


def written(path: Path, text: str, encoding: str) -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


def rows(text: str) -> list[str]:
    return [line.split(",")[0] for line in text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "latin-1"),
        (FRENCH, "utf-16"),
        (FRENCH, "utf-16-le"),
        (FRENCH, "utf-8-sig"),
        (CHINESE, "gbk"),
        (CHINESE, "utf-8"),
        (RUSSIAN, "cp1251"),
    ],
)
@pytest.mark.parametrize("auto", [False, True])
def test_texts_arrive_whole(tmp_path: Path, text: str, encoding: str, auto: bool) -> None:
    source = written(tmp_path / "a.csv", text, encoding)
    found = load_source(source, Reading(encoding="auto" if auto else encoding))["train"]
    assert found["text"][:] == rows(text)
    assert found.column_names == ["text", "label"]


def test_json_and_lines_and_compressed_files_too(tmp_path: Path) -> None:
    how = Reading(encoding="gbk")
    text = '{"text": "菜很好"}\n{"text": "\\u83dc"}\n'
    assert load_source(written(tmp_path / "a.jsonl", text, "gbk"), how)["train"]["text"][:] == ["菜很好", "菜"]
    assert load_source(written(tmp_path / "a.txt", "菜很好\n差\n", "gbk"), how)["train"]["text"][:] == ["菜很好", "差"]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CHINESE.encode("gbk")))
    assert load_source(str(tmp_path / "a.csv.gz"), how)["train"]["text"][:] == rows(CHINESE)


def test_characters_may_lie_on_the_borders_of_blocks(tmp_path: Path) -> None:
    text = "text,label\n" + "".join(f"{'x' * (number % 7)}菜很好,{number}\n" for number in range(20_000))
    found = load_source(written(tmp_path / "a.csv", text, "gbk"), Reading(encoding="gbk"))["train"]
    assert found["text"][:] == rows(text)


@pytest.mark.parametrize(
    "text", ["café", "it costs £1000, great\n" * 9, "prices are 5€ or 6€", "L'été à la forêt, où ça ?", "Grüße\nschön"]
)
def test_a_tie_is_cp1252(tmp_path: Path, text: str) -> None:
    assert encoding_of(written(tmp_path / "a.csv", text, "cp1252"), "auto") == "cp1252"


def test_what_cp1252_lacks_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"text,label\n\x81\x8d\x8f caf\xe9,x\n")
    assert encoding_of(str(tmp_path / "b.csv"), "auto") != "cp1252"


@pytest.mark.parametrize(
    ("text", "encoding", "could"),
    [(FRENCH, "latin-1", "cp1252, latin-1"), (CHINESE, "gbk", "gb18030, gbk"), (FRENCH, "utf-16", "utf-16")],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_the_refusal_says_what_it_could_be(tmp_path: Path, text: str, encoding: str, could: str, name: str) -> None:
    if name.endswith(".jsonl"):
        text = "".join(json.dumps({"text": row}, ensure_ascii=False) + "\n" for row in rows(text))
    source = written(tmp_path / name, text, encoding)
    with pytest.raises(
        DataError, match=rf"{name}: line \d is not UTF-8 \(.*\); it could be {could}.* --data\.encoding"
    ):
        load_source(source)


def test_so_does_the_refusal_of_another_encoding(tmp_path: Path) -> None:
    source = written(tmp_path / "a.csv", RUSSIAN, "cp1251")
    with pytest.raises(DataError, match=r"line 2 is not gbk \(.*could be cp1251"):
        load_source(source, Reading(encoding="gbk"))
    with pytest.raises(DataError, match=r"b\.csv: line 2 is not UTF-8"):
        load_source([written(tmp_path / "good.csv", CHINESE, "utf-8"), written(tmp_path / "b.csv", CHINESE, "gbk")])


def test_a_file_that_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    source = written(tmp_path / "a.csv", CHINESE, "gbk")
    assert encoding_of(source, "auto") == "gb18030"
    assert encoding_of(written(tmp_path / "a.csv", CHINESE + "x,y\n", "utf-8"), "auto") == "utf-8"
