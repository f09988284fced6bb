"""Bring the rows of any source to one shape: strings in `text`, `text_pair` and `label`, nothing missing."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from textmix.errors import DataError, nearest

# What scikit-learn's classification_report puts beside the classes.
_REPORT_KEYS = {"accuracy", "micro avg", "macro avg", "weighted avg", "samples avg"}
TEXT, PAIR, LABEL = "text", "text_pair", "label"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Args:
        text: One column, or several: the second and further ones become the second sentence of a pair.
        label: Column of the class; None for data to predict.
        drop_missing: Leave out rows with an empty or missing text or label instead of stopping.
    """

    text: list[str]
    label: str | None
    drop_missing: bool = False


def standardize(dataset: Dataset, columns: Columns, where: str) -> tuple[Dataset, int]:
    """Select and rename columns, turn values into strings, and see to missing ones.

    Args:
        dataset: Rows as they were read.
        columns: Which columns hold what.
        where: Name of the source, for errors.

    Returns:
        The rows with the columns `text`, `text_pair` (if there are several text columns) and `label` (if asked for),
        and the number of rows left out.

    Raises:
        DataError: If a column is missing (naming the columns there are), or values are and `drop_missing` is off.
    """
    check_columns(dataset, columns, where)
    parts = [_as_strings(dataset, name) for name in columns.text]
    rows = join_texts(parts)
    problems: list[str] = []
    missing: set[int] = set()
    for name, values in [*zip(columns.text, parts, strict=True), *_labels(dataset, columns, rows)]:
        empty = [number for number, value in enumerate(values) if not value.strip()]
        # Of a pair one sentence may be empty; a row without any text may not.
        if len(parts) > 1 and name in columns.text:
            empty = [number for number in empty if not any(part[number].strip() for part in parts)]
        if empty and not missing.issuperset(empty):
            problems.append(f"{len(empty)} of {len(values)} rows have an empty or missing '{name}'")
            problems[-1] += f" (the first is row {empty[0] + 1})"
        missing.update(empty)
    if missing and not columns.drop_missing:
        raise DataError(f"{where}: {'; '.join(problems)}; mend them, or leave them out with --data.drop_missing true")
    standard = Dataset.from_dict(rows, features=Features({name: Value("string") for name in rows}))
    if missing:
        standard = standard.select([number for number in range(len(standard)) if number not in missing])
        if standard.num_rows == 0:
            raise DataError(f"{where}: no rows are left: every text or label is empty or missing")
    return standard, len(missing)


def check_columns(dataset: Dataset, columns: Columns, where: str) -> None:
    """Fail early when a column is missing.

    Raises:
        DataError: Names the columns there are.
    """
    for name in [*columns.text, *([columns.label] if columns.label is not None else [])]:
        if name not in dataset.column_names:
            option = "data.label_column" if name == columns.label else "data.text_column"
            raise DataError(
                f"{where}: no column '{name}' ({option}); it has {', '.join(dataset.column_names)}"
                f"{nearest(name, dataset.column_names)}"
            )


def join_texts(parts: list[list[str]]) -> dict[str, list[str]]:
    """Lay one or several text columns out as `text` and, if there are several, `text_pair`."""
    rows = {TEXT: parts[0]}
    if len(parts) > 1:
        rows[PAIR] = [" ".join(values) for values in zip(*parts[1:], strict=True)]
    return rows


def _labels(dataset: Dataset, columns: Columns, rows: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    if columns.label is None:
        return []
    rows[LABEL] = [value.strip() for value in _as_strings(dataset, columns.label)]
    return [(columns.label, rows[LABEL])]


def _as_strings(dataset: Dataset, name: str) -> list[str]:
    feature = dataset.features[name]
    values: list[Any] = dataset[name][:]
    if isinstance(feature, ClassLabel):  # a hub data set's integers have names; -1 marks a missing one
        return ["" if value is None or value < 0 else feature.int2str(value) for value in values]
    return [as_string(value) for value in values]


def as_string(value: Any) -> str:
    """Turn a cell into a string; a missing one into the empty string.

    Raises:
        DataError: If it is neither a string nor a number.
    """
    if value is None or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():  # integers beside missing values are read as floats
        return str(int(value))
    if isinstance(value, str | int | float | date):  # the JSON reader makes dates of what looks like one
        return str(value)
    raise DataError(f"a text or label is a {type(value).__name__}, not a string or a number: {str(value)[:60]}")


def class_names(labels: list[str], where: str) -> list[str]:
    """List the classes of the training labels: integers in numeric order, else in alphabetical order.

    Raises:
        DataError: If there is only one class.
    """
    names = set(labels)
    taken = names & _REPORT_KEYS
    if taken:
        raise DataError(f"{where}: '{min(taken)}' is a key of the classification report; rename that class")
    if len(names) < 2:
        raise DataError(f"{where}: all {len(labels)} labels are '{labels[0]}'; a classifier needs at least two classes")
    if all(re.fullmatch("-?[0-9]+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def encode_labels(labels: list[str], names: list[str], where: str) -> list[int]:
    """Turn class names into ids.

    Raises:
        DataError: If a label is none of the classes seen in training.
    """
    ids = {name: number for number, name in enumerate(names)}
    unseen = Counter(label for label in labels if label not in ids)
    if unseen:
        shown = ", ".join(f"'{label}' ({count} rows)" for label, count in unseen.most_common(5))
        raise DataError(
            f"{where}: {len(unseen)} labels that training never saw: {shown}; the classes are {', '.join(names)}"
        )
    return [ids[label] for label in labels]
