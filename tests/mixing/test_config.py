from dataclasses import asdict, replace

import pytest

from textmix.errors import ConfigError
from textmix.mixing.config import DEFAULTS, MixConfig, from_values, mix_config, option_values, without_effect
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.options import ManifoldOptions
from textmix.mixing.registry import STRATEGIES

NAN, INF = float("nan"), float("inf")
SHARES = ["lam_value", "probability", "start", "stop", "cutmix.keep", "remix_tau"]
POSITIVE = ["alpha", "batch.temperature", "similarity_max", "similarity_std"]


@pytest.mark.parametrize("value", [-0.001, 1.001, NAN])
@pytest.mark.parametrize("name", SHARES)
def test_shares_lie_between_0_and_1(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"mix\.{name} must lie in \[0, 1\], not {value}"):
        from_values({name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, INF, NAN])
@pytest.mark.parametrize("name", POSITIVE)
def test_numbers_above_0(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"mix\.{name} must be a number above 0, not {value}"):
        from_values({name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "manifld"}, r"^unknown mix\.strategy 'manifld'; did you mean 'manifold'\?$"),
        ({"strategy": "any", "any.choices": {"wrd": 1}}, r"^unknown mix\.any\.choices 'wrd'; did you mean 'word'\?$"),
        ({"lam": "gamma"}, r"^mix\.lam must be one of beta, uniform, fixed, similarity, not 'gamma'$"),
        ({"padding": "mirror"}, r"^mix\.padding must be one of zero, copy, not 'mirror'$"),
        ({"partner": "friend"}, "one of random, same_class, .*, farthest, length, easy_hard, not 'friend'"),
        ({"cutmix.level": "bytes", "strategy": "cutmix"}, "one of tokens, embeddings, not 'bytes'"),
        ({"targets": "mine"}, "one of linear, remix, trust, not 'mine'"),
        ({"alpha_schedule": "up"}, "one of constant, linear_in, linear_out, cosine_in, cosine_out, not 'up'"),
        ({"strategy": "multi", "multi.rows": 1}, r"^mix\.multi\.rows must be at least 2, not 1$"),
        ({"partner": "nearest", "neighbours": 0}, r"^mix\.neighbours must be at least 1, not 0$"),
        ({"targets": "remix", "remix_kappa": 0.9}, r"^mix\.remix_kappa must be at least 1, not 0\.9$"),
        ({"targets": "remix", "remix_kappa": NAN}, r"^mix\.remix_kappa must be at least 1, not nan$"),
        ({"targets": "trust", "trust": 0.0}, r"^mix\.trust must lie in \(0, 1\], not 0\.0$"),
        ({"targets": "trust", "trust": 1.01}, r"^mix\.trust must lie in \(0, 1\], not 1\.01$"),
        ({"targets": "trust", "trust": NAN}, r"^mix\.trust must lie in \(0, 1\], not nan$"),
        ({"start": 0.5, "stop": 0.5}, r"^mix\.start must come before mix\.stop, not 0\.5 and 0\.5$"),
        ({"regmix": -1.0}, r"^mix\.regmix must not be below 0, but is -1\.0$"),
        ({"regmix": "yes"}, r"^mix\.regmix must be a number, auto or null, not 'yes'$"),
        ({"regmix": NAN}, r"^mix\.regmix must not be below 0, but is nan$"),
        ({"regmix": INF}, r"^mix\.regmix must not be below 0, but is inf$"),
        (
            {"strategy": "manifold", "manifold.layers": [0]},
            r"^mix\.manifold\.layers must be distinct block numbers from 1 on, not \[0\]$",
        ),
        ({"strategy": "manifold", "manifold.layers": [2, 2]}, r"^mix\.manifold\.layers must be distinct block numbers"),
        ({"strategy": "manifold", "manifold.layers": []}, r"^mix\.manifold\.layers must be distinct block numbers"),
        ({"class_counts": []}, r"^mix\.class_counts must be numbers of rows, not \[\]$"),
        ({"targets": "remix", "remix_kappa": INF}, r"^mix\.remix_kappa must be at least 1, not inf$"),
        ({"class_counts": [3, -1]}, r"^mix\.class_counts must be numbers of rows, not \[3, -1\]$"),
        ({"strategy": "any"}, r"^mix\.strategy any needs mix\.any\.choices: strategies and their probabilities$"),
        ({"strategy": "any", "any.choices": {}}, r"^mix\.strategy any needs mix\.any\.choices"),
        ({"strategy": "any", "any.choices": {"word": 0.0}}, r"^mix\.strategy any needs mix\.any\.choices"),
        (
            {"strategy": "any", "any.choices": {"word": 2.0, "none": -1.0}},
            r"^mix\.strategy any needs mix\.any\.choices",
        ),
        ({"strategy": "any", "any.choices": {"word": NAN}}, r"^mix\.strategy any needs mix\.any\.choices"),
        ({"strategy": "any", "any.choices": {"word": INF}}, r"^mix\.strategy any needs mix\.any\.choices"),
        ({"strategy": "any", "any.choices": {"any": 1.0}}, r"^mix\.any\.choices cannot hold 'any' itself$"),
    ],
)
def test_a_wrong_value_is_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_values(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "word", "manifold.layers": [1]}, "mix.manifold.layers has no effect with strategy 'word'"),
        ({"strategy": "word", "cutmix.level": "embeddings"}, "mix.cutmix.level has no effect with strategy"),
        ({"strategy": "sentence", "multi.rows": 4}, "mix.multi.rows has no effect with strategy"),
        ({"strategy": "multi", "batch.temperature": 0.5}, "mix.batch.temperature has no effect with strategy"),
        ({"strategy": "word", "any.choices": {"word": 1.0}}, "mix.any.choices has no effect with strategy"),
        (
            {"strategy": "any", "any.choices": {"word": 1.0}, "multi.rows": 2},
            "mix.multi.rows has no effect with strategy 'any'",
        ),
        (
            {"strategy": "cutmix", "cutmix.keep": 0.5},
            "mix.cutmix.keep has an effect only with mix.cutmix.level embeddings",
        ),
        ({"lam_value": 0.9}, "mix.lam_value has an effect only with mix.lam fixed"),
        (
            {"alpha_schedule": "linear_in", "lam": "uniform"},
            "mix.alpha_schedule has an effect only with mix.lam beta or similarity",
        ),
        ({"similarity_max": 2.0}, "mix.similarity_max has an effect only with mix.lam similarity"),
        ({"similarity_std": 2.0}, "mix.similarity_std has an effect only with mix.lam similarity"),
        ({"trust": 0.25}, "mix.trust has an effect only with mix.targets trust"),
        ({"neighbours": 2}, "mix.neighbours has an effect only with mix.partner nearest or farthest"),
        ({"remix_kappa": 2.0}, "mix.remix_kappa has an effect only with mix.targets remix"),
        ({"remix_tau": 0.25}, "mix.remix_tau has an effect only with mix.targets remix"),
    ],
)
def test_an_option_without_effect_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        from_values(options)


