import math

import numpy as np
import pytest
from sklearn.metrics import classification_report

from tests.support.tasks import SINGLE, classes, read
from textmix.errors import DataError, TrainingError
from textmix.tasks.base import check_known
from textmix.tasks.single_label import Classes, SingleLabel

NAMES = ["a", "b", "c"]
SOFT = SingleLabel(NAMES)


def one_hot(predictions: list[int]) -> np.ndarray:
    return np.eye(3)[predictions] * 0.7 + 0.1


class TestScores:
    def test_by_hand(self) -> None:
        scores = classes([0, 0, 1, 2], one_hot([0, 1, 1, 2]), NAMES).scores()
        assert scores["accuracy"] == scores["micro_f1"] == 0.75
        # F1 of a: P 1, R 1/2; of b: P 1/2, R 1; of c: 1.
        assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
        assert scores["weighted_f1"] == pytest.approx((2 * 2 / 3 + 2 / 3 + 1) / 4)
        assert scores["nll"] == pytest.approx(-(3 * math.log(0.8) + math.log(0.1)) / 4)

    def test_against_probabilities(self) -> None:
        targets = np.array([[0.6, 0.4, 0.0], [0.1, 0.2, 0.7]])
        outputs = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
        scores = classes(targets, outputs, NAMES).scores()
        assert scores["accuracy"] == 0.5
        first, second = 0.6 * math.log(0.5) + 0.4 * math.log(0.3), 0.1 * math.log(0.2) + 0.2 * math.log(0.6)
        assert scores["nll"] == pytest.approx(-(first + second + 0.7 * math.log(0.2)) / 2)

    def test_an_unknown_class_counts_as_wrong(self) -> None:
        scores = classes([0, 1, -1, -1], one_hot([0, 1, 1, 2]), NAMES).scores()
        assert scores["accuracy"] == 0.5
        assert scores["nll"] == pytest.approx(-math.log(0.8))
        assert set(classes([-1], one_hot([0]), NAMES).scores()) & {"nll", "ece"} == set()

    def test_probabilities_that_are_no_numbers_are_told_apart_from_bad_ones(self) -> None:
        probabilities = one_hot([0, 1, 2])
        probabilities[1, 0] = np.nan
        with pytest.raises(TrainingError, match=r"predicts NaN for 1 of 3 rows: .* lower train\.learning_rate$"):
            classes([0, 1, 2], probabilities, NAMES)


class TestReport:
    def test_a_class_absent_from_the_split_neither_breaks_nor_shifts_it(self) -> None:
        evaluation = classes([0, 2, 2], one_hot([0, 2, 0]), NAMES)
        report = evaluation.report()
        assert report["b"]["support"] == 0
        assert report["c"]["recall"] == 0.5
        assert evaluation.scores()["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
        confusion = Classes(NAMES).confusion(evaluation.targets, evaluation.outputs)
        assert confusion.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]

    def test_the_printed_one_is_scikit_learn_s(self) -> None:
        evaluation = classes([0, 1, 2], one_hot([0, 1, 1]), NAMES)
        expected = classification_report([0, 1, 2], [0, 1, 1], target_names=NAMES, digits=4, zero_division=0)
        assert evaluation.report_text() == expected

    def test_markdown_holds_scores_classes_and_the_confusion_matrix(self) -> None:
        evaluation = classes([0, 1], np.array([[0.9, 0.1], [0.6, 0.4]]), ["a|x", "b"])
        text = evaluation.markdown("Test split")
        assert text.startswith("# Test split\n\n2 rows\n")
        assert "| accuracy | 0.5000 |" in text
        assert "| a\\|x | 0.5000 | 1.0000 | 0.6667 | 1 |" in text
        assert "| **b** | 1 | 0 |" in text

    def test_columns_name_every_class(self) -> None:
        evaluation = classes([0, -1], np.array([[0.9, 0.1], [0.6, 0.4]]), ["a|x", "b"])
        assert evaluation.table({"text": ["t", "u"]}).to_dict("list") == {
            "text": ["t", "u"],
            "label": ["a|x", ""],
            "prediction": ["a|x", "a|x"],
            "confidence": [0.9, 0.6],
            "probability_a|x": [0.9, 0.6],
            "probability_b": [0.1, 0.4],
        }


