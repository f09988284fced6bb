from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features

from textmix.data.config import DataConfig
from textmix.errors import DataError
from textmix.tasks.detect import Found, detect_task


def detect(columns: dict[str, list[Any]], features: Features | None = None, **options: Any) -> Found:
    names = [name for name in columns if name != "tokens"]
    data = DataConfig(source="data", **{"label_column": names if len(names) > 1 else names[0], **options})
    return detect_task(Dataset.from_dict(columns, features=features), data, "data")


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ({"label": ["good", "bad"]}, "single_label"),
        ({"label": ["1", "2", ""]}, "single_label"),
        ({"label": [1, 2]}, "single_label"),
        ({"label": ["1.0", "2.0"]}, "single_label"),
        ({"label": ["1.5", "bad"]}, "single_label"),
        ({"label": [number + 0.25 for number in range(30)]}, "regression"),
        ({"label": [f" {number}.5" for number in range(30)]}, "regression"),
        ({"label": [["a", "b"], []]}, "multi_label"),
        ({"a": [0, 1], "b": [1, None]}, "multi_label"),
        ({"a": ["0", "1"], "b": ["1", "1"]}, "multi_label"),
        ({"a": [0.2, 1], "b": [0.8, 0]}, "single_label"),
        ({"a": [0.2, 3.5], "b": [7, 0]}, "regression"),
        ({"tokens": [["x", "y"], ["z"]], "label": [["O", "B-A"], ["O"]]}, "token_classification"),
    ],
)
def test_what_is_certain(columns: dict[str, list[Any]], task: str) -> None:
    assert detect(columns).task == task


def test_integers_with_names_are_classes_and_a_separator_is_one() -> None:
    features = Features({"label": ClassLabel(names=["bad", "good"])})
    assert detect({"label": [0, 1]}, features).task == "single_label"
    joined = {"label": ["a|b", "a", "b"] * 5}
    assert detect(joined, label_separator="|").task == "multi_label"
    found = detect(joined)
    assert found.task == "single_label"
    assert "if '|' separates labels, say so with --data.label_separator" in found.reason


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [number / 2 for number in range(9)]}, "holds few numbers, such as 0.5: say --task regression, or"),
        ({"label": [[], [0.2, 0.8]]}, r"the cells of label, such as \[0.2, 0.8\], may be labels of several kinds"),
        (
            {"a": ["x"], "b": ["1"]},
            "the cells of a, b, such as x, may be labels of several kinds: say --task multi_label",
        ),
    ],
)
def test_what_is_not_certain_is_asked(columns: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        detect(columns)
