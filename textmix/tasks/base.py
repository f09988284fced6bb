"""Task and LabelSpace: what the rest of the program needs to know of a kind of labels."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from textmix.data.config import DataConfig
from textmix.data.label_format import Array, LabelFormat, Labels
from textmix.errors import DataError, listed
from textmix.evaluation.coverage import Coverage
from textmix.tasks.names import METRICS, TaskName

if TYPE_CHECKING:
    from torch import Tensor

PREDICTION, LABEL, PROBABILITY = "prediction", "label", "probability_"
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class LabelSpace(ABC):
    """The labels that a model knows: the names of its outputs, and how to encode, score and write them.

    N rows have targets (true labels), and outputs (what the model says), both as arrays with N rows.

    Args:
        names: Names of the C outputs of the model, in their order.
    """

    names: list[str]

    task: ClassVar[TaskName]
    problem_type: ClassVar[str | None]  # as transformers names it; None where it has no name
    # Whether names are written in the data.
    has_classes: ClassVar[bool] = False
    # Whether there are outputs for each token, not for each row.
    of_tokens: ClassVar[bool] = False
    # Whether targets can mark labels that training never saw.
    marks_unknown: ClassVar[bool] = False
    # Scores that a line about an epoch or a fold shows.
    headline: ClassVar[tuple[str, ...]]

    @property
    def metrics(self) -> dict[str, bool]:
        """Metrics that can select the best epoch, and whether larger values are better."""
        return METRICS[self.task]

    def to_config(self) -> dict[str, Any]:
        """Return the options of a model's configuration that transformers knows."""
        return {
            **({} if self.problem_type is None else {"problem_type": self.problem_type}),
            "id2label": dict(enumerate(self.names)),
            "label2id": {name: number for number, name in enumerate(self.names)},
        }

    def extras(self) -> dict[str, Any]:
        """Return further attributes of a model's configuration that hold this label space."""
        return {}

    def store(self, config: Any) -> None:
        """Write the label space into the configuration of a model."""
        for name, value in {**self.to_config(), **self.extras()}.items():
            setattr(config, name, value)

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the label space from the configuration of a model."""
        return cls(names_of(config))

    def tuned(self, targets: Array, outputs: Array) -> Self:
        """Return the label space with what is tuned on rows that the model was not trained on."""
        return self

    def broken(self, outputs: Array) -> int:
        """Count the rows with an output that is NaN or infinite."""
        return int(np.count_nonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1)))

    def of_rows(self, spaces: Sequence["LabelSpace"]) -> Self:
        """Return the label space for N rows that models with different thresholds have predicted.

        Args:
            spaces: The label space of the model of each row; they have the same names.
        """
        return self

    def averaged(self, spaces: Sequence["LabelSpace"]) -> Self:
        """Return the label space for the average of the outputs of several models."""
        return self

    def known(self, labels: Labels) -> Array:
        """Return which of N rows have only labels that training has seen, shape (N,), bool."""
        return np.ones(len(labels), dtype=bool)

    @abstractmethod
    def encode(self, labels: Labels) -> Array:
        """Return the targets of N rows."""

    def to_labels(self, targets: Array) -> Array:
        """Return what the model is trained on for targets."""
        return targets

    def to_targets(self, labels: Array) -> Array:
        """Return the targets that `to_labels` was given."""
        return labels

    def counts(self, targets: Array) -> list[int]:
        """Return the number of rows of each class or with each label; empty where there are none."""
        return []

    def balanced_weights(self, targets: Array) -> list[float] | None:
        """Return the weights of `loss.class_weights balanced` where class counts do not tell them, else None."""
        return None

    @abstractmethod
    def outputs(self, logits: "Tensor") -> Array:
        """Convert logits, shape (N, C), to outputs."""

    def borderline(self, outputs: Array, width: float) -> Array:
        """Return which rows an error of `width` in a probability could decide otherwise, shape (N,), bool."""
        return np.zeros(len(outputs), dtype=bool)

    @abstractmethod
    def scores(self, targets: Array, outputs: Array) -> dict[str, float]:
        """Score the outputs of N rows."""

    def score(self, metric: str, targets: Array, outputs: Array) -> float:
        """Return one of the scores."""
        return self.scores(targets, outputs)[metric]

    def intervals(self, targets: Array, outputs: Array) -> dict[str, list[float]]:
        """Return 95 % intervals of some of the scores over N rows; empty where none are computed."""
        return {}

    def coverage(self, targets: Array, outputs: Array) -> list[Coverage]:
        """Return the accuracy on the rows of most confidence; empty where there is no confidence."""
        return []

    def temperatures(self, targets: Array, outputs: Array) -> list[float]:
        """Fit the temperature of each output on rows that the model was not trained on; empty where none is fitted."""
        return []

    def scaled(self, outputs: Array, temperatures: Sequence[float]) -> Array:
        """Return what the outputs would be if the logits were divided by temperatures."""
        return outputs

    @abstractmethod
    def report(self, targets: Array, outputs: Array) -> dict[str, Any]:
        """Return a detailed report as plain values."""

    @abstractmethod
    def report_text(self, targets: Array, outputs: Array) -> str:
        """Return the report as text for a terminal."""

    @abstractmethod
    def report_sections(self, targets: Array, outputs: Array) -> list[str]:
        """Return the report as paragraphs of Markdown."""

    @property
    @abstractmethod
    def output_columns(self) -> list[str]:
        """Names of the columns of `write_outputs`."""

    @property
    def prediction_columns(self) -> list[str]:
        """Names of the columns that predictions of new texts have."""
        return self.output_columns

    def answer(self, name: str) -> str:
        """Return the column of `write_outputs` that says most about the output `name`."""
        return f"{PROBABILITY}{name}"

    @property
    @abstractmethod
    def target_columns(self) -> list[str]:
        """Names of the columns that `write_targets` may write."""

    @classmethod
    @abstractmethod
    def from_columns(cls, columns: list[str]) -> Self | None:
        """Read the label space from the columns of a file of predictions; None if it is of another task."""

    @abstractmethod
    def write_outputs(self, outputs: Array) -> Columns:
        """Convert outputs to columns of N cells; the first is the prediction."""

    @abstractmethod
    def write_targets(self, targets: Array) -> Columns:
        """Convert targets to columns of N cells."""

    @abstractmethod
    def read_outputs(self, table: pd.DataFrame) -> Array:
        """Read outputs from the columns of `write_outputs`; raises KeyError or ValueError if they are damaged."""

    @abstractmethod
    def read_targets(self, table: pd.DataFrame) -> Array:
        """Read targets from the columns of `write_targets`; raises KeyError or ValueError if they are damaged."""


def names_after(prefix: str, columns: list[str]) -> list[str]:
    """Return the names of columns behind a prefix that some of them have."""
    return [column.removeprefix(prefix) for column in columns if column.startswith(prefix)]


def names_of(config: Any) -> list[str]:
    """Return the names of a model's outputs."""
    names = {int(number): name for number, name in config.id2label.items()}
    return [names[number] for number in range(len(names))]


