"""MixupClassifier as scikit-learn's tools use it."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import textmix
from tests.support.estimators import SMALL, quick
from tests.support.topics import topic_rows
from textmix.errors import ConfigError, DataError, ModelError
from textmix.integrations.sklearn import MixupClassifier
from textmix.mixing.config import MixConfig
from textmix.mixing.mixer import Mixer
from textmix.mixing.options import ManifoldOptions

ROWS = topic_rows(60)
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]


def small(options: dict[str, Any] | None = None, **parameters: Any) -> MixupClassifier:
    return MixupClassifier(**quick(options, **parameters))


def noting(init: Callable[..., None], configs: list[MixConfig]) -> Callable[..., None]:
    def noted(self: Mixer, config: MixConfig, *others: Any, **options: Any) -> None:
        configs.append(config)
        init(self, config, *others, **options)

    return noted


@pytest.fixture(scope="module")
def fitted() -> MixupClassifier:
    return small().fit(TEXTS, LABELS)


def test_long_texts_in_windows() -> None:
    filler = " ".join(["the"] * 20)
    texts = [f"{filler} {text}" for text in TEXTS]
    options = {"model.long_text": "windows", "model.max_length": 8}
    fitted = small(options, strategy="sentence").fit(texts, LABELS, sample_weight=[1.0] * len(texts))
    assert fitted.score(texts, LABELS) > 0.9
    with pytest.raises(ConfigError, match=r"model\.long_text windows leaves sentence vectors to mix"):
        small(options, strategy="word").fit(texts, LABELS)
    with pytest.raises(ConfigError, match=r"model\.long_text windows cannot cut pairs of texts"):
        small(options, strategy="sentence").fit(list(zip(texts, texts, strict=True)), LABELS)


class TestFitted:
    def test_it_learns_and_predicts_by_class(self, fitted: MixupClassifier) -> None:
        assert textmix.MixupClassifier is MixupClassifier
        assert fitted.classes_.tolist() == ["food", "music", "sport"]
        probabilities = fitted.predict_proba(TEXTS)
        assert probabilities.shape == (60, 3)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert (fitted.predict(TEXTS) == fitted.classes_[probabilities.argmax(axis=1)]).all()
        assert fitted.score(TEXTS, LABELS) > 0.9
        assert fitted.predict([]).shape == (0,)

    @pytest.mark.parametrize("kind", ["Int64", "int64", "boolean", "string", "category", "UInt8"])
    def test_classes_have_the_type_of_the_labels(self, kind: str) -> None:
        numbers = [int(label == "food") for label in LABELS]
        labels = pd.Series([str(number) for number in numbers] if kind == "string" else numbers, dtype=kind)
        classifier = small(epochs=1).fit(TEXTS, labels)
        expected = {"boolean": np.dtype(bool), "UInt8": np.dtype("uint8"), "string": None}.get(kind, np.dtype("int64"))
        assert expected is None or classifier.classes_.dtype == expected
        assert set(classifier.predict(TEXTS[:5]).tolist()) <= set(labels.tolist())

    @pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, lambda texts: np.array(texts)[:, None]])
    def test_texts_in_any_container_are_the_same(self, fitted: MixupClassifier, kind: Any) -> None:
        np.testing.assert_array_equal(fitted.predict_proba(kind(TEXTS[:5])), fitted.predict_proba(TEXTS[:5]))

    def test_pickled_it_predicts_the_same(self, fitted: MixupClassifier) -> None:
        file = io.BytesIO()
        joblib.dump(fitted, file)
        file.seek(0)
        np.testing.assert_array_equal(joblib.load(file).predict_proba(TEXTS), fitted.predict_proba(TEXTS))

    def test_cloned_and_fitted_again_it_is_the_same(self, fitted: MixupClassifier) -> None:
        again = clone(fitted)
        with pytest.raises(NotFittedError):
            again.predict(TEXTS)
        proba = again.fit(TEXTS, LABELS).predict_proba(TEXTS)
        np.testing.assert_array_equal(proba, fitted.predict_proba(TEXTS))
        other = clone(fitted).set_params(random_state=1).fit(TEXTS, LABELS).predict_proba(TEXTS)
        assert not np.array_equal(other, proba)

    def test_integer_classes_and_pairs(self) -> None:
        table = pd.DataFrame({"first": [text.split()[0] for text in TEXTS], "second": TEXTS})
        numbers = np.array([{"food": 7, "music": -1, "sport": 3}[label] for label in LABELS])
        paired = small().fit(table, numbers)
        assert paired.classes_.tolist() == [-1, 3, 7]
        assert paired.score(table.to_numpy(), numbers) > 0.8
        with pytest.raises(DataError, match="X holds texts, but MixupClassifier was fitted on pairs"):
            paired.predict(TEXTS)


class TestItLeavesNothingBehind:
    def test_no_output_no_files_and_no_random_state(
        self, capfd: pytest.CaptureFixture[str], in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(in_tmp_path))
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        small(epochs=1).fit(TEXTS, LABELS).predict(TEXTS)
        assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
        assert capfd.readouterr() == ("", "")
        assert list(in_tmp_path.iterdir()) == []

    def test_unless_asked_to_show_its_progress(self, capfd: pytest.CaptureFixture[str]) -> None:
        small(epochs=1, verbose=True).fit(TEXTS, LABELS)
        assert "epoch 1/1" in capfd.readouterr().err


class TestTools:
    @pytest.mark.slow
    def test_cross_validation_in_processes_is_that_in_one(self) -> None:
        scores = cross_val_score(small(), TEXTS, LABELS, cv=3)
        assert scores.mean() > 0.8
        np.testing.assert_allclose(cross_val_score(small(), TEXTS, LABELS, cv=3, n_jobs=2), scores)

    @pytest.mark.slow
    def test_grid_search_over_parameters_of_numpy(self) -> None:
        grid = {"strategy": ["none", "sentence"], "epochs": np.array([1, 2])}
        search = GridSearchCV(small(), grid, cv=2).fit(TEXTS, LABELS)
        assert set(search.best_params_) == {"strategy", "epochs"}
        assert search.predict(TEXTS[:2]).shape == (2,)

    def test_fields_of_mix_config_are_parameters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = small(strategy="manifold", manifold=ManifoldOptions(layers=[1]), padding="copy")
        assert {"manifold", "padding"} == made.get_params().keys() - small().get_params().keys()
        assert clone(made).get_params() == made.get_params()
        assert "padding='copy'" in repr(made)
        configs: list[MixConfig] = []
        monkeypatch.setattr(Mixer, "__init__", noting(Mixer.__init__, configs))
        search = GridSearchCV(
            made, {"partner": ["length", "nearest"], "manifold": [{"layers": [1]}]}, cv=2, refit=False
        )
        search.fit(TEXTS, LABELS)
        assert {(one.partner, one.padding, *one.manifold.layers) for one in configs} == {
            ("length", "copy", 1),
            ("nearest", "copy", 1),
        }

    def test_pipeline_and_voting(self) -> None:
        upper = make_pipeline(FunctionTransformer(lambda texts: [text.upper() for text in texts]), small())
        assert upper.fit(TEXTS, LABELS).score(TEXTS, LABELS) > 0.9
        voters = [("a", small()), ("b", small(random_state=1))]
        vote = VotingClassifier(voters, voting="soft").fit(TEXTS, LABELS)
        mean = np.mean([voter.predict_proba(TEXTS) for voter in vote.estimators_], axis=0)
        np.testing.assert_allclose(vote.predict_proba(TEXTS), mean)


class TestWeights:
    def test_rows_that_weigh_nothing_are_left_out(self) -> None:
        weights = np.array([0.0 if label == "music" else 1.0 for label in LABELS])
        weighted = small().fit(TEXTS, LABELS, sample_weight=weights)
        kept = [row for row in ROWS if row[1] != "music"]
        alone = small().fit([text for text, _ in kept], [label for _, label in kept])
        assert weighted.classes_.tolist() == ["food", "sport"]
        np.testing.assert_array_equal(weighted.predict_proba(TEXTS), alone.predict_proba(TEXTS))

    def test_their_scale_means_nothing(self, fitted: MixupClassifier) -> None:
        same = small().fit(TEXTS, LABELS, sample_weight=[4.0] * 60)
        np.testing.assert_array_equal(same.predict_proba(TEXTS), fitted.predict_proba(TEXTS))

    @pytest.mark.parametrize("by_class", [False, True])
    @pytest.mark.parametrize("strategy", ["none", "word"])
    def test_rows_that_weigh_more_win(self, strategy: str, by_class: bool) -> None:
        """One text with two labels: the heavier one is learnt."""
        texts, labels = ["soup"] * 40, ["a", "b"] * 20
        for heavy in ("a", "b"):
            made = small(strategy=strategy, class_weight={heavy: 9.0} if by_class else None)
            weights = None if by_class else [9.0 if label == heavy else 1.0 for label in labels]
            assert made.fit(texts, labels, sample_weight=weights).predict(["soup"]) == [heavy]

    def test_balanced_classes(self) -> None:
        texts, labels = ["soup"] * 40, ["a"] * 32 + ["b"] * 8
        plain = small(strategy="none").fit(texts, labels).predict_proba(["soup"])[0, 1]
        balanced = small(strategy="none", class_weight="balanced").fit(texts, labels).predict_proba(["soup"])[0, 1]
        assert plain < 0.35 < balanced < 0.65

    def test_they_reach_the_mixer_row_by_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[tuple[int, float]] = []
        score = Mixer.score

        def spy(self: Mixer, logits: Any, labels: torch.Tensor, *others: Any) -> torch.Tensor:
            seen.extend(zip(labels.tolist(), others[-1].tolist(), strict=True))
            return score(self, logits, labels, *others)

        monkeypatch.setattr(Mixer, "score", spy)
        weight = {"food": 1.0, "music": 2.0, "sport": 3.0}
        small(epochs=1).fit(TEXTS, LABELS, sample_weight=[weight[label] for label in LABELS])
        assert sorted(set(seen)) == [(0, 0.5), (1, 1.0), (2, 1.5)]
        assert len(seen) == 60


class TestWrongInput:
    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            (["a", None], "X must hold texts, but row 1 is missing"),
            (["a", float("nan")], "X must hold texts, but row 1 is missing"),
            (["a", 3], "X must hold texts, but row 1 is a int"),
            (["a", b"b"], "X must hold texts, but row 1 is a bytes"),
            ([["a", "b", "c"], ["d", "e", "f"]], r"two columns of them; it has shape \(2, 3\)"),
            ("some text", "it is a str"),
        ],
    )
    def test_texts(self, fitted: MixupClassifier, texts: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            small().fit(texts, [0, 1])
        with pytest.raises(DataError, match=message):
            fitted.predict(texts)

    @pytest.mark.parametrize(
        ("labels", "weights", "message"),
        [
            (None, None, "requires y to be passed, but the target y is None"),
            (["a"], None, "inconsistent numbers of samples"),
            (["a", "a"], None, "y has only one class, 'a'; a classifier needs at least two classes"),
            (["a", None], None, "y must hold classes, but the class of row 1 is missing"),
            (["a", float("nan")], None, "y must hold classes, but the class of row 1 is missing"),
            ([0.5, 0.25], None, "Unknown label type: continuous"),
            (["a", "b"], [1.0], "inconsistent numbers of samples"),
            (["a", "b"], [1.0, -1.0], "sample_weight must be finite, not negative, and not all zero"),
            (["a", "b"], [0.0, 0.0], "sample_weight must be finite, not negative, and not all zero"),
            (["a", "b"], [1.0, 0.0], "y has only one class, 'a'"),
            (["a", "b"], [[1.0, 1.0]], r"not have shape \(1, 2\)"),
        ],
    )
    def test_classes_and_weights(self, labels: Any, weights: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            small().fit(["x", "y"], labels, sample_weight=weights)

    def test_no_rows(self) -> None:
        with pytest.raises(DataError, match="X and y have no rows"):
            small().fit([], [])

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"alpha": -1}, "mix.alpha must be a number above 0"),
            ({"alpha": "much"}, "mix.alpha.*Expected a.*float"),
            ({"padding": "much"}, "mix.padding.*much"),
            ({"manifold": [1]}, "mix.manifold.*not a mapping"),
            ({"strategy": "words"}, "unknown mix.strategy 'words'; did you mean 'word'"),
            ({"alhpa": 1}, "unknown parameter 'alhpa'; did you mean 'alpha'"),
            ({"options": {"mix.padding": "copy"}}, "options cannot hold 'mix.padding': use the parameter padding"),
            ({"options": {"train.epoch": 1}}, "unknown option 'train.epoch'; did you mean 'train.epochs'"),
            ({"options": {"train.seed": 1}}, "options cannot hold 'train.seed': use the parameter random_state"),
            ({"options": {"data.source": "x"}}, "options cannot hold 'data.source': fit takes the data"),
            ({"manifold": {"layers": [1]}}, "mix.manifold.layers has no effect with strategy 'word'"),
            ({"options": {"train.patience": 1}}, "no epoch can be chosen"),
        ],
    )
    def test_parameters(self, parameters: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            MixupClassifier(**parameters).fit(TEXTS, LABELS)

    def test_models_and_sites_that_are_not_there(self) -> None:
        with pytest.raises(ModelError, match="no model 'no/such'"):
            small(model="no/such").set_params(options=None).fit(TEXTS, LABELS)
        with pytest.raises(ModelError, match="no site layer:9"):
            small(strategy="manifold", manifold={"layers": [9]}).fit(TEXTS, LABELS)


def test_options_are_those_of_a_recipe(fitted: MixupClassifier) -> None:
    assert fitted.predictor_.model.config.embedding_dim == 16
    assert fitted.get_params()["options"] == SMALL