def test_options_that_are_missing_have_their_defaults() -> None:
    assert without_effect({"strategy": "word"}) == {}
    assert set(without_effect({"strategy": "word", "multi.rows": 7, "cutmix.level": "tokens"})) == {"multi.rows"}


def test_all_wrong_values_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mix\.probability .*; mix\.alpha "):
        MixConfig(alpha=-1, probability=2)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    MixConfig(lam="fixed", lam_value=0.0, probability=0.0, regmix=0.0)
    MixConfig("manifold", lam="fixed", lam_value=1.0, probability=1.0, manifold={"layers": [1]}, class_counts=[0])
    MixConfig(strategy="cutmix", cutmix={"level": "embeddings", "keep": 1.0})
    MixConfig(strategy="multi", multi={"rows": 2}, partner="farthest", neighbours=1)
    MixConfig(targets="remix", remix_tau=1.0, remix_kappa=1.0, start=0.0, stop=1e-3)
    MixConfig(strategy="any", any={"choices": {"word": 1.0, "none": 0.0}})
    MixConfig(targets="trust", trust=1.0, partner="easy_hard", lam="similarity", alpha_schedule="linear_in")


def test_options_of_any_of_the_choices_are_allowed() -> None:
    config = MixConfig(strategy="any", any={"choices": {"word": 1.0, "multi": 1.0}}, multi={"rows": 5})
    assert config.names == ["word", "multi"]
    assert MixConfig(strategy="batch").names == ["batch"]
    assert MixConfig(strategy="batch", any={"choices": None}).names == ["batch"]


