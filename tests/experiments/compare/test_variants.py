"""Strategies as they are written on the command line."""

import pytest

from textmix.errors import ConfigError
from textmix.experiments.compare.variants import parse_variants
from textmix.mixing.config import MixConfig


def test_names_alone() -> None:
    variants = parse_variants("none, word,sentence", MixConfig())
    assert [variant.name for variant in variants] == ["none", "word", "sentence"]
    assert [variant.mix for variant in variants] == [MixConfig(strategy=name) for name in ("none", "word", "sentence")]


def test_options_in_parentheses_are_read_as_those_of_train() -> None:
    text = (
        "sentence(regmix=1, alpha = 0.2),manifold(layers=[1,2]),any(choices={word: 1, cutmix: 3}),word(fold_lam=true)"
    )
    variants = parse_variants(text, MixConfig())
    assert variants[0].mix == MixConfig(strategy="sentence", regmix=1.0, alpha=0.2)
    assert variants[1].mix == MixConfig(strategy="manifold", manifold={"layers": [1, 2]})
    assert variants[2].mix == MixConfig(strategy="any", any={"choices": {"word": 1.0, "cutmix": 3.0}})
    assert variants[3].mix == MixConfig(strategy="word", fold_lam=True)
    assert variants[0].name == "sentence(regmix=1, alpha = 0.2)"
    assert [variant.directory for variant in variants] == [
        "sentence-regmix=1-alpha-=-0.2",
        "manifold-layers=-1-2",
        "any-choices=-word-1-cutmix-3",
        "word-fold_lam=true",
    ]
    assert variants[0].options == {"strategy": "sentence", "alpha": 0.2, "regmix": 1.0}


def test_options_of_the_recipe_hold_where_they_mean_something() -> None:
    recipe = MixConfig(
        strategy="manifold", alpha=0.2, manifold={"layers": [1]}, lam="fixed", lam_value=0.7, partner="nearest"
    )
    none, manifold, word, uniform = parse_variants("none,manifold,word(alpha=1),word(lam=uniform)", recipe)
    assert none.mix == MixConfig(strategy="none")
    assert manifold.mix == recipe
    shared = {"lam": "fixed", "lam_value": 0.7, "partner": "nearest"}
    assert word.mix == MixConfig(strategy="word", alpha=1.0, **shared)
    assert uniform.mix == MixConfig(strategy="word", alpha=0.2, lam="uniform", partner="nearest")


def test_the_members_of_any_keep_their_options() -> None:
    recipe = MixConfig(strategy="cutmix", cutmix={"level": "embeddings", "keep": 0.5})
    (variant,) = parse_variants("any(choices={word: 1, cutmix: 1})", recipe)
    assert (variant.mix.cutmix.level, variant.mix.cutmix.keep) == ("embeddings", 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none,wrod", "unknown mix.strategy 'wrod'; did you mean 'word'"),
        ("word(alhpa=1)", "unknown option --mix.alhpa; did you mean '--mix.alpha'"),
        ("word(alpha=much)", '"mix.alpha": .*much'),
        ("word(alpha)", r"options of 'word\(alpha\)' in --strategies must be like alpha=0.2, each once, not 'alpha'"),
        ("word(alpha=1,alpha=2)", "each once, not 'alpha=2'"),
        ("word(strategy=none)", "each once, not 'strategy=none'"),
        ("word(alpha=-1)", "mix.alpha must be a number above 0"),
        ("word(manifold.layers=[1])", "mix.manifold.layers has no effect with strategy 'word'"),
        ("word(layers=[1])", "unknown option --mix.layers; did you mean '--mix.manifold.layers'"),
        ("none,word,none", "--strategies has 'none' twice"),
        ("none,,word", "cannot read '' in --strategies"),
        ("word(alpha=1", r"cannot read 'word\(alpha=1' in --strategies"),
        ("", "cannot read ''"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_variants(text, MixConfig())
