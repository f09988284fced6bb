"""Evaluation: targets and outputs of rows, with their scores and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from textmix.data.label_format import Array
from textmix.errors import TrainingError
from textmix.evaluation.tables import Table
from textmix.tasks.base import LabelSpace


@dataclass(frozen=True)
class Evaluation:
    """Targets and outputs of N rows.

    Args:
        targets: What is true, as `LabelSpace.encode` returns it.
        outputs: What the model says, as `LabelSpace.outputs` returns it.
        space: The labels of the model.

    Raises:
        TrainingError: If an output is NaN or infinite, because training has diverged.
    """

    targets: Array
    outputs: Array
    space: LabelSpace

    def __post_init__(self) -> None:
        broken = self.space.broken(self.outputs)
        if broken:
            raise TrainingError(
                f"the model predicts NaN for {broken} of {len(self.targets)} rows: training has diverged; lower"
                " train.learning_rate"
            )

    def scores(self) -> dict[str, float]:
        """Score the outputs: the metrics of the task."""
        return self.space.scores(self.targets, self.outputs)

    def report(self) -> dict[str, Any]:
        """Return a detailed report as plain values."""
        return self.space.report(self.targets, self.outputs)

    def metrics(self) -> dict[str, Any]:
        """Return scores, the report, and 95 % intervals, whose keys end in `_interval`, as in metrics.json."""
        intervals = self.space.intervals(self.targets, self.outputs)
        return {**self.scores(), "report": self.report(), **with_intervals(intervals)}

    def report_text(self) -> str:
        """Return the report as text for a terminal."""
        return self.space.report_text(self.targets, self.outputs)

    def markdown(self, title: str) -> str:
        """Return the scores and the report as a page of Markdown."""
        scores = Table(("metric", "value"), [(name, f"{value:.4f}") for name, value in self.scores().items()])
        sections = self.space.report_sections(self.targets, self.outputs)
        return "\n\n".join([f"# {title}", f"{len(self.targets)} rows", scores.markdown(), *sections]) + "\n"

    def table(self, texts: dict[str, list[str]]) -> pd.DataFrame:
        """Return a table with the texts, the targets and the outputs of every row."""
        space = self.space
        return pd.DataFrame({**texts, **space.write_targets(self.targets), **space.write_outputs(self.outputs)})


def with_intervals(intervals: Mapping[str, list[float]], prefix: str = "") -> dict[str, list[float]]:
    """Return intervals of scores under the keys that they have in metrics.json."""
    return {f"{prefix}{name}_interval": interval for name, interval in intervals.items()}


def headline(space: LabelSpace, scores: dict[str, float]) -> str:
    """Return the main scores in a line, as in `macro F1 0.9000, nll 0.3000`."""
    return ", ".join(f"{name.replace('_f1', ' F1').replace('_', ' ')} {scores[name]:.4f}" for name in space.headline)
