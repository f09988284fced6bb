import numpy as np
import pytest
from sklearn import metrics as sk

from tests.support.tasks import read
from textmix.errors import DataError
from textmix.tasks.multi_label import LabelSet, MultiLabel

# Worked by hand. Decided at 0.5: row 0 a; row 1 a, b; row 2 c; row 3 nothing.
TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32)
SAID = np.array([[0.9, 0.2, 0.1], [0.6, 0.7, 0.4], [0.3, 0.4, 0.8], [0.1, 0.2, 0.3]])
SPACE = LabelSet(["a", "b", "c"])


def test_scores_by_hand() -> None:
    scores = SPACE.scores(TRUE, SAID)
    # a: 2 of 2 found; b: 1 of 2; c: one false.
    assert scores["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert scores["weighted_f1"] == pytest.approx((2 * 1 + 2 * 2 / 3) / 4)
    assert scores["samples_f1"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert scores["subset_accuracy"] == 3 / 4
    assert scores["hamming_loss"] == pytest.approx(2 / 12)
    # b is ranked 0.7 (true), 0.4 (true), ...; c does not occur.
    assert scores["mean_average_precision"] == 1.0
    # Row 2: c stands above b, and a below it: one of two pairs is wrong.
    assert scores["ranking_loss"] == pytest.approx(0.5 / 4)
    likelihoods = [0.9, 0.8, 0.9, 0.6, 0.7, 0.6, 0.7, 0.4, 0.2, 0.9, 0.8, 0.7]
    assert scores["nll"] == pytest.approx(-np.mean(np.log(likelihoods)))


def test_scores_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    true, said = generator.integers(0, 2, (50, 4)), generator.random((50, 4))
    scores = LabelSet(list("abcd")).scores(true.astype(np.float32), said)
    for average in ("micro", "macro", "weighted", "samples"):
        assert scores[f"{average}_f1"] == pytest.approx(sk.f1_score(true, said >= 0.5, average=average))
    assert scores["subset_accuracy"] == pytest.approx(sk.accuracy_score(true, said >= 0.5))
    assert scores["hamming_loss"] == pytest.approx(sk.hamming_loss(true, said >= 0.5))
    assert scores["mean_average_precision"] == pytest.approx(sk.average_precision_score(true, said))
    assert scores["ranking_loss"] == pytest.approx(sk.label_ranking_loss(true, said))
    assert scores["nll"] == pytest.approx(np.mean([sk.log_loss(true[:, n], said[:, n]) for n in range(4)]))


def test_three_forms_of_the_same_labels() -> None:
    columns = {"b": [1, 0, 0], "a": ["1", "0", "1"]}
    wide = read(MultiLabel(["b", "a"]), columns)
    joined = read(MultiLabel(["label"], "|"), {"label": ["b| a", "", "a |a"]})
    lists = read(MultiLabel(["label"]), {"label": [["b", "a"], [], ["a"]]})
    assert wide.to_pylist() == joined.to_pylist() == lists.to_pylist() == ['["a", "b"]', "[]", '["a"]']


def test_a_column_that_is_always_0_is_a_label() -> None:
    task = MultiLabel(["a", "b"])
    labels = read(task, {"a": [1, 0], "b": [0, 0]})
    assert task.fit(labels, labels, "data").names == ["a", "b"]


def test_rows_are_stratified_by_every_label() -> None:
    strata = MultiLabel(["label"]).strata(read(MultiLabel(["label"]), {"label": [["x", "y"], ["y"], [], ["y"]]}))
    assert strata.values.tolist() == [[True, True], [False, True], [False, False], [False, True]]
    assert strata.counts.tolist() == [1, 3]
    assert strata.single.tolist() == [0, 1, 2, 1]  # the rarest label of a row; none comes last


@pytest.mark.parametrize("seed", range(5))
def test_a_tuned_threshold_has_the_highest_f1_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    said = generator.random((40, 2)).round(1)
    true = (generator.random((40, 2)) < said).astype(np.float32)
    tuned = LabelSet(["a", "b"]).tuned(true, said)
    for place, threshold in enumerate(tuned.thresholds):
        found = sk.f1_score(true[:, place], said[:, place] >= threshold)
        best = max(
            sk.f1_score(true[:, place], said[:, place] >= tried, zero_division=0) for tried in np.linspace(0, 1, 101)
        )
        assert found == pytest.approx(best)
        assert threshold not in said


def test_a_label_that_no_row_has_keeps_its_threshold() -> None:
    assert LabelSet(["a", "b"]).tuned(TRUE[:, 1:], SAID[:, 1:]).thresholds[1] == 0.5


def test_thresholds_decide() -> None:
    space = LabelSet(["a", "b", "c"], [0.95, 0.15, 0.5])
    assert space.write_outputs(SAID)["prediction"] == ["b", "b", "b|c", "b"]
    assert space.borderline(SAID, 0.11).tolist() == [True, False, False, True]
    rows = SPACE.of_rows([space, SPACE, SPACE, SPACE])
    assert rows.write_outputs(SAID)["prediction"] == ["b", "a|b", "c", ""]
    assert SPACE.averaged([space, SPACE]).thresholds == pytest.approx([0.725, 0.325, 0.5])


def test_balanced_weights_are_rows_without_by_rows_with() -> None:
    assert SPACE.balanced_weights(TRUE) == [1.0, 1.0, 1.0]
    assert LabelSet(["a"]).balanced_weights(np.array([[1], [0], [0], [0]])) == [3.0]


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        (
            MultiLabel(["label"]),
            {"label": ["a", "b"]},
            "column 'label' holds one string a row; .* --data.label_separator",
        ),
        (
            MultiLabel(["a", "b"]),
            {"a": [0, 1], "b": [0, 0.5]},
            "row 2 of column 'b' holds 0.5; columns of multi_label hold",
        ),
        (MultiLabel(["a", "b"]), {"a": ["0", "x"], "b": [0, 1]}, "row 2 of column 'a' holds 'x', not a number"),
    ],
)
def test_wrong_columns(task: MultiLabel, columns: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(task, columns)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([["a"], []], "the only label is 'a'; multi_label needs at least two"),
        ([[], []], "no row has a label; multi_label needs at least two"),
        ([["a|b"], ["c"]], r"the label 'a\|b' holds '\|', which separates labels"),
        ([["micro avg"], ["c"]], "'micro avg' is a key of the classification report"),
    ],
)
def test_labels_that_no_model_can_learn(cells: list[list[str]], message: str) -> None:
    task = MultiLabel(["label"])
    labels = read(task, {"label": cells})
    with pytest.raises(DataError, match=message):
        task.fit(labels, labels, "data")
