"""The suggested task and columns, only where they are certain."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from textmix.data.sources import load_source
from textmix.data.suggest import suggest_columns, suggest_task

NUMBERS = [str(number / 7) for number in range(30)]
TOKENS = [["Ann", "sings"], ["Bob"]] * 5
TAGS = [["B-PER", "O"], ["B-PER"]] * 5


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["x", "y"] * 5, "single_label"),
        (["0", "1", "2", "1"] * 5, "single_label"),
        ([0, 1, 2, None] * 5, "single_label"),
        (["a, b", "c"] * 5, "single_label"),
        ([["x"], ["x", "y"], []] * 5, "multi_label"),
        (["x|y", "x", "", "y"] * 5, "multi_label"),
        (["x;y", "x", "y"] * 5, "multi_label"),
        (NUMBERS, "regression"),
        ([float(number) for number in NUMBERS], "regression"),
        (["0.5", "1", "1.5"] * 9, None),  # grades or numbers
        ([str(number) for number in range(30)], None),  # numbers or identifiers
        ([f"name {number}" for number in range(30)], None),
        ([""] * 5, None),
        ([{"a": 1}] * 5, None),
        ([[0.5, 0.5]] * 5, None),
    ],
)
def test_one_column(labels: list[Any], task: str | None) -> None:
    found = suggest_task(Dataset.from_dict({"text": ["t"] * len(labels), "label": labels}), ["label"])
    assert (found and found.task) == task


def test_the_separator_is_named() -> None:
    found = suggest_task(Dataset.from_dict({"label": ["x|y", "x", "y"] * 5}), ["label"])
    assert found is not None
    assert (found.separator, found.reason) == ("|", "2 labels, joined by '|'")


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ({"a": ["0", "1", "1"], "b": ["1", "1", "0"]}, "multi_label"),
        ({"a": [True, False], "b": [False, False]}, None),
        ({"a": ["0.3", "1"], "b": ["0.7", "0"]}, "single_label"),
        ({"a": ["0.3", "1"], "b": ["0.9", "4"]}, "regression"),
        ({"a": ["3", "1"], "b": ["5", "4"]}, None),
        ({"a": ["x", "1"], "b": ["0", "1"]}, None),
    ],
)
def test_several_columns(columns: dict[str, list[Any]], task: str | None) -> None:
    found = suggest_task(Dataset.from_dict(columns), [*columns])
    assert (found and found.task) == task


def test_tokens_with_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"tokens": t, "tags": g}) + "\n" for t, g in zip(TOKENS, TAGS, strict=True)))
    features = Features({"tokens": Sequence(Value("string")), "tags": Sequence(ClassLabel(names=["O", "B-PER"]))})
    named = Dataset.from_dict({"tokens": TOKENS, "tags": [[1, 0], [1]] * 5}, features=features)
    for source in (str(path), Dataset.from_dict({"tokens": TOKENS, "tags": TAGS}), named):
        rows = load_source(source)["train"]
        assert suggest_columns(rows) == ("tokens", ["tags"])
        found = suggest_task(rows, ["tags"])
        assert found is not None
        assert found.task == "token_classification"
    uneven = Dataset.from_dict({"tokens": TOKENS, "tags": [["O"]] * 10})
    assert suggest_task(uneven, ["tags"]).task == "multi_label"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"text": ["a", "b"], "label": ["x", "x"], "more": ["long text", "long text"]}, ("text", ["label"])),
        ({"v1": ["x", "y", "x", "y"], "v2": ["some words", "a", "b", "c"]}, ("v2", ["v1"])),
        ({"text": ["a", "b"], "p": ["0", "1"], "q": ["1", "1"]}, ("text", ["p", "q"])),
        ({"id": ["1", "2"], "review": ["a b", "c d"]}, ("review", [])),
        ({"number": [1, 2]}, (None, [])),
    ],
)
def test_columns(columns: dict[str, list[Any]], found: tuple[str | None, list[str]]) -> None:
    assert suggest_columns(Dataset.from_dict(columns)) == found
