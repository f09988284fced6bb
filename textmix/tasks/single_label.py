"""One class for each row, or probabilities of the classes (soft labels)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from textmix.data.cells import as_lists, as_strings, is_nested
from textmix.data.label_format import Array, Labels, Strata
from textmix.errors import DataError, listed
from textmix.evaluation.calibration import (
    calibration_intervals,
    expected_calibration_error,
    fit_temperature,
    log_losses,
    scale,
)
from textmix.evaluation.coverage import Coverage, coverage_curve, coverage_table
from textmix.evaluation.intervals import share_interval
from textmix.evaluation.tables import Table
from textmix.tasks.base import LABEL, PREDICTION, PROBABILITY, Columns, LabelSpace, Task, names_after
from textmix.tasks.class_report import check_names, class_report, class_report_text, class_table
from textmix.tasks.numbers import parse_numbers
from textmix.tasks.soft_labels import are_soft, read_soft, write_soft

if TYPE_CHECKING:
    from torch import Tensor

# Reports have a line and predictions a column for each class; beyond this they are of no use.
MOST_CLASSES = 10_000
_FEW_CLASSES = 100
CONFIDENCE = "confidence"
UNKNOWN = -1


@dataclass(frozen=True)
class Classes(LabelSpace):
    """C classes, of which each row has one.

    Targets are class ids, shape (N,), -1 for a class that training never saw, or probabilities of the classes, shape
    (N, C). Outputs are probabilities, shape (N, C).
    """

    task: ClassVar = "single_label"
    problem_type: ClassVar = "single_label_classification"
    has_classes: ClassVar = True
    marks_unknown: ClassVar = True
    headline: ClassVar = ("accuracy", "macro_f1", "nll")

    def known(self, labels: Labels) -> Array:
        if are_soft(labels):
            return np.ones(len(labels), dtype=bool)
        found = self._find(labels.dictionary)
        return np.asarray((found != UNKNOWN)[labels.indices.to_numpy()])

    def encode(self, labels: Labels) -> Array:
        codes = labels.indices.to_numpy()
        if are_soft(labels):
            rows = np.array([json.loads(label) for label in labels.dictionary.to_pylist()], dtype=np.float64)
            return np.asarray(rows[codes])
        found = self._find(labels.dictionary)
        # The smallest type that holds all classes: labels of large data stay in memory.
        return np.asarray(found.astype(np.min_scalar_type(-len(self.names)))[codes])

    def _find(self, dictionary: pa.Array) -> Array:
        """Return the class id of each string, -1 where there is none."""
        found = pc.index_in(dictionary, value_set=pa.array(self.names, pa.string()))
        return np.asarray(found.fill_null(UNKNOWN).to_numpy())

    def counts(self, targets: Array) -> list[int]:
        hard = _hard(targets)
        counts: list[int] = np.bincount(hard[hard >= 0], minlength=len(self.names)).tolist()
        return counts

    def outputs(self, logits: "Tensor") -> Array:
        return logits.double().softmax(dim=-1).numpy()

    def borderline(self, outputs: Array, width: float) -> Array:
        second, first = np.partition(outputs, -2, axis=1)[:, -2:].T
        return np.asarray(first - second < width)

    def scores(self, targets: Array, outputs: Array) -> dict[str, float]:
        """Score probabilities.

        Returns:
            `accuracy`; F1 averaged in three ways over all classes, including absent ones (`macro_f1`, `micro_f1`,
            `weighted_f1`); the mean negative log-likelihood (`nll`); the expected calibration error (`ece`). Rows of an
            unknown class count as wrong in the first four, and are left out of the others. Against probabilities,
            `nll` is the cross-entropy, and the others compare with the most likely class.
        """
        hard, predicted = _hard(targets), outputs.argmax(axis=1)
        averages = {
            f"{average}_f1": f1_score(hard, predicted, labels=self._ids, average=average, zero_division=0)
            for average in ("macro", "micro", "weighted")
        }
        scores = {"accuracy": float(accuracy_score(hard, predicted))}
        scores |= {name: float(value) for name, value in averages.items()}
        known = hard != UNKNOWN
        if known.any():
            scores["nll"] = float(log_losses(targets[known], outputs[known]).mean())
            scores["ece"] = expected_calibration_error(hard[known], outputs[known])
        return scores

    def intervals(self, targets: Array, outputs: Array) -> dict[str, list[float]]:
        """Return the 95 % intervals of `accuracy`, `nll` and `ece` over rows."""
        hard = _hard(targets)
        found = {"accuracy": share_interval(hard == outputs.argmax(axis=1))}
        known = hard != UNKNOWN
        return found | (calibration_intervals(targets[known], outputs[known]) if known.any() else {})

    def coverage(self, targets: Array, outputs: Array) -> list[Coverage]:
        return coverage_curve(_hard(targets) == outputs.argmax(axis=1), outputs.max(axis=1))

    def temperatures(self, targets: Array, outputs: Array) -> list[float]:
        """Fit one temperature for all classes; none where targets are probabilities."""
        known = targets != UNKNOWN
        if targets.ndim == 2 or not known.any():
            return []
        return [fit_temperature(targets[known], outputs[known])] * len(self.names)

    def scaled(self, outputs: Array, temperatures: Sequence[float]) -> Array:
        return scale(outputs, temperatures[0])

    @property
    def _ids(self) -> list[int]:
        # Always given: without it, a class that is absent from this split would shift the report.
        return list(range(len(self.names)))

    def report(self, targets: Array, outputs: Array) -> dict[str, Any]:
        """Return scikit-learn's `classification_report` as a dictionary."""
        return class_report(_hard(targets), outputs.argmax(axis=1), self.names)

    def report_text(self, targets: Array, outputs: Array) -> str:
        """Return scikit-learn's `classification_report` as text."""
        return class_report_text(_hard(targets), outputs.argmax(axis=1), self.names)

    def confusion(self, targets: Array, outputs: Array) -> Array:
        """Return the confusion matrix, shape (C, C): rows are true classes, columns are predicted classes."""
        return np.asarray(confusion_matrix(_hard(targets), outputs.argmax(axis=1), labels=self._ids))

    def report_sections(self, targets: Array, outputs: Array) -> list[str]:
        counts = self.confusion(targets, outputs).tolist()
        rows = [(f"**{name}**", *map(str, row)) for name, row in zip(self.names, counts, strict=True)]
        return [
            "## Classes",
            class_table("class", self.names, self.report(targets, outputs)).markdown(),
            "## Coverage",
            "Accuracy on the rows of most confidence: what `textmix predict --abstain` gains by leaving out others.",
            coverage_table(self.coverage(targets, outputs)).markdown(),
            "## Confusion matrix",
            "Rows are true classes, columns are predicted classes.",
            Table(("", *self.names), rows).markdown(),
        ]

    @property
    def output_columns(self) -> list[str]:
        return [PREDICTION, CONFIDENCE, *(f"{PROBABILITY}{name}" for name in self.names)]

    @property
    def target_columns(self) -> list[str]:
        return [LABEL, *(f"{LABEL}_{name}" for name in self.names)]

    @classmethod
    def from_columns(cls, columns: list[str]) -> Self | None:
        return cls(names_after(PROBABILITY, columns)) if CONFIDENCE in columns else None

    def write_outputs(self, outputs: Array) -> Columns:
        """Return `prediction` (class), `confidence` (its probability), and `probability_<class>` for each class."""
        predicted = [self.names[number] for number in outputs.argmax(axis=1)]
        columns = [predicted, outputs.max(axis=1).tolist(), *outputs.T.tolist()]
        return dict(zip(self.output_columns, columns, strict=True))

    def write_targets(self, targets: Array) -> Columns:
        """Return `label`, the class name, empty for an unknown class; for probabilities also `label_<class>`."""
        names = np.array([*self.names, ""], dtype=object)
        columns: Columns = {LABEL: names[_hard(targets)].tolist()}
        if targets.ndim == 2:
            columns |= dict(zip(self.target_columns[1:], targets.T.tolist(), strict=True))
        return columns

    def read_outputs(self, table: pd.DataFrame) -> Array:
        return table[self.output_columns[2:]].to_numpy(dtype=np.float64)

    def read_targets(self, table: pd.DataFrame) -> Array:
        if self.target_columns[1] in table.columns:
            return table[self.target_columns[1:]].to_numpy(dtype=np.float64)
        found = pd.Index(self.names).get_indexer(pd.Index(table[LABEL]))
        if (found < 0).any():
            raise ValueError("it has labels without a column of probabilities")
        return np.asarray(found)


