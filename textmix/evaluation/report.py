"""Reports of an evaluation: a Markdown page and a table of predictions."""

import pandas as pd

from textmix.evaluation.metrics import Array, Evaluation


def markdown_report(title: str, evaluation: Evaluation) -> str:
    """Write the scores, the classification report and the confusion matrix as Markdown."""
    lines = [f"# {title}", "", f"{len(evaluation.labels)} rows", "", "| metric | value |", "| --- | --- |"]
    lines += [f"| {name} | {value:.4f} |" for name, value in evaluation.scores().items()]
    lines += ["", "## Classes", "", "| class | precision | recall | F1 | rows |", "| --- | --- | --- | --- | --- |"]
    report = evaluation.report()
    for name in evaluation.class_names:
        row = report[name]
        values = " | ".join(f"{row[key]:.4f}" for key in ("precision", "recall", "f1-score"))
        lines.append(f"| {_cell(name)} | {values} | {int(row['support'])} |")
    names = [_cell(name) for name in evaluation.class_names]
    lines += ["", "## Confusion matrix", "", "Rows are true classes, columns are predicted classes.", ""]
    lines += [f"| | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    lines += [
        f"| **{name}** | {' | '.join(map(str, counts))} |"
        for name, counts in zip(names, evaluation.confusion().tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


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
