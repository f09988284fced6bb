"""The recipes: each opens with its command and a line on what it is, and is valid."""

import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from textmix.cli.main import COMMANDS
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.data.builtin import BUILTIN_DATASETS
from textmix.io.recipes import Recipe, find_recipe, list_recipes

RUNS = [recipe for recipe in list_recipes() if recipe.is_run]
OTHERS = [recipe for recipe in list_recipes() if not recipe.is_run]


def test_there_are_some_of_each_kind() -> None:
    assert {recipe.name.partition("/")[0] for recipe in RUNS} == {"bbc_news", "competition", "few_labels", "sentences"}
    assert {recipe.name.partition("/")[0] for recipe in OTHERS} == {"distributed", "scale"}


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.name)
def test_recipes_open_with_their_command_and_a_line_on_what_they_are(recipe: Recipe) -> None:
    first, second, *_ = recipe.path.read_text(encoding="utf-8").splitlines()
    assert (first, second) == (f"# {recipe.command}", f"# {recipe.summary}")
    words = shlex.split(recipe.command)
    assert words[0] in ("textmix", "accelerate", "python", "spark-submit")
    assert (recipe.name if recipe.is_run else recipe.path.name) in words[1:]
    assert 20 <= len(recipe.summary) <= 75


@pytest.mark.parametrize("recipe", RUNS, ids=lambda recipe: recipe.name)
def test_recipes_of_runs_are_valid_and_say_where_the_data_come_from(recipe: Recipe, in_tmp_path: Path) -> None:
    program, command, name, *_ = shlex.split(recipe.command)
    assert (program, name) == ("textmix", recipe.name)
    assert command in COMMANDS
    parser = run_parser("textmix train", "")
    needs_data = "needs --data.source" in recipe.summary
    config = to_run_config(parser, parse(parser, ["--config", name, *(["--data.source", "x"] if needs_data else [])]))
    assert needs_data == ("--data.source" in recipe.command)
    assert config.data.source == "x" if needs_data else config.data.source in BUILTIN_DATASETS


@pytest.mark.parametrize(
    "recipe", [one for one in OTHERS if one.command.startswith("accelerate")], ids=lambda recipe: recipe.name
)
def test_configurations_of_accelerate_are_valid(recipe: Recipe) -> None:
    *_, name = shlex.split(recipe.command)
    assert find_recipe(name).is_run
    assert load_config_from_file(str(recipe.path)).num_processes > 1
