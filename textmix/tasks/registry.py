"""The tasks by name."""

from typing import Any

from textmix.data.config import DataConfig
from textmix.errors import ModelError
from textmix.tasks.base import LabelSpace, Task
from textmix.tasks.multi_label import MultiLabel
from textmix.tasks.names import TaskName
from textmix.tasks.regression import Regression
from textmix.tasks.single_label import SingleLabel
from textmix.tasks.token_classification import Tags, TokenClassification

TASKS: dict[TaskName, type[Task]] = {
    "single_label": SingleLabel,
    "multi_label": MultiLabel,
    "regression": Regression,
    "token_classification": TokenClassification,
}


def build_task(name: TaskName, data: DataConfig) -> Task:
    """Return a task for the label columns of a run."""
    return TASKS[name].of(data)


def space_of_columns(columns: list[str]) -> LabelSpace:
    """Return the label space of a file of predictions.

    Raises:
        ValueError: If the columns are those of no task.
    """
    for task in TASKS.values():
        space = task.space.from_columns(columns)
        if space is not None:
            return space
    raise ValueError("it has no columns of probabilities or numbers, which could be averaged")


def label_space(config: Any) -> LabelSpace:
    """Return the label space that a model was saved with.

    Args:
        config: The configuration of the model; without a `problem_type` its outputs are classes, or a number if there
            is only one.

    Raises:
        ModelError: If its `problem_type` is unknown.
    """
    if any(name.endswith("ForTokenClassification") for name in getattr(config, "architectures", None) or []):
        return Tags.from_config(config)
    kinds = {task.space.problem_type: task.space for task in TASKS.values()}
    kind = getattr(config, "problem_type", None)
    if kind is None:
        kind = "regression" if config.num_labels == 1 else "single_label_classification"
    if kind not in kinds:
        raise ModelError(f"the model has the problem_type '{kind}', not one of {', '.join(filter(None, kinds))}")
    return kinds[kind].from_config(config)
