"""The commands of the documentation: every option exists, every file and target is there."""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.docs.pages import PAGES, ROOT, Page
from tests.support.topics import topic_rows
from textmix.cli.main import COMMANDS, main
from textmix.config.parsing import option_names, to_run_config
from textmix.errors import TextmixError

# A call of textmix in a page: the page, the arguments, and whether it is the whole of a command.
Call = tuple[str, list[str], bool]


class ParsedError(Exception):
    """Ends a command once its options were read."""


def textmix_calls(page: Page) -> Iterator[Call]:
    """Find the calls of textmix in a page: alone, behind a pipe, or started by a launcher."""
    for words in page.commands:
        for place, word in enumerate(words):
            if Path(word).name == "textmix" and (place == 0 or words[place - 1] in ("|", "-m")):
                yield page.path, words[place + 1 :], True
    for words in page.inline_commands:
        if words[0] == "textmix" and words[1] != "--help" and words[1] != "COMMAND":
            yield page.path, words[1:], False


CALLS = [call for page in PAGES for call in textmix_calls(page)]


@pytest.fixture
def parse_only(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let commands end behind their parsers, in a directory that has the data."""
    Path("data").symlink_to(ROOT / "data")
    for name in ("RECIPE.yaml", "best.yaml", "textcnn.yaml"):
        Path(name).write_text("data: {source: bbc_news}\n")

    def ending(parse: Callable[..., Any], whole: bool) -> Callable[..., NoReturn]:
        def parse_and_end(parser: Any, arguments: list[str]) -> NoReturn:
            if whole:
                namespace = parse(parser, arguments)
                if "train" in namespace:  # the options of a run must be valid together, too
                    to_run_config(parser, namespace)
            else:
                known = {f"--{name}" for name in parser.get_defaults().keys(branches=True)}
                assert {word for word in arguments if word.startswith("--")} <= {*known, "--help"}
            raise ParsedError

        return parse_and_end

    def prepare(whole: bool) -> None:
        for command in COMMANDS.values():
            module = sys.modules[command.run.__module__]
            monkeypatch.setattr(module, "parse", ending(module.parse, whole))

    return prepare


def existing(words: list[str]) -> list[str]:
    """Put a recipe in the place of files that only a run would have written."""
    return ["best.yaml" if re.fullmatch(r"runs/\S+\.yaml", word) else word for word in words]


@pytest.mark.parametrize(("page", "arguments", "whole"), CALLS, ids=[f"{call[0]}-{call[1][0]}" for call in CALLS])
def test_textmix_takes_the_options(
    parse_only: Callable[[bool], None], page: str, arguments: list[str], whole: bool
) -> None:
    name, *options = arguments
    assert name in COMMANDS, f"{page} has a command {name}"
    parse_only(whole)
    if "--resume" in options:
        with pytest.raises(TextmixError, match="no run at" if whole else "no run at|--resume takes"):
            COMMANDS[name].run(options)
    else:
        with pytest.raises(ParsedError):
            COMMANDS[name].run(existing(options))


def test_there_are_commands_of_every_kind() -> None:
    lists = {"datasets", "models", "strategies"}
    assert {arguments[0] for _, arguments, whole in CALLS if whole} == set(COMMANDS) - lists


def test_the_page_of_commands_names_each() -> None:
    named = set(re.findall(r"`textmix (\w+)`", Page("docs/command_line.md").text))
    assert named >= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_programs_targets_and_extras_exist(page: Page) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for words in [*page.commands, *page.inline_commands]:
        if words[0] == "make":
            assert set(words[1:2]) <= targets, words
        for word in words:
            extra = re.fullmatch(r"(?:textmix|\.)\[([\w,]+)\]", word)
            assert extra is None or word == "textmix[NAME]" or set(extra[1].split(",")) <= extras.keys(), words
        program = next((word for word in words if word.startswith(("benchmarks", "tests.support"))), None)
        if program is not None and Path(words[0]).name == "python":
            check_program(program, words)


def check_program(program: str, words: list[str]) -> None:
    """Check that a program of the repository is there and knows its options; options of a run have a dot."""
    path = ROOT / (program if program.endswith(".py") else f"{program.replace('.', '/')}.py")
    source = path.read_text(encoding="utf-8")
    for word in words[words.index(program) :]:
        if word.startswith("--") and "." in word:
            assert word.removeprefix("--") in option_names(), words
        elif word.startswith("--"):
            assert f'"{word}"' in source, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_named_options_exist(page: Page) -> None:
    known = set(option_names())
    for code in page.inline:
        for name in re.findall(r"^(?:--)?((?:data|model|mix|loss|train)\.[a-z][\w.]*)(?=$|[ :])", code):
            assert name in known or name.endswith((".json", ".yaml", ".onnx")), f"{page.path} names {name}"


class TestRunning:
    """The commands that are quick on a few rows."""

    def test_the_comparison(self, tmp_path: Path) -> None:
        (command,) = [words for words in Page("docs/experiments.md").commands if "compare" in words]
        recipe, *options = command[2:]
        sample = ["--data.source", str(ROOT / "data" / "messages.csv"), "--train.epochs", "1", "--seeds", "1"]
        assert main(["compare", recipe, *options, *sample, "--output_dir", str(tmp_path / "c")]) == 0
        assert len(list((tmp_path / "c").glob("*/seed-0/metrics.json"))) == 3

    def test_the_sample_data(self, tmp_path: Path) -> None:
        commands = [words for words in Page("data/README.md").commands if words[1] == "train"]
        for number, command in enumerate(commands):
            arguments = [str(ROOT / word) if word.startswith("data/") else word for word in command[1:]]
            assert main([*arguments, "--train.epochs", "1", "--output_dir", str(tmp_path / str(number))]) == 0

    def test_the_competition(self, in_tmp_path: Path) -> None:
        commands = [words[1:] for words in Page("docs/experiments.md").commands if words[1] in ("crossval", "ensemble")]
        rows = [f"{number},{text[:9]},{text},{label}" for number, (text, label) in enumerate(topic_rows(60))]
        Path("train.csv").write_text("\n".join(["id,name,description,label", *rows]))
        Path("test.csv").write_text("\n".join(["id,name,description", *(row.rsplit(",", 1)[0] for row in rows[:7])]))
        for command in commands:
            more = ["--train.epochs", "1", "--folds", "2"] if command[0] == "crossval" else []
            assert main([*command, *more]) == 0
        directories = [command[command.index("--output_dir") + 1] for command in commands]
        assert len(directories) == 3
        for directory in directories:
            lines = Path(directory, "submission.csv").read_text().splitlines()
            assert [line.split(",")[0] for line in lines] == ["id", *map(str, range(7))]
