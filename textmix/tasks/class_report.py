"""The classification report of scikit-learn, as a dictionary, as text and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.metrics import classification_report

from textmix.data.label_format import Array
from textmix.errors import DataError
from textmix.evaluation.tables import Table

# Keys of the report other than classes.
_KEYS = {"accuracy", "micro avg", "macro avg", "weighted avg", "samples avg"}
_DIGITS = 4


def check_names(names: set[str], where: str) -> None:
    """Check that no class is named like a key of the classification report.

    Raises:
        DataError: If one is.
    """
    taken = names & _KEYS
    if taken:
        raise DataError(f"{where}: '{min(taken)}' is a key of the classification report; rename that class")


def class_report(true: Array, said: Array, names: Sequence[str]) -> dict[str, Any]:
    """Return the report as a dictionary.

    Args:
        true: True class ids, shape (N,), or which labels rows have, shape (N, C), bool.
        said: Predicted ones.
        names: Names of the C classes; those that are absent from these rows are in the report, too.
    """
    return dict(_report(true, said, names, output_dict=True))


def class_report_text(true: Array, said: Array, names: Sequence[str]) -> str:
    """Return the report as text; arguments as for `class_report`."""
    return str(_report(true, said, names, digits=_DIGITS))


def _report(true: Array, said: Array, names: Sequence[str], **options: Any) -> Any:
    ids = [*range(len(names))]
    return classification_report(true, said, labels=ids, target_names=names, zero_division=0, **options)


def class_table(header: str, names: Sequence[str], report: Mapping[str, Any]) -> Table:
    """Return the lines of a report about classes as a table.

    Args:
        header: What the classes are.
        names: Names of the classes.
        report: What `class_report` returned, or seqeval's report.
    """
    keys = ("precision", "recall", "f1-score")
    rows = [
        (name, *(f"{report[name][key]:.{_DIGITS}f}" for key in keys), str(int(report[name]["support"])))
        for name in names
    ]
    return Table((header, "precision", "recall", "F1", "rows"), rows)
