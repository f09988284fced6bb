"""The search space: what is read, what is refused, and what a trial is given."""

import random
from pathlib import Path
from typing import Any

import pytest

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError
from textmix.experiments.sweep.space import Choices, Range, default_space, draw, load_space
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig

CONFIG = RunConfig(DataConfig(source="x.csv"), ModelConfig(name="textcnn"))


class Chance:
    """A trial that draws at random, or what it is told to."""

    def __init__(self, seed: int = 0, **told: Any) -> None:
        self.random = random.Random(seed)
        self.told = told
        self.names: list[str] = []

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.names.append(name)
        return self.random.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.names.append(name)
        return self.random.randint(low, high)

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        self.names.append(name)
        assert all(isinstance(choice, str) for choice in choices)  # what Optuna's journal keeps
        return self.told.get(name.split(".")[-1], self.random.choice(choices))


def space_of(tmp_path: Path, text: str, config: RunConfig = CONFIG) -> dict[str, Any]:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return load_space(path, config)


def test_lists_and_ranges(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        "mix.strategy: [word, none]\nmix.alpha: {low: 1, high: 2}\ntrain.epochs: {low: 1, high: 8, log: true}\n"
        "train.learning_rate: {low: 1e-5, high: 1e-3, log: true}\nmix.manifold.layers: [null, [1]]\n",
    )
    assert space == {
        "mix.strategy": Choices(["word", "none"]),
        "mix.alpha": Range(1.0, 2.0),
        "train.epochs": Range(1, 8, log=True, whole=True),
        "train.learning_rate": Range(1e-5, 1e-3, log=True),  # which YAML 1.1 reads as strings
        "mix.manifold.layers": Choices([None, [1]]),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- word", "is not a search space: it must map options"),
        ("mix.alhpa: [1]", "unknown option 'mix.alhpa'; did you mean 'mix.alpha'"),
        ("mix.alpha: 1", "mix.alpha must be a list of choices, or {low: …, high: …}"),
        ("mix.alpha: []", "mix.alpha must be a list of choices"),
        ("mix.alpha: {low: 1, hihg: 2}", "mix.alpha must be a list of choices, or"),
        ("mix.alpha: {low: 2, high: 1}", "mix.alpha: low must be below high"),
        ("mix.alpha: {low: 0, high: 1, log: true}", "low must be below high, and above 0 with log"),
        ("mix.alpha: {low: little, high: 1}", "low and high must be numbers, not little and 1"),
        ("mix.alpha: {low: 1, high: 2, log: 3}", "log must be true or false"),
        ("train.epochs: {low: 1.5, high: 3}", "train.epochs takes integers, not 1.5 and 3"),
        ("mix.strategy: {low: 1, high: 2}", "mix.strategy is not a number; list its choices"),
        ("mix.alpha: [0.1, much]", """Parser key "mix.alpha": Expected a <class 'float'>. Got value: much"""),
        ("train.seed: [1, 2]", "'train.seed' cannot be searched"),
        ("data.max_train_samples: [10, 20]", "'data.max_train_samples' cannot be searched"),
        ("model.trust_remote_code: [true]", "'model.trust_remote_code' cannot be searched"),
        ("mix.alpha: [1]\nmix.alpha: [2]", "'mix.alpha' twice"),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["textcnn", "minilm"])
def test_all_that_the_default_space_draws_is_a_valid_run(model: str) -> None:
    config = RunConfig(DataConfig(source="x.csv"), ModelConfig(name=model))
    space = load_space(default_space(model), config)
    strategies = set()
    for seed in range(25):
        drawn = with_options(config, draw(space, Chance(seed), config))
        strategies.add(drawn.mix.strategy)
    assert strategies == {"none", "word", "sentence", "manifold", "cutmix"}


SPACE = "mix.cutmix.keep: [0.0, 0.5]\n"
SPACE += "mix.manifold.layers: [null, [1]]\nmix.cutmix.level: [tokens, embeddings]\nmix.alpha: {low: 1, high: 2}\n"
SPACE += "train.epochs: [2]\nmix.strategy: [none, word, manifold, cutmix]\n"


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"strategy": '"none"'}, ["mix.strategy"]),
        ({"strategy": '"word"'}, ["mix.strategy", "mix.alpha"]),
        ({"strategy": '"manifold"'}, ["mix.strategy", "mix.manifold.layers", "mix.alpha"]),
        ({"strategy": '"cutmix"', "level": '"tokens"'}, ["mix.strategy", "mix.cutmix.level", "mix.alpha"]),
        (
            {"strategy": '"cutmix"', "level": '"embeddings"'},
            ["mix.strategy", "mix.cutmix.level", "mix.cutmix.keep", "mix.alpha"],
        ),
    ],
)
def test_what_has_no_effect_is_not_drawn(tmp_path: Path, told: dict[str, str], names: list[str]) -> None:
    chance = Chance(**told)
    drawn = draw(space_of(tmp_path, SPACE), chance, CONFIG)
    assert chance.names == [*names, "train.epochs"]
    assert list(drawn) == chance.names
    with_options(CONFIG, drawn)


def test_what_loses_its_effect_in_the_recipe_goes_back_to_its_default(tmp_path: Path) -> None:
    config = RunConfig(
        DataConfig(source="x.csv"), mix=MixConfig(strategy="manifold", manifold={"layers": [2]}, alpha=0.7)
    )
    space = space_of(tmp_path, "mix.strategy: [word, manifold]", config)
    assert draw(space, Chance(strategy='"manifold"'), config) == {"mix.strategy": "manifold"}
    drawn = with_options(config, draw(space, Chance(strategy='"word"'), config))
    assert drawn.mix == MixConfig(strategy="word", alpha=0.7)
