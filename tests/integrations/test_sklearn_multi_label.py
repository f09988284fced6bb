"""MixupClassifier with an indicator matrix: any number of labels a row."""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score

from tests.support.estimators import quick
from tests.support.topics import TOPICS, topic_rows
from textmix.errors import ConfigError
from textmix.integrations.sklearn import MixupClassifier
from textmix.mixing.mixer import Mixer

# Texts of one topic, of two, and of none.
ALONE = topic_rows(30)
PAIRED = [(f"{a} {b}", {one, two}) for (a, one), (b, two) in zip(ALONE, ALONE[1:] + ALONE[:1], strict=True)]
ROWS = [*[(text, {topic}) for text, topic in ALONE], *PAIRED, *[("of the new and some", set[str]())] * 6]
TEXTS = [text for text, _ in ROWS]
Y = np.array([[topic in topics for topic in TOPICS] for _, topics in ROWS]).astype(np.int32)
FOLDS = KFold(2, shuffle=True, random_state=0)


def small(**parameters: Any) -> MixupClassifier:
    return MixupClassifier(**quick(**{"epochs": 8, **parameters}))


@pytest.fixture(scope="module")
def fitted() -> MixupClassifier:
    return small().fit(TEXTS, Y)


class TestFitted:
    def test_it_learns_and_predicts_a_matrix(self, fitted: MixupClassifier) -> None:
        assert fitted.classes_.tolist() == [0, 1, 2]
        probabilities, predicted = fitted.predict_proba(TEXTS), fitted.predict(TEXTS)
        assert probabilities.shape == predicted.shape == (66, 3)
        assert predicted.dtype == np.int32
        np.testing.assert_array_equal(predicted, probabilities >= 0.5)
        assert f1_score(Y, predicted, average="macro") > 0.9
        assert fitted.score(TEXTS, Y) == accuracy_score(Y, predicted)
        assert fitted.predict([]).shape == (0, 3)
        assert fitted.predictor_.model.config.problem_type == "multi_label_classification"

    def test_columns_of_a_frame_name_the_labels(self, fitted: MixupClassifier) -> None:
        named = small().fit(TEXTS, pd.DataFrame(Y, columns=list(TOPICS)).astype(bool))
        assert named.classes_.tolist() == named.predictor_.class_names == list(TOPICS)
        assert named.predict(TEXTS).dtype == bool
        np.testing.assert_array_equal(named.predict_proba(TEXTS), fitted.predict_proba(TEXTS))

    def test_a_sparse_matrix_is_the_same(self, fitted: MixupClassifier) -> None:
        sparse = small().fit(TEXTS, csr_matrix(Y))
        np.testing.assert_array_equal(sparse.predict(TEXTS), fitted.predict(TEXTS))

    def test_cloned_and_pickled_it_predicts_the_same(self, fitted: MixupClassifier) -> None:
        file = io.BytesIO()
        joblib.dump(fitted, file)
        file.seek(0)
        np.testing.assert_array_equal(joblib.load(file).predict(TEXTS), fitted.predict(TEXTS))
        again = clone(fitted).fit(TEXTS, Y)
        np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))

    def test_classes_after_a_matrix(self) -> None:
        """A second fit forgets the first."""
        classifier = small(epochs=1).fit(TEXTS, Y).fit(TEXTS, Y[:, 0])
        assert classifier.predict(TEXTS).shape == (66,)
        assert classifier.predict_proba(TEXTS).shape == (66, 2)

    def test_labels_that_no_row_has(self) -> None:
        classifier = small(class_weight="balanced").fit(TEXTS, np.c_[Y, np.zeros(66, dtype=int)])
        assert classifier.predict(TEXTS)[:, 3].sum() == 0


class TestTools:
    @pytest.mark.parametrize(("scoring", "least"), [("f1_macro", 0.6), ("accuracy", 0.2), ("roc_auc", 0.6)])
    def test_cross_validation(self, scoring: str, least: float) -> None:
        scores = cross_val_score(small(epochs=16), TEXTS, Y, cv=FOLDS, scoring=scoring, error_score="raise")
        assert scores.shape == (2,)
        assert (scores > least).all()

    def test_cross_validated_probabilities(self) -> None:
        probabilities = cross_val_predict(small(epochs=1), TEXTS, Y, cv=2, method="predict_proba")
        assert probabilities.shape == (66, 3)

    def test_grid_search(self) -> None:
        grid = {"strategy": ["none", "sentence"]}
        search = GridSearchCV(small(epochs=2), grid, cv=2, scoring="f1_macro", error_score="raise").fit(TEXTS, Y)
        assert search.predict(TEXTS[:2]).shape == (2, 3)

    def test_scorers_of_probabilities_for_two_labels(self) -> None:
        """What docs/sklearn.md recommends, as those of scikit-learn take the two labels for two classes."""

        def area(estimator: Any, texts: Any, y: Any) -> float:
            return float(roc_auc_score(y, estimator.predict_proba(texts)))

        scores = cross_val_score(small(), TEXTS, Y[:, :2], cv=FOLDS, scoring=area, error_score="raise")
        assert (scores > 0.6).all()


class TestWeights:
    @pytest.mark.parametrize("strategy", ["none", "word"])
    def test_rows_that_weigh_more_win(self, strategy: str) -> None:
        """One text with contrary labels: the heavier ones are learnt."""
        texts, y = ["soup"] * 40, np.array([[1, 0], [0, 1]] * 20)
        for heavy in (0, 1):
            weights = np.where(np.arange(40) % 2 == heavy, 9.0, 1.0)
            predicted = small(strategy=strategy).fit(texts, y, sample_weight=weights).predict(["soup"])
            assert predicted.tolist() == [[1 - heavy, heavy]]

    def test_rows_that_weigh_nothing_are_left_out(self) -> None:
        weights = (np.arange(66) % 3 > 0).astype(float)
        weighted = small(epochs=2).fit(TEXTS, Y, sample_weight=weights)
        kept = np.flatnonzero(weights)
        alone = small(epochs=2).fit([TEXTS[row] for row in kept], Y[kept])
        np.testing.assert_array_equal(weighted.predict_proba(TEXTS), alone.predict_proba(TEXTS))

    @pytest.mark.parametrize(
        ("given", "expected"), [("balanced", [1 / 3, 3.0, 1.0]), ({"b": 4, "c": 0.5}, [1, 4, 0.5])]
    )
    def test_class_weight_is_a_weight_of_presence(
        self, given: Any, expected: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[list[float]] = []
        score = Mixer.score

        def spy(self: Mixer, *arguments: Any) -> torch.Tensor:
            assert isinstance(self.loss.class_weights, list)
            seen.append(self.loss.class_weights)
            return score(self, *arguments)

        monkeypatch.setattr(Mixer, "score", spy)
        y = pd.DataFrame({"a": [1, 1, 1, 0], "b": [0, 0, 0, 1], "c": [0, 0, 0, 0]})
        small(epochs=1, class_weight=given).fit(TEXTS[:4], y)
        np.testing.assert_allclose(seen[0], expected)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"d": 1.0}, "not in class_weight"),
            ("balance", "class_weight must be a mapping or 'balanced', not 'balance'"),
        ],
    )
    def test_wrong_class_weights(self, given: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            small(class_weight=given).fit(TEXTS, Y)


def test_targets_that_need_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="targets 'remix' needs integer classes"):
        small(targets="remix").fit(TEXTS, Y)
