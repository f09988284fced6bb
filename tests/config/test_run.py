"""Options of a run that depend on other sections: those of few labels."""

from typing import Any

import pytest

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError

WARM_UP = {"contrastive.steps": 10}
POOL = {"data.unlabeled": "pool.csv"}
ON_POOL = {**POOL, "unlabeled.steps": 5, "mix.strategy": "word"}


def config(**options: Any) -> RunConfig:
    return with_options(RunConfig(DataConfig("d.csv")), options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contrastive.batch_size": 8}, ("contrastive", "no effect without contrastive.steps")),
        ({"unlabeled.steps": 8}, ("unlabeled", "no effect without data.unlabeled")),
        ({**WARM_UP, "unlabeled.steps": 8}, ("unlabeled", "no effect without data.unlabeled")),
        ({"data.label_descriptions": "names"}, ("data.label_descriptions", "contrastive.steps")),
        ({**WARM_UP, "model.name": "textcnn"}, ("contrastive.steps", "encoder", "model.head linear")),
        ({**POOL, "model.name": "textcnn"}, ("data.unlabeled", "encoder", "model.head linear")),
        ({**WARM_UP, "model.head": "native"}, ("model.head linear",)),
        ({**WARM_UP, "model.freeze": "encoder"}, ("model.freeze encoder",)),
        ({**WARM_UP, "model.lora.rank": 4}, ("model.lora",)),
        ({**POOL, "model.long_text": "windows"}, ("model.long_text windows",)),
        ({**WARM_UP, "train.epochs": 3, "train.batch_size": 8}, ("train.epochs, train.batch_size", "leave out")),
        ({**POOL, "train.learning_rate": 0.1}, ("data.unlabeled", "train.learning_rate", "leave out")),
        ({**WARM_UP, "train.max_steps": 1}, ("train.max_steps",)),
        ({**WARM_UP, "train.accumulation_steps": 2}, ("train.accumulation_steps",)),
        ({**WARM_UP, "train.patience": 2}, ("train.patience",)),
        ({**WARM_UP, "train.ema_decay": 0.9}, ("train.ema_decay",)),
        (
            {**POOL, "unlabeled.steps": 5, "mix.strategy": "word", "mix.targets": "remix"},
            ("data.unlabeled", "mix.targets remix"),
        ),
        (
            {**POOL, "unlabeled.steps": 5, "mix.strategy": "word", "mix.partner": "same_class"},
            ("data.unlabeled", "mix.partner same_class"),
        ),
        (
            {**POOL, "unlabeled.steps": 5, "mix.strategy": "word", "mix.targets": "trust"},
            ("data.unlabeled", "mix.targets trust"),
        ),
        ({**WARM_UP, "mix.strategy": "word", "mix.targets": "trust"}, ("contrastive.steps", "mix.targets trust")),
        ({**WARM_UP, "mix.strategy": "word", "mix.partner": "easy_hard"}, ("contrastive.steps", "easy_hard")),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {**WARM_UP, "contrastive.batch_size": 8, "data.label_descriptions": "names", "model.normalize": True},
        {**WARM_UP, "mix.strategy": "word", "mix.targets": "remix"},
        {**POOL, "unlabeled.steps": 0, "mix.strategy": "word", "mix.partner": "same_class", **WARM_UP},
        {**POOL, "unlabeled.guesses": ["spread"], "unlabeled.fit_head": True, "contrastive.head_strength": 1.0},
        {"data.unlabeled": "empty", "model.long_text": "head_tail", "train.precision": "fp32"},
    ],
)
def test_options_that_do(options: dict[str, Any]) -> None:
    found = config(**options)
    assert found.has_few_labels
    assert with_options(found, {}) == found


def test_without_them_a_run_has_many_labels() -> None:
    assert not config().has_few_labels
    assert config(**POOL).inputs == ["d.csv", "pool.csv", "minilm"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model.name": "textcnn"}, ("model.name textcnn",)),
        ({"model.head": "native"}, ("model.head native",)),
    ],
)
def test_normalize_needs_a_linear_head_on_an_encoder(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=rf"model.normalize has no effect with {words[0]}"):
        config(**options, **{"model.normalize": True})
