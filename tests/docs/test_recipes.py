"""The recipes: each opens with its command and is valid."""

import re
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from tests.docs.pages import ROOT
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.config.run import RunConfig

LAUNCHES = sorted(ROOT.glob("recipes/scale/*.yaml"))
RECIPES = sorted({*ROOT.glob("recipes/**/*.yaml")} - {*LAUNCHES})


@pytest.mark.parametrize("path", LAUNCHES, ids=lambda path: path.stem)
def test_configurations_of_accelerate_open_with_their_command_and_are_valid(path: Path) -> None:
    command = path.read_text().splitlines()[0]
    assert re.fullmatch(rf"# accelerate launch --config_file {path.relative_to(ROOT)} -m textmix train (\S+)", command)
    assert (ROOT / command.split()[-1]).is_file()
    assert load_config_from_file(str(path)).num_processes > 1


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_open_with_their_command_and_are_valid(path: Path) -> None:
    assert re.match(rf"# textmix (train|compare|crossval) {path.relative_to(ROOT)}\b", path.read_text())
    parser = run_parser("textmix train", "")
    assert isinstance(to_run_config(parser, parse(parser, ["--config", str(path)])), RunConfig)
