"""Check a data set as a person would: counts, lengths, duplicates, labels that look wrong, damaged texts."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as types
from datasets import Dataset

from textmix.data.cells import as_string, is_nested
from textmix.data.columns import TextColumn
from textmix.data.readers.header import HEAD, first_cell_of_data
from textmix.data.standardize import LABEL, text_columns
from textmix.data.suggest import SAMPLE, Suggestion, sample
from textmix.errors import listed

# UTF-8 that was read as cp1252 or latin-1, and bytes that were replaced.
_DAMAGE = re.compile("[ÃÂÐÑ][\u0080-\u00bf]|â€|ðŸ|ï»¿|\ufffd")
_MISSING = {"nan", "n/a", "na", "#n/a", "null", "none", "nil", "-", "?"}
_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\s\u3040-\u30ff\u3400-\u9fff]+")
_BLOCK = 10_000

# Counts tokens: takes N texts and perhaps N second texts.
Lengths = Callable[[list[str], list[str] | None], list[int]]


@dataclass(frozen=True)
class Measure:
    """How lengths are measured.

    Args:
        unit: What is counted, for people.
        lengths: Counts.
        limit: The length at which a model cuts; None if it is not known.
    """

    unit: str
    lengths: Lengths
    limit: int | None = None


@dataclass
class DataReport:
    """What was found. Counts are of rows unless they say otherwise.

    Args:
        rows: Number of rows.
        columns: For each column its `type` and the share of rows in which it is `filled`.
        text_columns: The columns that were checked as texts.
        label_columns: The columns that were checked as labels.
        classes: Labels and their rows, the most frequent first: of several columns those that are not 0, or the largest
            if they are probabilities. Empty for numbers.
        lengths: `unit`, `rows` (that were measured), `median`, `p95` and `longest`; with a limit `limit` and the share
            `cut`.
        empty_texts: Rows without a text.
        empty_labels: Rows without a label.
        duplicates: Rows whose text an earlier row has.
        contradictions: Rows whose text an earlier row has under another label.
        similar_labels: Groups of labels that differ in case or surrounding spaces alone.
        missing_names: Labels that are named like a missing value.
        damaged: Rows whose text looks as if it had been read in the wrong encoding.
        header: A cell of the first line that looks like data; None if the header looks like one.
        task: The suggested task; None if none is certain.
        reason: Why this task.
        options: Suggested options, as on the command line.
        recipe: A suggested recipe with its options; None where the defaults are meant for such data.
    """

    rows: int = 0
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    text_columns: list[str] = field(default_factory=list)
    label_columns: list[str] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, Any] = field(default_factory=dict)
    empty_texts: int = 0
    empty_labels: int = 0
    duplicates: int = 0
    contradictions: int = 0
    similar_labels: list[list[str]] = field(default_factory=list)
    missing_names: list[str] = field(default_factory=list)
    damaged: int = 0
    header: str | None = None
    task: str | None = None
    reason: str | None = None
    options: list[str] = field(default_factory=list)
    recipe: str | None = None

    def warnings(self) -> list[str]:
        """Return what is probably wrong, a line each."""
        found = [
            (
                self.header,
                f"the first line has '{self.header}', which looks like data: --data.columns names the columns",
            ),
            (self.empty_texts, f"{self.empty_texts} rows have no text"),
            (self.empty_labels, f"{self.empty_labels} rows have no label"),
            (self.duplicates, f"{self.duplicates} rows repeat the text of an earlier row"),
        ]
        lines = [line for wrong, line in found if wrong]
        return [*lines, *_row_lines(self.contradictions, self.damaged), *name_warnings(self.classes)]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self) | {"warnings": self.warnings()}


def check_data(
    dataset: Dataset, text: list[str], labels: list[str], measure: Measure, suggestion: Suggestion | None
) -> DataReport:
    """Check rows.

    Args:
        dataset: Rows as `load_source` returns them.
        text: Text columns, at least one.
        labels: Label columns; may be empty.
        measure: How lengths are measured, on at most `SAMPLE` rows.
        suggestion: What the labels are, if that is known.
    """
    report = DataReport(dataset.num_rows, text_columns=text, label_columns=labels)
    report.columns = {name: _column(dataset, name) for name in dataset.column_names}
    if suggestion is not None:
        report.task, report.reason = suggestion.task, suggestion.reason
    if dataset.builder_name in ("csv", "tsv", "xlsx"):
        report.header = first_cell_of_data(dataset[:HEAD])
    separator = suggestion.separator if suggestion is not None else None
    classes: Counter[str] = Counter()
    seen: dict[int, int] = {}
    for start in range(0, dataset.num_rows, _BLOCK):
        block = dataset.select(range(start, min(start + _BLOCK, dataset.num_rows)))
        texts = [" ".join(row) for row in zip(*(_strings(block, name) for name in text), strict=True)]
        of_rows = _labels(block, labels, report.task, separator)
        classes.update(name for names in of_rows for name in names)
        report.empty_texts += sum(not one.strip() for one in texts)
        report.empty_labels += sum(not names for names in of_rows) if labels and _must_have_label(report) else 0
        report.damaged += sum(_DAMAGE.search(one) is not None for one in texts)
        _count_repeated(report, seen, texts, of_rows)
    report.classes = dict(classes.most_common()) if report.task != "regression" else {}
    report.similar_labels = similar_names(report.classes)
    report.missing_names = missing_names(report.classes)
    report.lengths = _measured(dataset, text, measure)
    return report


def row_warnings(rows: Dataset) -> list[str]:
    """Return what is probably wrong with standard rows, a line each; reads at most `SAMPLE` rows."""
    report = DataReport()
    taken = range(min(rows.num_rows, SAMPLE))
    texts = [" ".join(parts) for parts in zip(*(column.take(taken) for column in text_columns(rows)), strict=True)]
    _count_repeated(report, {}, texts, [[label] for label in TextColumn(rows, LABEL).take(taken)])
    return _row_lines(report.contradictions, sum(_DAMAGE.search(text) is not None for text in texts))


def name_warnings(names: Iterable[str]) -> list[str]:
    """Return what is probably wrong with the names of labels, a line each."""
    given = [*names]
    missing = missing_names(given)
    lines = [f"labels named like a missing value: {listed(missing)}"] if missing else []
    similar = [" and ".join(map(repr, group)) for group in similar_names(given)]
    if similar:
        hint = "--data.lowercase_labels true makes them one"
        lines.append(f"labels that differ in case or spaces alone: {listed(similar, 5)}; {hint}")
    return lines


def _row_lines(contradictions: int, damaged: int) -> list[str]:
    lines = [f"{contradictions} rows have the text of an earlier row, but another label"] if contradictions else []
    if damaged:
        lines.append(f"{damaged} rows look as if they had been read in the wrong encoding, as in Ã©")
    return lines


def count_words(texts: list[str], pairs: list[str] | None) -> list[int]:
    """Count words: what spaces separate, and each Chinese or Japanese character."""
    joined = texts if pairs is None else map(" ".join, zip(texts, pairs, strict=True))
    return [len(_WORD.findall(text)) for text in joined]


def _must_have_label(report: DataReport) -> bool:
    """A row of a multi-label task may have no label at all."""
    return report.task != "multi_label"


def _column(dataset: Dataset, name: str) -> dict[str, Any]:
    column = dataset.data.column(name)
    filled = len(column) - column.null_count
    if types.is_string(column.type):
        filled = sum(bool(value and value.strip()) for chunk in column.chunks for value in chunk.to_pylist())
    kind = "list or object" if is_nested(dataset.data.schema, name) else _kind(dataset, column.type, name)
    return {"type": kind, "filled": filled / max(1, dataset.num_rows)}


def _kind(dataset: Dataset, kind: pa.DataType, name: str) -> str:
    if hasattr(dataset.features[name], "int2str"):
        return "class"
    return "string" if types.is_string(kind) or types.is_large_string(kind) else str(kind)


def _strings(block: Dataset, name: str) -> list[str]:
    values = sample(block, name)
    return [" ".join(map(str, value)) if isinstance(value, list) else _spelt(value) for value in values]


def _spelt(value: Any) -> str:
    return str(value) if isinstance(value, dict | bytes) else as_string(value)


def _labels(block: Dataset, columns: list[str], task: str | None, separator: str | None) -> list[list[str]]:
    """Return the labels of each row: none, one, or several."""
    if len(columns) > 1:
        rows = [*zip(*(_strings(block, name) for name in columns), strict=True)]
        if task == "single_label":  # probabilities: the likeliest class
            return [[columns[int(np.argmax([float(value or 0) for value in row]))]] for row in rows]
        return [[name for name, value in zip(columns, row, strict=True) if value not in ("", "0")] for row in rows]
    values = sample(block, columns[0]) if columns else [None] * block.num_rows
    found: list[list[str]] = []
    for value in values:
        names = value if isinstance(value, list) else [_spelt(value)]
        if separator is not None:
            names = [part for name in names for part in str(name).split(separator)]
        found.append([str(name) for name in names if str(name).strip()])
    return found


def _count_repeated(report: DataReport, seen: dict[int, int], texts: list[str], labels: Iterable[list[str]]) -> None:
    """Count repeated texts; `seen` holds a hash of the labels for the hash of each text."""
    for text, names in zip(texts, labels, strict=True):
        if text.strip():
            key, label = hash(text), hash(tuple(sorted(names)))
            report.duplicates += key in seen
            report.contradictions += seen.setdefault(key, label) != label


def missing_names(names: Iterable[str]) -> list[str]:
    """Return the names that are written like a missing value, such as `nan`."""
    return [name for name in names if name.strip().lower() in _MISSING]


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ in case or surrounding spaces alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.strip().casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _measured(dataset: Dataset, text: list[str], measure: Measure) -> dict[str, Any]:
    step = -(-dataset.num_rows // SAMPLE)
    rows = dataset.select(range(0, dataset.num_rows, step))
    first, *pairs = (_strings(rows, name) for name in text)
    second = [" ".join(parts) for parts in zip(*pairs, strict=True)] if pairs else None
    lengths = np.array(measure.lengths(first, second))
    found: dict[str, Any] = {"unit": measure.unit, "rows": len(lengths)}
    found |= {"median": int(np.median(lengths)), "p95": int(np.quantile(lengths, 0.95)), "longest": int(lengths.max())}
    if measure.limit is not None:
        found |= {"limit": measure.limit, "cut": float((lengths > measure.limit).mean())}
    return found