@dataclass(frozen=True)
class SingleLabel(Task):
    """One class for each row in one column, or probabilities of the classes in a column each or in lists."""

    space: ClassVar = Classes
    nested: ClassVar = True

    def read(self, table: pa.Table, features: Mapping[str, Any], where: str) -> pa.Array:
        if len(self.columns) > 1:
            return write_soft(parse_numbers(table.select(self.columns), where), where)
        [name] = self.columns
        if is_nested(table.schema, name):
            return write_soft(read_soft(as_lists(table.column(name), features[name], where), where), where)
        labels = pc.utf8_trim_whitespace(as_strings(table.column(name), features[name]))
        return pc.utf8_lower(labels) if self.lowercase else labels

    def strata(self, labels: Labels) -> Strata:
        dictionary = labels.dictionary
        if are_soft(labels):
            names = self._soft_names(dictionary)
            values = np.array([json.loads(label) for label in dictionary.to_pylist()]).argmax(axis=1)
            return Strata(values[labels.indices.to_numpy()], names)
        ranks = pc.rank(dictionary, sort_keys="ascending").to_numpy().astype(np.int32) - 1
        return Strata(ranks[labels.indices.to_numpy()], sorted(dictionary.to_pylist()))

    def fit(self, everything: Labels, train: Labels, where: str) -> Classes:
        """Collect the classes, in numeric order if all are integers, else in alphabetical order.

        Raises:
            DataError: If there is only one class, or so many that the column cannot hold classes.
        """
        if are_soft(everything):
            return Classes(self._soft_names(everything.dictionary))
        return Classes(class_names(everything, where))

    def _soft_names(self, dictionary: pa.Array) -> list[str]:
        if len(self.columns) > 1:
            return self.columns
        return [str(number) for number in range(len(json.loads(dictionary[0].as_py())))]


