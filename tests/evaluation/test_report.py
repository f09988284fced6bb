import numpy as np

from textmix.evaluation.metrics import Evaluation
from textmix.evaluation.report import markdown_report, prediction_columns, predictions_table

EVALUATION = Evaluation(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]), ["a|x", "b"])


def test_markdown_holds_scores_classes_and_the_confusion_matrix() -> None:
    text = markdown_report("Test split", EVALUATION)
    assert text.startswith("# Test split\n\n2 rows\n")
    assert "| accuracy | 0.5000 |" in text
    assert "| a\\|x | 0.5000 | 1.0000 | 0.6667 | 1 |" in text
    assert "| **b** | 1 | 0 |" in text


def test_prediction_columns_name_every_class() -> None:
    assert prediction_columns(EVALUATION.probabilities, EVALUATION.class_names) == {
        "prediction": ["a|x", "a|x"],
        "confidence": [0.9, 0.6],
        "probability_a|x": [0.9, 0.6],
        "probability_b": [0.1, 0.4],
    }


def test_the_table_has_a_row_an_example() -> None:
    table = predictions_table({"text": ["t", "u"]}, EVALUATION)
    assert table["label"].tolist() == ["a|x", "b"]
    assert list(table.columns[:3]) == ["text", "label", "prediction"]
