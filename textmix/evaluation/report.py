"""Reports of an evaluation: a Markdown page and a table of predictions."""

import pandas as pd

from textmix.evaluation.metrics import Array, Evaluation
from textmix.evaluation.tables import Table


def markdown_report(title: str, evaluation: Evaluation) -> str:
    """Write the scores, the classification report and the confusion matrix as Markdown."""
    names, report = evaluation.class_names, evaluation.report()
    scores = Table(("metric", "value"), [(name, f"{value:.4f}") for name, value in evaluation.scores().items()])
    classes = Table(
        ("class", "precision", "recall", "F1", "rows"),
        [
            (
                name,
                *(f"{report[name][key]:.4f}" for key in ("precision", "recall", "f1-score")),
                str(int(report[name]["support"])),
            )
            for name in names
        ],
    )
    counts = evaluation.confusion().tolist()
    confusion = Table(("", *names), [(f"**{name}**", *map(str, row)) for name, row in zip(names, counts, strict=True)])
    parts = [
        f"# {title}",
        f"{len(evaluation.labels)} rows",
        scores.markdown(),
        "## Classes",
        classes.markdown(),
        "## Confusion matrix",
        "Rows are true classes, columns are predicted classes.",
        confusion.markdown(),
    ]
    return "\n\n".join(parts) + "\n"


def prediction_columns(probabilities: Array, class_names: list[str]) -> dict[str, list[str] | list[float]]:
    """Convert predictions to columns.

    Args:
        probabilities: Shape (N, C).
        class_names: Names of the C classes.

    Returns:
        `prediction` (class name), `confidence` (its probability), and `probability_<class>` for each class.
    """
    columns: dict[str, list[str] | list[float]] = {
        "prediction": [class_names[number] for number in probabilities.argmax(axis=1)],
        "confidence": probabilities.max(axis=1).tolist(),
    }
    for number, name in enumerate(class_names):
        columns[f"probability_{name}"] = probabilities[:, number].tolist()
    return columns


def predictions_table(texts: dict[str, list[str]], evaluation: Evaluation) -> pd.DataFrame:
    """Return a table with the text, the label and the prediction of every row."""
    names = evaluation.class_names
    labels = [names[number] for number in evaluation.labels]
    return pd.DataFrame({**texts, "label": labels, **prediction_columns(evaluation.probabilities, names)})