class TestReading:
    def test_spaces_are_trimmed_and_case_is_kept_or_not(self) -> None:
        cells = {"label": [" Good", "good ", "BAD"]}
        assert read(SINGLE, cells).to_pylist() == ["Good", "good", "BAD"]
        assert read(SingleLabel(["label"], lowercase=True), cells).to_pylist() == ["good", "good", "bad"]

    def test_what_training_never_saw_is_unknown(self) -> None:
        space, labels = Classes(["a", "b"]), read(SINGLE, {"label": ["b", "z"]})
        assert space.known(labels).tolist() == [True, False]
        assert space.encode(labels).tolist() == [1, -1]

    def test_probabilities_are_normalized(self) -> None:
        labels = read(SOFT, {"a": [0.333, 1], "b": [0.333, 0], "c": ["0.333", "0"]})
        np.testing.assert_allclose(Classes(NAMES).encode(labels), [[1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])

    @pytest.mark.parametrize(
        ("task", "columns", "message"),
        [
            (
                SOFT,
                {"a": [1], "b": [1], "c": [0]},
                r"row 1 has \[1.0, 1.0, 0.0\], whose sum is 2; .*--task multi_label",
            ),
            (SOFT, {"a": [1.5], "b": [-0.5], "c": [0]}, r"row 1 has \[1.5, -0.5, 0.0\]"),
            (SINGLE, {"label": [["x"], ["y"]]}, r"row 1 has the labels \['x'\], not 1 probabilities; .*multi_label"),
            (SINGLE, {"label": [[0.5, 0.5], [1.0]]}, r"row 2 has the labels \[1.0\], not 2 probabilities"),
        ],
    )
    def test_wrong_probabilities(self, task: SingleLabel, columns: dict, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read(task, columns)


class TestClasses:
    @staticmethod
    def names(cells: list[str]) -> list[str]:
        labels = read(SINGLE, {"label": cells})
        return SINGLE.fit(labels, labels, "d").names

    def test_they_are_in_numeric_or_alphabetical_order(self) -> None:
        assert self.names(["10", "9", "-1", "9"]) == ["-1", "9", "10"]
        assert self.names(["b", "10", "9"]) == ["10", "9", "b"]
        assert self.names(["²", "1"]) == ["1", "²"]

    def test_one_is_too_few(self) -> None:
        with pytest.raises(DataError, match="all 2 labels are 'x'; a classifier needs at least two classes"):
            self.names(["x", "x"])

    def test_keys_of_the_report_are_none(self) -> None:
        with pytest.raises(DataError, match="'macro avg' is a key of the classification report; rename that class"):
            self.names(["macro avg", "b"])

    def test_a_column_of_all_different_values_holds_none(self) -> None:
        with pytest.raises(
            DataError, match=r"d: 200 classes in 300 rows, such as 0, 1, 10 and 197 more; .*label_column"
        ):
            self.names([str(number % 200) for number in range(300)])
        assert len(self.names([str(number % 200) for number in range(400)])) == 200
        with pytest.raises(DataError, match="there may be at most 10000"):
            self.names([str(number % 10_001) for number in range(50_000)])

    def test_unseen_ones_are_counted(self) -> None:
        unseen = read(SINGLE, {"label": ["c", "a", "d", "c"]})
        message = (
            r"test: 2 labels that training never saw: 'c' \(2 rows\), 'd' \(1 rows\); .* a, b; --data.unknown_labels"
        )
        with pytest.raises(DataError, match=message):
            check_known(Classes(["a", "b"]), unseen, "test")
        with pytest.raises(DataError, match=r"the classes are c0, .*, c19 and 980 more;"):
            check_known(Classes([f"c{number}" for number in range(1000)]), unseen, "d")