@pytest.mark.parametrize(
    ("options", "progresses"),
    [({}, False), ({"start": 0.1}, True), ({"stop": 0.9}, True), ({"alpha_schedule": "cosine_out"}, True)],
)
def test_whether_mixing_depends_on_the_progress_of_training(options: dict, progresses: bool) -> None:
    assert MixConfig(**options).progresses is progresses


class TestSections:
    def test_each_is_named_after_a_strategy(self) -> None:
        sections = {name.split(".")[0] for name in DEFAULTS if "." in name}
        assert sections == {"manifold", "cutmix", "multi", "batch", "any"}
        assert sections <= set(STRATEGIES)

    def test_they_are_given_as_a_mapping_or_an_object(self) -> None:
        given = MixConfig(strategy="manifold", manifold={"layers": [1]})
        assert given.manifold == ManifoldOptions([1])
        assert given == MixConfig(strategy="manifold", manifold=ManifoldOptions([1])) == replace(given)

    def test_options_by_dotted_name_make_the_same_configuration(self) -> None:
        given = MixConfig(strategy="cutmix", alpha=1.0, cutmix={"level": "embeddings", "keep": 0.5})
        assert option_values(given)["cutmix.keep"] == 0.5
        assert from_values(option_values(given)) == given
        assert option_values(MixConfig()) == DEFAULTS
        assert MixConfig(**asdict(given)) == given

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"manifold": {"layer": [1]}}, r"^unknown option of mix\.manifold 'layer'; did you mean 'layers'\?$"),
            ({"manifold": [1]}, r"^mix\.manifold takes its options by name, as in \{'layers': None\}, not \[1\]$"),
        ],
    )
    def test_a_wrong_section_is_named(self, options: dict, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            MixConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, r"^loss\.label_smoothing must lie in \[0, 1\), not 1\.0$"),
        ({"label_smoothing": -0.1}, r"^loss\.label_smoothing must lie in"),
        ({"focal_gamma": -0.5}, r"^loss\.focal_gamma must not be below 0, but is -0\.5$"),
        ({"focal_gamma": INF}, r"^loss\.focal_gamma must not be below 0, but is inf$"),
        ({"class_weights": "even"}, r"^loss\.class_weights must be numbers or 'balanced', not 'even'$"),
        ({"class_weights": []}, r"^loss\.class_weights must not be below 0, but are \[\]$"),
        ({"class_weights": [1.0, -1.0]}, r"^loss\.class_weights must not be below 0, but are \[1\.0, -1\.0\]$"),
        ({"class_weights": [1.0, INF]}, r"^loss\.class_weights must not be below 0"),
        ({"label_smoothing": 2.0, "focal_gamma": -1.0}, r"label_smoothing .*; loss\.focal_gamma"),
    ],
)
def test_a_wrong_loss_is_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LossConfig(**options)


def test_only_the_plain_loss_is_plain() -> None:
    assert LossConfig(class_weights=None, label_smoothing=0.0, focal_gamma=0.0).is_plain
    assert not LossConfig(label_smoothing=0.1).is_plain
    assert not LossConfig(class_weights="balanced").is_plain
    assert not LossConfig(class_weights=[0.0, 1.0]).is_plain
    assert not LossConfig(focal_gamma=2.0).is_plain


class TestConfigOrOptions:
    def test_a_ready_configuration_is_taken(self) -> None:
        config = MixConfig(strategy="word")
        assert mix_config(config, {}) is config

    def test_options_make_one(self) -> None:
        assert mix_config(None, {"strategy": "word", "alpha": 1.0}) == MixConfig(strategy="word", alpha=1.0)

    def test_both_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"^give a MixConfig or its options, not both: alpha, lam$"):
            mix_config(MixConfig(), {"alpha": 1.0, "lam": "beta"})

    def test_an_unknown_option_is_named(self) -> None:
        with pytest.raises(ConfigError, match=r"^unknown option of mixing 'alhpa'; did you mean 'alpha'\?$"):
            mix_config(None, {"alhpa": 1.0})
