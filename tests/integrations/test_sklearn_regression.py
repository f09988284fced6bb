"""MixupRegressor as scikit-learn's tools use it."""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

import textmix
import textmix.sklearn
from tests.support.estimators import quick
from tests.support.topics import topic_rows
from textmix.errors import ConfigError, DataError
from textmix.integrations.sklearn import MixupRegressor

ROWS = topic_rows(60)
TEXTS = [text for text, _ in ROWS]
# Far from 0 and far apart, so that only standardised targets can be learnt in a few steps.
NUMBERS = np.array([{"food": 4000.0, "music": 5000.0, "sport": 6000.0}[topic] for _, topic in ROWS])


def small(**parameters: Any) -> MixupRegressor:
    return MixupRegressor(**quick(**{"epochs": 8, **parameters}))


@pytest.fixture(scope="module")
def fitted() -> MixupRegressor:
    return small().fit(TEXTS, NUMBERS)


class TestFitted:
    def test_it_learns_and_predicts_in_the_units_of_the_data(self, fitted: MixupRegressor) -> None:
        assert textmix.MixupRegressor is textmix.sklearn.MixupRegressor is MixupRegressor
        assert is_regressor(fitted)
        predicted = fitted.predict(TEXTS)
        assert (predicted.shape, predicted.dtype) == ((60,), np.float64)
        assert np.abs(predicted - NUMBERS).mean() < 500
        assert fitted.score(TEXTS, NUMBERS) == r2_score(NUMBERS, predicted) > 0.7
        assert fitted.predict([]).shape == (0,)

    @pytest.mark.parametrize("kind", [list, pd.Series, lambda y: pd.Series(y).astype("Int64"), lambda y: y[:, None]])
    def test_numbers_in_any_container_are_the_same(self, fitted: MixupRegressor, kind: Any) -> None:
        given = kind(NUMBERS)
        predicted = small().fit(TEXTS, given).predict(TEXTS)
        assert predicted.shape == np.shape(given)
        np.testing.assert_array_equal(predicted.reshape(-1), fitted.predict(TEXTS))

    def test_several_numbers(self) -> None:
        several = pd.DataFrame({"up": NUMBERS, "down": -NUMBERS / 1000})
        regressor = small().fit(TEXTS, several)
        assert regressor.predictor_.class_names == ["up", "down"]
        predicted = regressor.predict(TEXTS)
        assert predicted.shape == (60, 2)
        assert (r2_score(several, predicted, multioutput="raw_values") > 0.6).all()
        assert regressor.predict([]).shape == (0, 2)

    def test_a_constant(self) -> None:
        np.testing.assert_allclose(small().fit(TEXTS, np.full(60, 7e6)).predict(TEXTS), 7e6, atol=1)

    def test_cloned_and_pickled_it_predicts_the_same(self, fitted: MixupRegressor) -> None:
        file = io.BytesIO()
        joblib.dump(fitted, file)
        file.seek(0)
        np.testing.assert_array_equal(joblib.load(file).predict(TEXTS), fitted.predict(TEXTS))
        again = clone(fitted)
        with pytest.raises(NotFittedError):
            again.predict(TEXTS)
        np.testing.assert_array_equal(again.fit(TEXTS, NUMBERS).predict(TEXTS), fitted.predict(TEXTS))

    def test_pairs(self) -> None:
        table = pd.DataFrame({"first": [text.split()[0] for text in TEXTS], "second": TEXTS})
        paired = small().fit(table, NUMBERS)
        assert paired.score(table, NUMBERS) > 0.5
        with pytest.raises(DataError, match="X holds texts, but MixupRegressor was fitted on pairs"):
            paired.predict(TEXTS)


class TestTools:
    @pytest.mark.slow
    def test_cross_validation_and_grid_search(self) -> None:
        scores = cross_val_score(small(), TEXTS, NUMBERS, cv=2, scoring="neg_mean_absolute_error")
        assert (scores > -800).all()
        search = GridSearchCV(small(epochs=2, padding="copy"), {"strategy": ["none", "sentence"]}, cv=2)
        assert search.fit(TEXTS, NUMBERS).predict(TEXTS[:2]).shape == (2,)
        assert search.best_estimator_.get_params()["padding"] == "copy"


class TestWeights:
    @pytest.mark.parametrize("strategy", ["none", "word"])
    def test_rows_that_weigh_more_win(self, strategy: str) -> None:
        texts, y = ["soup"] * 40, [1.0, 2.0] * 20
        light = small(strategy=strategy).fit(texts, y, sample_weight=[9.0, 1.0] * 20).predict(["soup"])
        heavy = small(strategy=strategy).fit(texts, y, sample_weight=[1.0, 9.0] * 20).predict(["soup"])
        assert light < 1.4 < 1.6 < heavy

    def test_rows_that_weigh_nothing_are_left_out(self) -> None:
        weights = (np.arange(60) % 3 > 0).astype(float)
        kept = np.flatnonzero(weights)
        weighted = small(epochs=2).fit(TEXTS, NUMBERS, sample_weight=weights)
        alone = small(epochs=2).fit([TEXTS[row] for row in kept], NUMBERS[kept])
        np.testing.assert_array_equal(weighted.predict(TEXTS), alone.predict(TEXTS))


class TestWrongInput:
    def test_numbers(self) -> None:
        with pytest.raises(DataError, match="too large for their standard deviation"):
            small().fit(TEXTS, NUMBERS * 1e300)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            small().fit(TEXTS, NUMBERS[1:])

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"class_weight": "balanced"}, "unknown parameter 'class_weight'"),
            ({"options": {"loss.label_smoothing": 0.1}}, "label smoothing.*no meaning for regression"),
            ({"options": {"loss.class_weights": [1]}}, "use the parameter class_weight of MixupClassifier"),
            ({"options": {"task": "regression"}}, "options cannot hold 'task': y tells it"),
        ],
    )
    def test_parameters(self, parameters: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            small(**parameters).fit(TEXTS, NUMBERS)
