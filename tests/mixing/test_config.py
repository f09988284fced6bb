import pytest

from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "manifld"}, "unknown mix.strategy 'manifld'; did you mean 'manifold'?"),
        ({"alpha": 0.0}, "mix.alpha must be a number above 0, not 0.0"),
        ({"alpha": float("nan")}, "mix.alpha must be a number above 0"),
        ({"alpha": float("inf")}, "mix.alpha must be a number above 0"),
        ({"lam": "gamma"}, "mix.lam must be beta, uniform or fixed"),
        ({"lam_value": 1.5}, r"mix.lam_value must lie in \[0, 1\]"),
        ({"probability": -0.1}, r"mix.probability must lie in \[0, 1\]"),
        ({"padding": "mirror"}, "mix.padding must be zero or copy"),
        ({"layers": [0]}, "mix.layers must be distinct block numbers"),
        ({"layers": [2, 2]}, "mix.layers must be distinct block numbers"),
        ({"layers": []}, "mix.layers must be distinct block numbers"),
        ({"strategy": "word", "layers": [1]}, "mix.layers has no effect with strategy 'word'"),
    ],
)
def test_a_wrong_value_is_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixConfig(**options)


def test_all_wrong_values_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mix\.alpha .*; .*mix\.probability"):
        MixConfig(alpha=-1, probability=2)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    MixConfig(lam="fixed", lam_value=0.0, probability=0.0)
    MixConfig(lam="fixed", lam_value=1.0, probability=1.0, layers=[1])