@dataclass(frozen=True)
class Task(LabelFormat):
    """A kind of labels, before any label is known.

    Args:
        columns: The label columns.
        separator: What separates several labels in a cell; None without any.
        lowercase: Convert labels to lower case.
    """

    columns: list[str]
    separator: str | None = None
    lowercase: bool = False

    space: ClassVar[type[LabelSpace]]

    @classmethod
    def of(cls, data: DataConfig) -> Self:
        """Return the task for the label columns of a run."""
        return cls(data.label_columns, data.label_separator, data.lowercase_labels)

    @property
    def name(self) -> TaskName:
        """Name of the task."""
        return self.space.task

    @abstractmethod
    def fit(self, everything: Labels, train: Labels, where: str) -> LabelSpace:
        """Collect the labels.

        Args:
            everything: The labels of all rows of the source.
            train: The labels of the training rows, the only ones from which numbers are computed.
            where: Name of the source, for errors.

        Raises:
            DataError: If a model cannot be trained for these labels.
        """


def check_known(space: LabelSpace, labels: Labels, where: str) -> None:
    """Check that training has seen the labels of all rows.

    Raises:
        DataError: If it has not; names the labels, and the option to go on.
    """
    unknown = np.flatnonzero(~space.known(labels))
    if len(unknown):
        counts = Counter(labels.take(unknown).to_pylist())
        shown = ", ".join(f"'{label}' ({count} rows)" for label, count in counts.most_common(5))
        raise DataError(
            f"{where}: {len(counts)} labels that training never saw: {shown}; the classes are {listed(space.names)};"
            " --data.unknown_labels skip leaves these rows out"
        )
