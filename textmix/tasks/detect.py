"""Find the task from the label columns, where that is certain."""

from typing import NamedTuple, cast

from datasets import ClassLabel, Dataset

from textmix.data.cells import as_string
from textmix.data.config import DataConfig
from textmix.data.suggest import sample, suggest_task
from textmix.errors import DataError, listed
from textmix.tasks.names import TaskName


class Found(NamedTuple):
    """A task and why it is certain."""

    task: TaskName
    reason: str


def detect_task(rows: Dataset, data: DataConfig, where: str) -> Found:
    """Find the task from the label columns.

    Args:
        rows: Rows as they were read.
        data: Their label columns and separator.
        where: Name of the source, for errors.

    Raises:
        DataError: If the columns may hold several kinds of labels; names the option that decides.
    """
    columns = data.label_columns
    if data.label_separator is not None:
        return Found("multi_label", f"labels joined by '{data.label_separator}'")
    if not set(columns) <= set(rows.column_names):
        return Found("single_label", "")  # reading the rows refuses the missing column
    found = suggest_task(rows, columns)
    if found is not None and found.separator is None:
        return Found(cast(TaskName, found.task), found.reason)
    values = sample(rows, columns[0])
    if len(columns) > 1 or any(isinstance(value, list) for value in values):
        cell = next((value for value in values if value), "nothing")
        raise DataError(
            f"{where}: the cells of {listed(columns)}, such as {str(cell)[:60]}, may be labels of several kinds: say"
            " --task multi_label, single_label (for probabilities of classes), regression or token_classification"
        )
    if isinstance(rows.features[columns[0]], ClassLabel):
        return Found("single_label", "classes with names")
    broken = next((text for value in values if _is_broken(text := as_string(value).strip())), None)
    if broken is not None and all(_is_number(as_string(value)) for value in values if as_string(value).strip()):
        raise DataError(
            f"{where}: '{columns[0]}' holds few numbers, such as {broken}: say --task regression, or --task"
            " single_label if they are classes"
        )
    hint = f"; if '{found.separator}' separates labels, say so with --data.label_separator" if found is not None else ""
    return Found("single_label", f"one value in each row of '{columns[0]}'{hint}")


def _is_number(text: str) -> bool:
    try:
        return float(text) - float(text) == 0  # nan and inf are words
    except ValueError:
        return False


def _is_broken(text: str) -> bool:
    return _is_number(text) and not float(text).is_integer()
