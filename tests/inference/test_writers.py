import csv
import json
import math
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from textmix.inference.writers import open_writer

HARD = ["a\rb", "a\nb", 'a "b", c', "a\tb", "plain", ""]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_texts_come_back_as_they_went(tmp_path: Path, suffix: str, separator: str) -> None:
    path = tmp_path / f"predictions{suffix}"
    with open_writer(path) as write:
        for start in range(0, len(HARD), 2):  # each batch decides for itself what it quotes
            texts = HARD[start : start + 2]
            write(pa.table({"text": texts, "number": pa.array([1, None]), "probability": [0.5, 0.25]}))
    back = pd.read_csv(path, sep=separator, keep_default_na=False, na_values={"number": [""]})
    assert back["text"].tolist() == HARD
    assert back["number"].dropna().tolist() == [1, 1, 1]
    assert back["probability"].tolist() == [0.5, 0.25] * 3


def test_what_needs_no_quotes_has_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    with open_writer(path) as write:
        write(pa.table({"text": ["one", "two"], "number": [1, 2]}))
    assert path.read_text() == "text,number\none,1\ntwo,2\n"


def test_json_lines_keep_what_they_are_given(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    small, moment = 1.234e-11, datetime(2026, 1, 2, 3, 4, 5, 678901)
    columns = {
        "text": ['é \u2028 "', "two"],
        "small": [small, math.nan],
        "large": [2**60 + 1, None],
        "moment": pa.array([moment, None], pa.timestamp("us")),
        "bytes": [b"\xff\x00", b""],
        "list": [[1, 2], []],
        "deep": [{"x": [math.inf, 0.5], "at": moment}, None],
    }
    with open_writer(path) as write:
        write(pa.table(columns))
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1])
    assert first == {
        "text": 'é \u2028 "',
        "small": small,
        "large": 2**60 + 1,
        "moment": "2026-01-02T03:04:05.678901",
        "bytes": "b'\\xff\\x00'",
        "list": [1, 2],
        "deep": {"x": [None, 0.5], "at": "2026-01-02T03:04:05.678901"},
    }
    assert (second["small"], second["large"], second["moment"]) == (None, None, None)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_cells_of_lists_and_objects_are_json(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"predictions{suffix}"
    lists, objects = [list(range(1500)), None], [{"a": ["é", None], "b": 0.5}, {"a": [], "b": None}]
    with open_writer(path) as write:
        write(pa.table({"list": lists, "object": objects, "label": ["x", "y"]}))
    with path.open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")
    assert (json.loads(first["list"]), json.loads(first["object"])) == (lists[0], objects[0])
    assert (second["list"], json.loads(second["object"]), second["label"]) == ("", objects[1], "y")
