"""Read options from YAML and the command line, with one-line errors that name the nearest right option. No torch."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from textmix.config.recipe_guard import check_recipe
from textmix.config.run import RunConfig
from textmix.errors import ConfigError, RunError, nearest
from textmix.io.run_directory import CONFIG_FILE


def run_parser(prog: str, description: str) -> ArgumentParser:
    """Make a parser of `RunConfig`: a recipe and overrides."""
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action=ActionConfigFile, help="the recipe; also as first argument without --config")
    parser.add_class_arguments(RunConfig)
    return parser


def with_recipe(arguments: list[str]) -> list[str]:
    """Let the first word of a command line be the recipe, without `--config`."""
    return ["--config", *arguments] if arguments and not arguments[0].startswith("-") else arguments


def parse(parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """Parse the command line.

    Raises:
        ConfigError: If an option is unknown, missing, or of the wrong type, or a recipe cannot be read.
    """
    for word, following in itertools.pairwise([*arguments, ""]):
        if word.startswith("--config=") or (word == "--config" and following):
            check_recipe(Path(word.removeprefix("--config=") if "=" in word else following))
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        known = [option for action in parser._actions for option in action.option_strings]
        raise ConfigError(explain(str(error), known)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the recipe is not UTF-8: {error.reason}") from error
    except ValueError as error:  # of paths, which may not have every character
        raise ConfigError(f"an option has a value that cannot be one: {error}") from error


def to_run_config(parser: ArgumentParser, namespace: Namespace) -> RunConfig:
    """Build the RunConfig of a parsed command line.

    Raises:
        ConfigError: If values cannot work, alone or beside the others.
    """
    # In the order of the options, in which a section comes before those within it.
    for section in dict.fromkeys(name.rpartition(".")[0] for name in option_names() if "." in name):
        if not isinstance(namespace.get(section), Namespace):
            # Of a section that was none, options of the command line make one that lacks the sections within it.
            wrong = section if section in namespace else section.rpartition(".")[0]
            raise ConfigError(f"the section '{wrong}' of the recipe is no mapping of options to values")
    values = parser.instantiate(namespace)
    return RunConfig(**{field.name: values[field.name] for field in dataclasses.fields(RunConfig)})


def with_options(config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """Change options of a configuration.

    Args:
        config: A configuration.
        options: New values by dotted name, as in `mix.alpha`.

    Raises:
        ConfigError: If an option is unknown, has the wrong type, or cannot work beside the others.
    """
    return to_run_config(_parser_of_values(), _parse_values(config, options))


def check_options(config: RunConfig, options: Mapping[str, Any]) -> None:
    """Check that options exist and have the right type, whether or not they can work beside the others.

    Args:
        config: A configuration that they may be given to.
        options: Values by dotted name.

    Raises:
        ConfigError: If an option is unknown or has the wrong type.
    """
    _parse_values(config, options)


@cache
def _parser_of_values() -> ArgumentParser:
    """Make the parser once: that takes a fifth of a second, which every fit of an estimator would spend."""
    return run_parser("textmix train", "")


def _parse_values(config: RunConfig, options: Mapping[str, Any]) -> Namespace:
    known = list(option_names())
    values = config.to_dict()
    for name, value in options.items():
        if name not in known:
            raise ConfigError(f"unknown option '{name}'{_near(name, known)}")
        *sections, last = name.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[last] = value
    try:
        parsed: Namespace = _parser_of_values().parse_object(values)
    except ArgumentError as error:
        raise ConfigError(explain(str(error), known)) from error
    return parsed


TRUST = "--model.trust_remote_code"


def add_trust(parser: ArgumentParser) -> None:
    """Give a command that loads the model of a run the option without which no code of the model's is run."""
    parser.add_argument(
        TRUST,
        type=bool,
        default=False,
        help="run the Python code that a model of an architecture of its own was saved with",
    )


def check_trust(config: RunConfig, arguments: list[str]) -> RunConfig:
    """Make sure that it was the command line that asked for code to be run, not a file that may come from elsewhere.

    Args:
        config: What files and command line say together.
        arguments: The command line.

    Raises:
        ConfigError: If only a file asks for it.
    """
    if config.model.trust_remote_code and not any(word.split("=")[0] == TRUST for word in arguments):
        raise ConfigError(
            f"the file asks for model.trust_remote_code: code that comes with '{config.model.name}' would run; if you"
            f" trust it, add {TRUST} true"
        )
    return config


def read_run_config(directory: Path) -> RunConfig:
    """Read the configuration of a run.

    Raises:
        RunError: If the directory is not a run.
        ConfigError: If its configuration was damaged.
    """
    if not directory.is_dir():
        raise RunError(f"no run at {directory}")
    file = directory / CONFIG_FILE
    if not file.is_file():
        raise RunError(f"{directory} is not a run: it has no {CONFIG_FILE}")
    parser = run_parser("textmix train", "")
    return to_run_config(parser, parse(parser, ["--config", str(file)]))


def explain(message: str, known: list[str]) -> str:
    """Turn a message of the parser into one line that says what is wrong and what would be right.

    Args:
        message: What the parser says.
        known: The options that it knows, with their dashes.
    """
    unrecognized = re.search(r"unrecognized arguments: (--\S+|\S+)", message)
    if unrecognized:
        name = unrecognized[1].split("=")[0]
        if not name.startswith("-"):
            return f"unexpected argument '{name}'; what takes no dashes comes before the options"
        return f"unknown option {name}{_near(name, known)}"
    in_group = re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message)
    if in_group:
        name = f"{in_group[1]}.{in_group[2].removeprefix(in_group[1] + '.')}"
        return f"unknown key '{name}'{_near(name, list(option_names()))}"
    at_top = re.search(r"Option '([\w.]+)' is not accepted", message)
    if at_top:
        return f"unknown key '{at_top[1]}'{_near(at_top[1], list(option_names()))}"
    missing = re.search(r"the following arguments are required: (.+)", message)
    if missing:
        return f"missing: {missing[1]}"
    section = re.search(r"Unable to load config '([^']*)'", message)
    if section:
        return f"'{section[1]}' is no section of options; give its options by name, as in model.name: minilm"
    wrong = re.search(r'Parser key "([^"]+)":\s*(.+)', message, flags=re.DOTALL)
    if wrong:
        reason = re.sub(r"<class '(\w+)'>", r"\1", wrong[2])
        union = re.search(r"Union subtypes\s+Subtypes: \[(.+?)\]\s+Errors:.*Given value: (.*)", reason, flags=re.DOTALL)
        if union:
            kinds = re.sub(r"typing\.Literal\[(.*?)\]", r"\1", union[1]).replace("NoneType", "null")
            return f"{wrong[1]}: '{_one_line(union[2])}' is none of {_one_line(kinds)}"
        return f"{wrong[1]}: {_one_line(reason)}"
    return _one_line(message)


def _near(name: str, options: list[str]) -> str:
    return nearest(name, options) or "; --help lists all options"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def option_names() -> Iterator[str]:
    """List the dotted names of all options of a run."""
    yield from _names(RunConfig, "")


def _names(kind: Any, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        yield f"{prefix}{field.name}"
        if dataclasses.is_dataclass(field.type):
            yield from _names(field.type, f"{prefix}{field.name}.")
