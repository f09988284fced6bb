"""Suggest columns and the task of a data set, only where they are certain."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from textmix.data.cells import NESTED, as_string

# Rows that are read to learn what a column holds.
SAMPLE = 10_000
_TEXT_NAMES = ("text", "tokens")
_LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "tags",
    "ner_tags",
    "sentiment",
    "stars",
    "rating",
    "score",
)
# A comma also separates the words of a name.
_SEPARATORS = ("|", ";")
# Beyond this many different numbers, they are measured rather than counted.
_FEW = 20


class Suggestion(NamedTuple):
    """What the labels of a data set probably are.

    Args:
        task: `single_label`, `multi_label`, `regression` or `token_classification`.
        reason: Why, in a few words.
        separator: What separates the names of several labels in a string; None if nothing does.
    """

    task: str
    reason: str
    separator: str | None = None


def suggest_task(dataset: Dataset, label_columns: Sequence[str]) -> Suggestion | None:
    """Suggest the task that labels are made for.

    Args:
        dataset: Rows as `load_source` returns them; at most `SAMPLE` of them are read.
        label_columns: One or more columns of labels.

    Returns:
        The suggestion; None if it is not certain.
    """
    columns = [sample(dataset, name) for name in label_columns]
    if len(columns) > 1:
        return _of_several([[as_string(value).strip() for value in column] for column in columns])
    values = columns[0]
    if any(isinstance(value, list) for value in values):
        return _of_lists(dataset, label_columns[0], [value for value in values if value is not None])
    strings = [text for value in values if not isinstance(value, dict) and (text := as_string(value).strip())]
    return _of_strings(strings) if strings else None


def suggest_columns(dataset: Dataset) -> tuple[str | None, list[str]]:
    """Suggest the text column, the one of the longest strings, and the label columns, of which there may be none."""
    values = {name: sample(dataset, name, 1000) for name in dataset.column_names}
    lengths = {
        name: sum(len(value) for value in column if isinstance(value, str)) / len(column)
        for name, column in values.items()
        if any(isinstance(value, str) for value in column)
    }
    text = next((name for name in _TEXT_NAMES if name in values), None)
    text = text or max(lengths, key=lambda name: lengths[name], default=None)
    rest = {name: [as_string(value) for value in column] for name, column in values.items() if _is_flat(column)}
    rest.pop(text or "", None)
    for name in _LABEL_NAMES:
        if name in values and name != text:
            return text, [name]
    shares = [name for name, column in rest.items() if _numbers(column) and all(0 <= x <= 1 for x in _numbers(column))]
    if len(shares) > 1 and _of_several([rest[name] for name in shares]) is not None:
        return text, shares
    few = {name: len({*column}) for name, column in rest.items() if 1 < len({*column}) <= len(column) / 2}
    return text, [min(few, key=lambda name: few[name])] if few else []


def sample(dataset: Dataset, name: str, most: int = SAMPLE) -> list[Any]:
    """Read the first values of a column; JSON text of lists and objects becomes lists and objects."""
    field, feature = dataset.data.schema.field(name), dataset.features[name]
    values = dataset.select_columns([name])[:most][name]
    if NESTED.encode() in (field.metadata or {}):
        return [json.loads(value) if value is not None else None for value in values]
    if hasattr(feature, "int2str"):
        return [feature.int2str(value) if value is not None and value >= 0 else None for value in values]
    return list(values)


def _is_flat(values: list[Any]) -> bool:
    return not any(isinstance(value, list | dict | bytes) for value in values)


def _of_several(columns: list[list[str]]) -> Suggestion | None:
    numbers = [_numbers(column) for column in columns]
    if not all(numbers):
        return None
    if all(number in (0, 1) for column in numbers for number in column):
        return Suggestion("multi_label", f"{len(columns)} columns of 0 and 1")
    if all(len(column) == len(columns[0]) for column in numbers):
        sums = [sum(row) for row in zip(*numbers, strict=True)]
        if all(abs(total - 1) < 0.02 for total in sums) and min(map(min, numbers)) >= 0:
            return Suggestion("single_label", f"probabilities of {len(columns)} classes, which add up to 1")
    if any(number % 1 for column in numbers for number in column):
        return Suggestion("regression", f"{len(columns)} columns of numbers")
    return None


def _of_lists(dataset: Dataset, label: str, lists: list[Any]) -> Suggestion | None:
    kinds = {type(one) for value in lists if isinstance(value, list) for one in value}
    if not all(isinstance(value, list) for value in lists) or not kinds <= {str, int}:
        return None
    lengths = [len(value) for value in lists]
    for name in dataset.column_names:
        other = sample(dataset, name) if name != label else []
        if any(lengths) and [len(value) if isinstance(value, list) else -1 for value in other] == lengths:
            return Suggestion("token_classification", f"as many labels in each list as tokens in '{name}'")
    return Suggestion("multi_label", "lists of labels") if kinds <= {str} else None


def _of_strings(labels: list[str]) -> Suggestion | None:
    numbers = _numbers(labels)
    count = len({*labels})
    if any(number % 1 for number in numbers):
        many = count > _FEW and 2 * count > len(labels)
        return Suggestion("regression", f"{count} different numbers in {len(labels)} rows") if many else None
    for separator in () if numbers else _SEPARATORS:
        names = Counter(name.strip() for label in labels for name in label.split(separator))
        if any(separator in label for label in labels) and len(names) < count and min(names.values()) > 1:
            return Suggestion("multi_label", f"{len(names)} labels, joined by '{separator}'", separator)
    if count > 1 and 2 * count <= len(labels):
        return Suggestion("single_label", f"{count} different labels in {len(labels)} rows")
    return None


def _numbers(values: list[str]) -> list[float]:
    """Return the numbers of a column without its empty cells; nothing if any cell is something else."""
    filled = pa.array([value for value in values if value], pa.string())
    try:
        found: list[float] = pc.cast(filled, pa.float64()).to_pylist()
    except pa.ArrowInvalid:
        return []
    return found if all(number - number == 0 for number in found) else []  # nan and inf are words
