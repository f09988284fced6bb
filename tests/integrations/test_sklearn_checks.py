"""scikit-learn's own checks, on texts that stand for the rows of numbers that they use."""

import re
from inspect import signature
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from sklearn.utils import validation
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from textmix.integrations.sklearn import MixupClassifier, MixupRegressor
from textmix.integrations.sklearn_base import MixupEstimator

if "xfail_strict" not in signature(parametrize_with_checks).parameters:
    pytest.skip("the checks of this scikit-learn take no list of those that may fail", allow_module_level=True)

# The checks that the estimators do not pass, and why they mean nothing to them.
EXPECTED_FAILED_CHECKS: dict[str, str] = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row given twice is shuffled and mixed twice, which one row of weight 2 is not; weight 0 does leave it out"
    ),
}


class OnNumbers(MixupEstimator):
    """Turns each number into a word, as the checks know no texts; all that is fitted is the estimator's."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        numbers = validation.validate_data(self, X)
        return super().fit(_words(numbers), y, sample_weight)

    def _outputs(self, X: Any) -> Any:  # noqa: N803
        validation.check_is_fitted(self)
        return super()._outputs(_words(validation.validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, False, True
        return tags


class ClassifierOnNumbers(OnNumbers, MixupClassifier): ...


class RegressorOnNumbers(OnNumbers, MixupRegressor): ...


def _words(numbers: np.ndarray) -> list[str]:
    return [
        " ".join(f"f{column}x{round(float(value))}".replace("-", "m") for column, value in enumerate(row))
        for row in numbers
    ]


SMALL: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.05,
    "random_state": 0,
    "options": {
        "model.dropout": 0.0,
        "model.words.embedding_dim": 16,
        "model.textcnn.num_filters": 8,
        "model.words.min_frequency": 1,
        "model.textcnn.kernel_sizes": [1],
        "train.precision": "fp32",
    },
}


@parametrize_with_checks(
    [ClassifierOnNumbers(**SMALL), RegressorOnNumbers(**SMALL)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
    xfail_strict=True,
)
def test_checks_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:Can't test estimator")
@pytest.mark.parametrize("estimator", [MixupClassifier(), MixupRegressor()])
def test_checks_that_scikit_learn_has_for_texts(estimator: Any) -> None:
    check_estimator(estimator)


def test_the_documentation_gives_the_reasons() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sklearn.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(check_\w+)` \| (.+) \|$", text, flags=re.MULTILINE)) == EXPECTED_FAILED_CHECKS
