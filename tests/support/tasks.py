"""Small data of each task: label columns as people write them, and what a model makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict

from textmix.data.config import DataConfig
from textmix.data.label_format import Array, Labels
from textmix.data.splits import SplitReport, build_splits, load_rows
from textmix.tasks.base import LabelSpace, Task
from textmix.tasks.evaluation import Evaluation
from textmix.tasks.multi_label import MultiLabel
from textmix.tasks.regression import Regression
from textmix.tasks.single_label import Classes, SingleLabel
from textmix.tasks.token_classification import TokenClassification

SINGLE = SingleLabel(["label"])


def classes(targets: Any, probabilities: Array, names: list[str]) -> Evaluation:
    """Return an evaluation of classes."""
    return Evaluation(np.asarray(targets), probabilities, Classes(names))


def split_rows(config: DataConfig, seed: int = 0) -> tuple[DatasetDict, SplitReport]:
    """Split rows of one class each."""
    splits = build_splits(config, SingleLabel.of(config), seed)
    return splits.rows, splits.report


def read_rows(config: DataConfig) -> Dataset:
    """Read rows of one class each."""
    return load_rows(config, SingleLabel.of(config))


def read(task: Task, columns: Mapping[str, list[Any]]) -> Labels:
    """Read label columns."""
    rows = Dataset.from_dict(dict(columns))
    table = rows.with_format("arrow")[:]
    labels: Labels = task.read(table, rows.features, "data")
    return (labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels).dictionary_encode()


@dataclass(frozen=True)
class Example:
    """Label columns of one task.

    Args:
        name: For the ids of tests.
        task: The task.
        columns: Its columns, 40 rows.
    """

    name: str
    task: Task
    columns: dict[str, list[Any]] = field(repr=False)

    @property
    def labels(self) -> Labels:
        """The labels of the rows."""
        return read(self.task, self.columns)

    def space(self) -> LabelSpace:
        """Return the label space of the rows."""
        return self.task.fit(self.labels, self.labels, "data")

    def __str__(self) -> str:
        return self.name


_DRAWN = np.random.default_rng(0).integers(0, 2, (40, 3))
_SETS = [[name for name, present in zip("abc", row, strict=True) if present] for row in _DRAWN]
_SHARES = np.random.default_rng(1).dirichlet(np.ones(3), 40)
_NUMBERS = np.random.default_rng(2).normal(50, 10, (40, 2))

EXAMPLES = [
    Example("classes", SINGLE, {"label": ["spam", "ham", "ham", "eggs"] * 10}),
    Example("integers", SINGLE, {"label": [10, 2, 2, 1] * 10}),
    Example("soft columns", SingleLabel(["x", "y", "z"]), dict(zip("xyz", _SHARES.T.tolist(), strict=True))),
    Example("soft lists", SINGLE, {"label": _SHARES.tolist()}),
    Example("0/1 columns", MultiLabel(["a", "b", "c"]), dict(zip("abc", _DRAWN.T.tolist(), strict=True))),
    Example("lists", MultiLabel(["label"]), {"label": _SETS}),
    Example("joined", MultiLabel(["label"], separator="; "), {"label": ["; ".join(names) for names in _SETS]}),
    Example("number", Regression(["label"]), {"label": _NUMBERS[:, 0].tolist()}),
    Example(
        "tokens",
        TokenClassification(["label"]),
        {
            "text": [["Anna", "Lee", "met", "Bo"], ["Rain", "."], ["In", "Rome"], ["Bo", "left", "Oslo", "."]] * 10,
            "label": [["B-P", "I-P", "O", "B-P"], ["O", "O"], ["O", "B-L"], ["B-P", "O", "B-L", "O"]] * 10,
        },
    ),
    Example("numbers", Regression(["u", "v"]), dict(zip("uv", _NUMBERS.T.tolist(), strict=True))),
]
