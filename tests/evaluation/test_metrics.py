import math

import numpy as np
import pytest
from sklearn.metrics import classification_report

from textmix.errors import TrainingError
from textmix.evaluation.metrics import SELECTION_METRICS, Evaluation

NAMES = ["a", "b", "c"]


def one_hot(predictions: list[int]) -> np.ndarray:
    return np.eye(3)[predictions] * 0.7 + 0.1


def test_scores_by_hand() -> None:
    evaluation = Evaluation(np.array([0, 0, 1, 2]), one_hot([0, 1, 1, 2]), NAMES)
    scores = evaluation.scores()
    assert scores["accuracy"] == scores["micro_f1"] == 0.75
    # F1 of a: P 1, R 1/2; of b: P 1/2, R 1; of c: 1.
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert scores["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 / 3 + 1) / 4)
    assert scores["nll"] == pytest.approx(-(3 * math.log(0.8) + math.log(0.1)) / 4)
    assert set(SELECTION_METRICS) <= set(scores)


def test_probabilities_that_are_no_numbers_are_told_apart_from_bad_ones() -> None:
    probabilities = one_hot([0, 1, 2])
    probabilities[1, 0] = np.nan
    with pytest.raises(TrainingError, match=r"predicts NaN for 1 of 3 rows: .* lower train\.learning_rate$"):
        Evaluation(np.array([0, 1, 2]), probabilities, NAMES)


def test_a_class_absent_from_the_split_neither_breaks_nor_shifts_the_report() -> None:
    evaluation = Evaluation(np.array([0, 2, 2]), one_hot([0, 2, 0]), NAMES)
    report = evaluation.report()
    assert report["b"]["support"] == 0
    assert report["c"]["recall"] == 0.5
    assert evaluation.scores()["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert evaluation.confusion().tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_the_printed_report_is_scikit_learn_s() -> None:
    evaluation = Evaluation(np.array([0, 1, 2]), one_hot([0, 1, 1]), NAMES)
    expected = classification_report([0, 1, 2], [0, 1, 1], target_names=NAMES, digits=4, zero_division=0)
    assert evaluation.report_text() == expected
