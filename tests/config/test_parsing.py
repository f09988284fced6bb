"""Options that exist, in all forms that the parser takes, and those that do not."""

from pathlib import Path

import pytest

from tests.support.commands import tells
from textmix.config.parsing import check_options, option_names, parse, run_parser, to_run_config, with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError

CONFIG = RunConfig(DataConfig("x"))


def read(*words: str) -> RunConfig:
    parser = run_parser("textmix train", "")
    return to_run_config(parser, parse(parser, ["--data.source", "x", *words]))


def test_every_form_of_an_option_is_known() -> None:
    assert read("--train.trackers+", "wandb", "--train.trackers+=trackio").train.trackers == ["wandb", "trackio"]
    assert read("--train.epochs=7", "--train.seed", "3").train.epochs == 7
    assert read("--mix.strategy", "any", "--mix.any.choices.word", "0.5").mix.any.choices == {"word": 0.5}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mix.alfa", "1"], ["--mix.alfa", "'--mix.alpha'"]),
        (["--train.trackrs+", "wandb"], ["--train.trackrs", "'--train.trackers'"]),
        (["--mix.any.choses.word=1"], ["--mix.any.choses.word", "'--mix.any.choices'"]),
        (["--zebra", "red"], ["--zebra", "--help"]),
    ],
)
def test_an_option_that_does_not_exist_is_told_with_the_nearest(words: list[str], told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*words)
    assert tells(str(caught.value), "unknown option", *told)


def test_a_section_may_be_a_file(in_tmp_path: Path) -> None:
    Path("mix.yaml").write_text("alpha: 0.7\n")
    Path("recipe.yaml").write_text("mix: mix.yaml\n")
    assert read("--config", "recipe.yaml").mix.alpha == 0.7
    assert read("--mix", "mix.yaml").mix.alpha == 0.7


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("mix: {any: {choices: {word: 1}}, alfa: 1}", "unknown key 'mix.alfa'; did you mean 'mix.alpha'?"),
        ("mix: {alpha: {low: 1}}", 'Parser key "mix.alpha": '),
        ("mix: {}\nmixx: {}", "unknown key 'mixx'; did you mean 'mix'?"),
        ("1: 2", "unknown key '1'; --help lists all options"),
        ("model: {words: [1]}", "the section 'model.words' is not a mapping of options to values"),
    ],
)
def test_keys_of_a_recipe_are_options(recipe: str, message: str, in_tmp_path: Path) -> None:
    Path("recipe.yaml").write_text(recipe)
    with pytest.raises(ConfigError) as caught:
        read("--config=recipe.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_values_by_name_are_checked_alike() -> None:
    assert with_options(CONFIG, {"mix.alpha": 0.3}).mix.alpha == 0.3
    check_options(CONFIG, {"mix.alpha": 0.3})
    for options, message in (
        ({"mix.alfa": 1}, "unknown option 'mix.alfa'; did you mean 'mix.alpha'?"),
        ({"mix.alpha": "much"}, """Parser key "mix.alpha": Expected a <class 'float'>. Got value: much"""),
        ({"mix": None}, "the section 'mix' is not a mapping of options to values"),
    ):
        with pytest.raises(ConfigError) as caught:
            with_options(CONFIG, options)
        assert str(caught.value).startswith(message)
    assert {"data", "data.source", "mix.any.choices"} <= set(option_names())
