import numpy as np
import pytest
import torch
from scipy import stats

from tests.support.tasks import read
from textmix.errors import DataError
from textmix.tasks.regression import Numbers, Regression


def test_scores_by_hand() -> None:
    scores = Numbers(["x"]).scores(np.array([[1.0], [2.0], [6.0]]), np.array([[2.0], [2.0], [3.0]]))
    assert scores["mse"] == pytest.approx((1 + 0 + 9) / 3)
    assert scores["mae"] == pytest.approx(4 / 3)
    assert scores["r2"] == pytest.approx(1 - 10 / 14)  # the mean is 3: 4 + 1 + 9
    assert scores["pearson"] == pytest.approx(stats.pearsonr([1, 2, 6], [2, 2, 3]).statistic)
    assert scores["spearman"] == pytest.approx(stats.spearmanr([1, 2, 6], [2, 2, 3]).statistic)


def test_several_numbers_are_averaged_and_told_apart() -> None:
    space = Numbers(["x", "y"])
    targets, outputs = np.array([[1.0, 10], [2, 20], [3, 60]]), np.array([[1.0, 10], [2, 20], [3, 30]])
    assert space.report(targets, outputs)["x"]["mse"] == 0
    assert space.scores(targets, outputs)["mse"] == pytest.approx(space.report(targets, outputs)["y"]["mse"] / 2)


def test_a_constant_has_no_correlation() -> None:
    assert Numbers(["x"]).scores(np.array([[1.0], [2.0]]), np.array([[5.0], [5.0]]))["pearson"] == 0


def test_the_model_learns_standard_scores() -> None:
    task = Regression(["label"])
    everything = read(task, {"label": ["10", "20", "30", "1000"]})
    train = everything.slice(0, 3)
    space = task.fit(everything, train, "data")
    assert space.means == [20.0]
    assert space.scales == pytest.approx([np.std([10, 20, 30])])
    np.testing.assert_allclose(space.to_labels(space.encode(train)).mean(), 0, atol=1e-7)
    np.testing.assert_allclose(space.outputs(torch.tensor([[0.0], [1.0]])), [[20.0], [20.0 + space.scales[0]]])


def test_rows_are_stratified_by_quantiles() -> None:
    numbers = np.random.default_rng(0).permutation(200).tolist()
    strata = Regression(["label"]).strata(read(Regression(["label"]), {"label": numbers}))
    assert strata.counts.tolist() == [20] * 10
    assert max(number for number, part in zip(numbers, strata.values, strict=True) if part == 0) == 19


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1.5", "x"], "row 2 of column 'label' holds 'x', not a number"),
        (["1.5", "inf"], "row 2 of column 'label' holds 'inf', which is not finite"),
        ([[1.0, 2.0], [1.0]], r"row 2 has the labels \[1.0\], not 2 numbers"),
    ],
)
def test_wrong_cells(cells: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(Regression(["label"]), {"label": cells})


def test_numbers_that_are_all_the_same_are_refused() -> None:
    task = Regression(["label"])
    labels = read(task, {"label": [2, 2]})
    with pytest.raises(DataError, match="'label' is 2 in all training rows"):
        task.fit(labels, labels, "data")
