"""One or several numbers for each row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from textmix.data.cells import as_lists, is_nested
from textmix.data.label_format import Array, Labels, Strata
from textmix.errors import DataError
from textmix.evaluation.tables import Table
from textmix.tasks.base import LABEL, PREDICTION, PROBABILITY, Columns, LabelSpace, Task, names_after, names_of
from textmix.tasks.numbers import parse_numbers

if TYPE_CHECKING:
    from torch import Tensor

# Rows are stratified by this many quantiles of the first number, with at least ten rows in each.
_QUANTILES = 10


@dataclass(frozen=True)
class Numbers(LabelSpace):
    """T numbers for each row.

    Targets and outputs are numbers in the units of the data, shape (N, T). The model learns and predicts standard
    scores: differences from the mean of the training rows, divided by their standard deviation.

    Args:
        means: Mean of each number over the training rows, shape (T,).
        scales: Standard deviation of each, above 0, shape (T,).
    """

    means: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    task: ClassVar = "regression"
    problem_type: ClassVar = "regression"
    headline: ClassVar = ("mse", "mae", "r2")

    def extras(self) -> dict[str, Any]:
        return {"target_means": self.means, "target_scales": self.scales}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        names = names_of(config)
        means = getattr(config, "target_means", None) or [0.0] * len(names)
        return cls(names, list(means), list(getattr(config, "target_scales", None) or [1.0] * len(names)))

    def encode(self, labels: Labels) -> Array:
        return _numbers(labels)

    def to_labels(self, targets: Array) -> Array:
        return np.asarray((targets - self.means) / self.scales, dtype=np.float32)

    def to_targets(self, labels: Array) -> Array:
        return np.asarray(labels.astype(np.float64) * self.scales + self.means)

    def outputs(self, logits: "Tensor") -> Array:
        return self.to_targets(logits.numpy())

    def scores(self, targets: Array, outputs: Array) -> dict[str, float]:
        """Score numbers.

        Returns:
            `mse`, `mae`, `r2`, and the correlations `pearson` and `spearman`, each averaged over the T numbers. A
            correlation with a constant is 0.
        """
        return _scores(targets, outputs)

    def report(self, targets: Array, outputs: Array) -> dict[str, Any]:
        """Return the scores of each number."""
        return {
            name: _scores(targets[:, place : place + 1], outputs[:, place : place + 1])
            for place, name in enumerate(self.names)
        }

    def report_text(self, targets: Array, outputs: Array) -> str:
        """Return the scores of each number as lines."""
        report = self.report(targets, outputs)
        width = max(map(len, self.names))
        header = " " * width + "".join(f"{metric:>12}" for metric in self.metrics)
        lines = [f"{name:<{width}}" + "".join(f"{value:12.4f}" for value in report[name].values()) for name in report]
        return "\n".join([header, *lines]) + "\n"

    def report_sections(self, targets: Array, outputs: Array) -> list[str]:
        report = self.report(targets, outputs)
        rows = [(name, *(f"{value:.4f}" for value in scores.values())) for name, scores in report.items()]
        return ["## Numbers", Table(("number", *self.metrics), rows).markdown()]

    @property
    def output_columns(self) -> list[str]:
        return [PREDICTION] if len(self.names) == 1 else [f"{PREDICTION}_{name}" for name in self.names]

    def write_outputs(self, outputs: Array) -> Columns:
        """Return `prediction`, or `prediction_<name>` for each of several numbers."""
        return dict(zip(self.output_columns, outputs.T.tolist(), strict=True))

    def write_targets(self, targets: Array) -> Columns:
        """Return `label`, or `label_<name>` for each of several numbers."""
        return dict(zip(self.target_columns, targets.T.tolist(), strict=True))

    def answer(self, name: str) -> str:
        return self.output_columns[self.names.index(name)]

    @property
    def target_columns(self) -> list[str]:
        return [LABEL] if len(self.names) == 1 else [f"{LABEL}_{name}" for name in self.names]

    @classmethod
    def from_columns(cls, columns: list[str]) -> Self | None:
        if names_after(PROBABILITY, columns):
            return None
        names = [PREDICTION] if PREDICTION in columns else names_after(f"{PREDICTION}_", columns)
        return cls(names, [0.0] * len(names), [1.0] * len(names)) if names else None

    def read_outputs(self, table: pd.DataFrame) -> Array:
        return table[self.output_columns].to_numpy(dtype=np.float64)

    def read_targets(self, table: pd.DataFrame) -> Array:
        return table[self.target_columns].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Regression(Task):
    """One or several numbers for each row: a column for each, or lists."""

    space: ClassVar = Numbers
    nested: ClassVar = True

    def read(self, table: pa.Table, features: Mapping[str, Any], where: str) -> pa.Array:
        if len(self.columns) == 1 and is_nested(table.schema, self.columns[0]):
            lists = as_lists(table.column(self.columns[0]), features[self.columns[0]], where)
            width = next((len(row) for row in lists if row), 1)
            numbers = np.full((len(lists), width), np.nan)
            for number, row in enumerate(lists):
                if row and (len(row) != width or not all(isinstance(value, int | float) for value in row)):
                    raise DataError(f"{where}: row {number + 1} has the labels {str(row)[:60]}, not {width} numbers")
                numbers[number] = row or np.nan
        else:
            numbers = parse_numbers(table.select(self.columns), where)
        known = np.isfinite(numbers).all(axis=1)
        cells = [json.dumps(row) if full else "" for row, full in zip(numbers.tolist(), known, strict=True)]
        return pa.array(cells, pa.string())

    def strata(self, labels: Labels) -> Strata:
        first = _numbers(labels)[:, 0]
        count = int(np.clip(len(first) // _QUANTILES, 1, _QUANTILES))
        edges = np.unique(np.quantile(first, np.arange(1, count) / count)) if count > 1 else np.array([])
        places = np.searchsorted(edges, first, side="left")
        return Strata(places, [f"quantile {number + 1}" for number in range(len(edges) + 1)])

    def fit(self, everything: Labels, train: Labels, where: str) -> Numbers:
        """Compute mean and standard deviation of the training rows.

        Raises:
            DataError: If a number is the same in all training rows.
        """
        numbers = _numbers(train)
        names = self.columns if len(self.columns) == numbers.shape[1] else [str(n) for n in range(numbers.shape[1])]
        scales = numbers.std(axis=0)
        constant = np.flatnonzero(~(scales > 0))
        if len(constant):
            raise DataError(f"{where}: '{names[constant[0]]}' is {numbers[0, constant[0]]:g} in all training rows")
        return Numbers(list(names), numbers.mean(axis=0).tolist(), scales.tolist())


def _numbers(labels: Labels) -> Array:
    rows = np.array([json.loads(label) for label in labels.dictionary.to_pylist()], dtype=np.float64)
    return np.asarray(rows[labels.indices.to_numpy()])


def _scores(targets: Array, outputs: Array) -> dict[str, float]:
    return {
        "mse": float(mean_squared_error(targets, outputs)),
        "mae": float(mean_absolute_error(targets, outputs)),
        "r2": float(r2_score(targets, outputs)) if len(targets) > 1 else 0.0,
        "pearson": _correlation(pearsonr, targets, outputs),
        "spearman": _correlation(spearmanr, targets, outputs),
    }


def _correlation(function: Any, targets: Array, outputs: Array) -> float:
    """Return the mean over columns of a correlation; 0 for a column that is constant."""
    found = [
        float(function(true, said).statistic) if len(true) > 1 and np.ptp(true) > 0 and np.ptp(said) > 0 else 0.0
        for true, said in zip(targets.T, outputs.T, strict=True)
    ]
    return float(np.mean(found))