def class_names(labels: Labels, where: str) -> list[str]:
    """List the classes of labels, in numeric order if all are integers, else in alphabetical order.

    Raises:
        DataError: If there is only one class, or so many that the column cannot hold classes.
    """
    names = set(labels.dictionary.take(pc.unique(labels.indices)).to_pylist())
    check_names(names, where)
    if len(names) < 2:
        raise DataError(
            f"{where}: all {len(labels)} labels are '{min(names)}'; a classifier needs at least two classes"
        )
    if len(names) > MOST_CLASSES or (len(names) > _FEW_CLASSES and 2 * len(names) > len(labels)):
        raise DataError(
            f"{where}: {len(names)} classes in {len(labels)} rows, such as {listed(sorted(names), 3)}; there may be at"
            f" most {MOST_CLASSES}, and beyond {_FEW_CLASSES} no more than half as many as rows: does"
            " data.label_column hold classes?"
        )
    return in_order(names)


def in_order(names: set[str]) -> list[str]:
    """Sort names by number if all are integers, else alphabetically."""
    if all(re.fullmatch("-?[0-9]+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _hard(targets: Array) -> Array:
    """Return class ids, shape (N,): of probabilities those of the most likely classes."""
    return np.asarray(targets.argmax(axis=1)) if targets.ndim == 2 else targets
