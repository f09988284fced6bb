"""Any number of labels for each row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, hamming_loss, label_ranking_loss

from textmix.data.cells import as_lists, as_string, as_strings, is_nested
from textmix.data.label_format import Array, Labels, Strata
from textmix.errors import DataError
from textmix.evaluation.calibration import (
    calibration_intervals,
    expected_calibration_error,
    fit_temperature,
    log_losses,
    scale,
    two_classes,
)
from textmix.evaluation.tables import Table
from textmix.evaluation.thresholds import THRESHOLD, best_threshold
from textmix.tasks.base import LABEL, PREDICTION, PROBABILITY, Columns, LabelSpace, Task, names_after, names_of
from textmix.tasks.class_report import check_names, class_report, class_report_text, class_table
from textmix.tasks.numbers import parse_numbers
from textmix.tasks.single_label import CONFIDENCE, MOST_CLASSES, in_order

if TYPE_CHECKING:
    from torch import Tensor

# Between the names of several labels in files that are written.
SEPARATOR = "|"


@dataclass(frozen=True)
class LabelSet(LabelSpace):
    """L labels, of which each row has any number.

    Targets are 0 or 1 for each label, shape (N, L), float32. Outputs are probabilities of each label, shape (N, L).

    Args:
        thresholds: From which probability each label is predicted, shape (L,), or (N, L) for the rows of several
            models; empty means 0.5 for all.
    """

    thresholds: list[Any] = field(default_factory=list)

    task: ClassVar = "multi_label"
    problem_type: ClassVar = "multi_label_classification"
    has_classes: ClassVar = True
    headline: ClassVar = ("micro_f1", "macro_f1", "nll")

    def extras(self) -> dict[str, Any]:
        return {"thresholds": self.thresholds}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        return cls(names_of(config), list(getattr(config, "thresholds", None) or []))

    def of_rows(self, spaces: Sequence[LabelSpace]) -> Self:
        return replace(self, thresholds=_thresholds(spaces)) if any(map(_is_tuned, spaces)) else self

    def averaged(self, spaces: Sequence[LabelSpace]) -> Self:
        if not any(map(_is_tuned, spaces)):
            return self
        return replace(self, thresholds=np.mean(_thresholds(spaces), axis=0).tolist())

    def known(self, labels: Labels) -> Array:
        names = set(self.names)
        known = [names.issuperset(json.loads(label)) for label in labels.dictionary.to_pylist()]
        return np.asarray(np.array(known, dtype=bool)[labels.indices.to_numpy()])

    def encode(self, labels: Labels) -> Array:
        return _indicators(labels, self.names).astype(np.float32)

    def counts(self, targets: Array) -> list[int]:
        counts: list[int] = targets.sum(axis=0).astype(int).tolist()
        return counts

    def balanced_weights(self, targets: Array) -> list[float] | None:
        """Return rows without each label / rows with it; 1 for a label that no row has."""
        present = targets.sum(axis=0)
        weights: list[float] = np.where(present > 0, (len(targets) - present) / np.maximum(present, 1), 1.0).tolist()
        return weights

    def outputs(self, logits: "Tensor") -> Array:
        return logits.double().sigmoid().numpy()

    def decide(self, outputs: Array) -> Array:
        """Return which labels are predicted, shape (N, L), bool."""
        return np.asarray(outputs >= self._every_threshold)

    def borderline(self, outputs: Array, width: float) -> Array:
        return np.asarray((np.abs(outputs - self._every_threshold) < width / 2).any(axis=1))

    @property
    def _every_threshold(self) -> Array:
        return np.array(self.thresholds or [THRESHOLD] * len(self.names))

    def tuned(self, targets: Array, outputs: Array) -> Self:
        """Return the label space with the threshold of each label at which its F1 is highest.

        Args:
            targets: Targets of rows that the model was not trained on; of the thresholds that are equally good, the
                middle of those nearest to 0.5 is taken.
            outputs: Their outputs.
        """
        columns = zip(targets.T.astype(bool), outputs.T, strict=True)
        return replace(self, thresholds=[best_threshold(present, values) for present, values in columns])

    def scores(self, targets: Array, outputs: Array) -> dict[str, float]:
        """Score probabilities.

        Returns:
            F1 averaged in four ways (`micro_f1`, `macro_f1`, `weighted_f1`, `samples_f1`), 0 where nothing is true and
            nothing predicted, as by default in scikit-learn; the share of rows whose labels are all right
            (`subset_accuracy`); the share of wrong decisions (`hamming_loss`); the average precision, averaged
            over the labels that occur (`mean_average_precision`); the share of pairs of labels in the wrong order
            (`ranking_loss`); the mean negative log-likelihood of a decision (`nll`) and the calibration error of its
            probability (`ece`).
        """
        decided, true = self.decide(outputs), targets.astype(bool)
        scores = {
            f"{average}_f1": f1_score(true, decided, average=average, zero_division=0)
            for average in ("micro", "macro", "weighted", "samples")
        }
        occurring = true.any(axis=0)
        precision = average_precision_score(true[:, occurring], outputs[:, occurring]) if occurring.any() else 0.0
        return {
            **{name: float(value) for name, value in scores.items()},
            "subset_accuracy": float(accuracy_score(true, decided)),
            "hamming_loss": float(hamming_loss(true, decided)),
            "mean_average_precision": float(precision),
            "ranking_loss": float(label_ranking_loss(true, outputs)),
            "nll": float(log_losses(*_decisions(true, outputs)).mean()),
            "ece": expected_calibration_error(*_decisions(true, outputs)),
        }

    def intervals(self, targets: Array, outputs: Array) -> dict[str, list[float]]:
        """Return the 95 % intervals of `nll` and `ece` over rows."""
        return calibration_intervals(*_decisions(targets.astype(bool), outputs), decisions=len(self.names))

    def temperatures(self, targets: Array, outputs: Array) -> list[float]:
        """Fit a temperature for each label."""
        pairs = zip(targets.T.astype(int), outputs.T, strict=True)
        return [fit_temperature(true, two_classes(values)) for true, values in pairs]

    def scaled(self, outputs: Array, temperatures: Sequence[float]) -> Array:
        columns = zip(outputs.T, temperatures, strict=True)
        return np.stack([scale(two_classes(values), temperature)[:, 1] for values, temperature in columns], axis=1)

    def report(self, targets: Array, outputs: Array) -> dict[str, Any]:
        """Return scikit-learn's `classification_report` as a dictionary."""
        return class_report(targets.astype(bool), self.decide(outputs), self.names)

    def report_text(self, targets: Array, outputs: Array) -> str:
        """Return scikit-learn's `classification_report` as text."""
        return class_report_text(targets.astype(bool), self.decide(outputs), self.names)

    def report_sections(self, targets: Array, outputs: Array) -> list[str]:
        table = class_table("label", self.names, self.report(targets, outputs))
        thresholds = np.atleast_2d(self._every_threshold).mean(axis=0)
        rows = [(*row, f"{threshold:.3f}") for row, threshold in zip(table.rows, thresholds, strict=True)]
        return ["## Labels", Table((*table.header, "threshold"), rows).markdown()]

    @property
    def output_columns(self) -> list[str]:
        return [PREDICTION, *(f"{PROBABILITY}{name}" for name in self.names)]

    @property
    def target_columns(self) -> list[str]:
        return [LABEL]

    @classmethod
    def from_columns(cls, columns: list[str]) -> Self | None:
        names = names_after(PROBABILITY, columns)
        return cls(names) if names and CONFIDENCE not in columns else None

    def write_outputs(self, outputs: Array) -> Columns:
        """Return `prediction` (names joined by `|`), and `probability_<label>` for each label."""
        return dict(zip(self.output_columns, [self._joined(self.decide(outputs)), *outputs.T.tolist()], strict=True))

    def write_targets(self, targets: Array) -> Columns:
        """Return `label`, the names joined by `|`."""
        return {LABEL: self._joined(targets.astype(bool))}

    def _joined(self, present: Array) -> list[str]:
        return [SEPARATOR.join(self.names[number] for number in np.flatnonzero(row)) for row in present]

    def read_outputs(self, table: pd.DataFrame) -> Array:
        return table[self.output_columns[1:]].to_numpy(dtype=np.float64)

    def read_targets(self, table: pd.DataFrame) -> Array:
        rows = [set(cell.split(SEPARATOR)) - {""} for cell in table[LABEL]]
        if not all(row <= set(self.names) for row in rows):
            raise ValueError("it has labels without a column of probabilities")
        return np.array([[name in row for name in self.names] for row in rows], dtype=np.float32)


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels for each row: 0/1 columns, lists, or names joined by a separator."""

    space: ClassVar = LabelSet
    nested: ClassVar = True

    def read(self, table: pa.Table, features: Mapping[str, Any], where: str) -> pa.Array:
        if len(self.columns) > 1:
            return self._read_indicators(table, where)
        [name] = self.columns
        column = table.column(name)
        if self.separator is not None:
            cells = as_strings(column, features[name]).to_pylist()
            return self._written([cell.split(self.separator) for cell in cells])
        if is_nested(table.schema, name):
            return self._written([row or [] for row in as_lists(column, features[name], where)])
        raise DataError(
            f"{where}: column '{name}' holds one string a row; for several labels say what separates them, as in"
            " --data.label_separator '|', or name a 0/1 column for each label, as in --data.label_column '[a,b]'"
        )

    def _read_indicators(self, table: pa.Table, where: str) -> pa.Array:
        numbers = parse_numbers(table.select(self.columns), where)
        wrong = np.argwhere(~np.isnan(numbers) & (numbers != 0) & (numbers != 1))
        if len(wrong):
            row, place = wrong[0]
            raise DataError(
                f"{where}: row {row + 1} of column '{self.columns[place]}' holds {numbers[row, place]:g}; columns of"
                " multi_label hold 0 or 1 (probabilities are --task single_label, numbers --task regression)"
            )
        present = [[self.columns[place] for place in np.flatnonzero(row)] for row in numbers == 1]
        written = self._written(present).to_pylist()
        missing: Array = np.asarray(np.isnan(numbers).any(axis=1))
        return pa.array(["" if gap else label for label, gap in zip(written, missing, strict=True)], pa.string())

    def _written(self, rows: list[list[Any]]) -> pa.Array:
        cells = []
        for row in rows:
            names = {as_string(name).strip() for name in row} - {""}
            names = {name.lower() for name in names} if self.lowercase else names
            cells.append(json.dumps(sorted(names), ensure_ascii=False))
        return pa.array(cells, pa.string())

    def strata(self, labels: Labels) -> Strata:
        names = sorted(self._names(labels))
        return Strata.of_labels(_indicators(labels, names), names)

    def _names(self, labels: Labels) -> set[str]:
        found = {name for label in labels.dictionary.to_pylist() for name in json.loads(label)}
        declared = [name.lower() if self.lowercase else name for name in self.columns]
        return found | set(declared if len(self.columns) > 1 else [])

    def fit(self, everything: Labels, train: Labels, where: str) -> LabelSet:
        """Collect the labels, in numeric order if all are integers, else in alphabetical order.

        Raises:
            DataError: If there are fewer than two labels or more than 10 000, or a name holds `|`.
        """
        names = self._names(everything)
        check_names(names, where)
        if len(names) < 2:
            found = f"the only label is '{min(names)}'" if names else "no row has a label"
            raise DataError(f"{where}: {found}; multi_label needs at least two labels")
        if len(names) > MOST_CLASSES:
            raise DataError(f"{where}: {len(names)} labels; there may be at most {MOST_CLASSES}")
        joined = sorted(name for name in names if SEPARATOR in name)
        if joined:
            raise DataError(
                f"{where}: the label '{joined[0]}' holds '{SEPARATOR}', which separates labels in files of predictions;"
                f" rename it, or split it with --data.label_separator '{SEPARATOR}'"
            )
        return LabelSet(in_order(names))


def _is_tuned(space: LabelSpace) -> bool:
    return isinstance(space, LabelSet) and bool(space.thresholds)


def _thresholds(spaces: Sequence[LabelSpace]) -> list[list[float]]:
    """Return the thresholds of each label space, with 0.5 where they are not tuned."""
    sets = [space for space in spaces if isinstance(space, LabelSet)]
    return [space._every_threshold.tolist() for space in sets]


def _indicators(labels: Labels, names: list[str]) -> Array:
    """Return which of L labels each of N rows has, shape (N, L), bool."""
    places = {name: place for place, name in enumerate(names)}
    present = np.zeros((len(labels.dictionary), len(names)), dtype=bool)
    for row, label in enumerate(labels.dictionary.to_pylist()):
        present[row, [places[name] for name in json.loads(label) if name in places]] = True
    return np.asarray(present[labels.indices.to_numpy()])


def _decisions(true: Array, outputs: Array) -> tuple[Array, Array]:
    """Return the labels of N rows as N * L decisions between two classes, and the probabilities of these."""
    return true.reshape(-1).astype(np.int8), two_classes(outputs.reshape(-1))
