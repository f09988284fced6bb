"""Read options from YAML and the command line, with errors that suggest the nearest option. Imports no torch."""

import dataclasses
import itertools
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, DefaultHelpFormatter, Namespace

from textmix.config.run import RunConfig
from textmix.config.strict_yaml import load_yaml
from textmix.errors import ConfigError, RunError, nearest, one_line
from textmix.io.recipes import names_run, recipe_path
from textmix.io.run_directory import CONFIG_FILE

# The options that most runs need, in the order of their use.
COMMON = {
    "data.source": "training data: a file, a folder, a hub id, or a name that `textmix datasets` lists",
    "data.text_column": "column of the text; two columns hold pairs",
    "data.label_column": "column of the label, or several",
    "task": "the kind of labels, if the data do not tell it",
    "model.name": "minilm, textcnn, textrnn, fasttext, or any encoder of transformers",
    "mix.strategy": "how training rows are mixed: `textmix strategies`",
    "train.epochs": "passes over the training rows",
    "train.learning_rate": "highest learning rate",
    "output_dir": "directory of the run",
}


class _HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps the lines of the description, which lists the common options."""


def run_parser(prog: str, description: str) -> ArgumentParser:
    """Build a parser of `RunConfig`: a recipe and options that override it.

    The usage is one line, and `--help` begins with the options of `COMMON`; all options follow by section.
    """
    lines = [f"  --{name:<20} {what}" for name, what in COMMON.items()]
    parser = ArgumentParser(
        prog=prog,
        usage=f"{prog} [RECIPE] [OPTIONS]",
        description="\n".join([description, "", "common options, with all others below:", *lines]),
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument(
        "--config",
        action=ActionConfigFile,
        help="the recipe: a YAML file, or a name that `textmix recipes` lists; can also be the first argument, without"
        " --config",
    )
    parser.add_class_arguments(RunConfig)
    return parser


def with_recipe(arguments: list[str]) -> list[str]:
    """Allow the recipe as first argument of a command line, without `--config`."""
    return ["--config", *arguments] if arguments and not arguments[0].startswith("-") else arguments


def parse(parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """Parse the command line.

    Raises:
        ConfigError: If an option is unknown, missing, or of the wrong type, or a recipe cannot be read.
    """
    known = {"--help", "--print_config", *(f"--{name}" for name in parser.get_defaults().keys(branches=True))}
    _check_words(arguments, known)
    arguments = list(_with_recipe_paths(arguments))
    for word, following in itertools.pairwise([*arguments, ""]):
        if word.startswith("--config=") or (word == "--config" and following):
            _check_keys(load_yaml(Path(word.removeprefix("--config=") if "=" in word else following)), known)
    try:
        return parser.parse_args(arguments)
    except ArgumentError as error:
        message = one_line(str(error))
        choice = "; it is a file, a built-in data set or a hub id" if message.endswith(" required: data.source") else ""
        raise ConfigError(message + choice) from error
    except ValueError as error:  # a path with an invalid character
        raise ConfigError(f"an option has an invalid value: {error}") from error


def _with_recipe_paths(arguments: list[str]) -> Iterator[str]:
    """Replace names of recipes by paths."""
    for previous, word in itertools.pairwise(["", *arguments]):
        option, _, name = word.partition("=")
        if option == "--config" and name:
            yield f"{option}={recipe_path(name)}"
        elif previous == "--config" and word:
            yield str(recipe_path(word))
        else:
            yield word


def to_run_config(parser: ArgumentParser, namespace: Namespace) -> RunConfig:
    """Build the RunConfig of a parsed command line.

    Raises:
        ConfigError: If a value is invalid, alone or with the others.
    """
    for section in dict.fromkeys(name.rpartition(".")[0] for name in option_names() if "." in name):
        if not isinstance(namespace.get(section), Namespace):  # the parser accepts any value for a section
            raise _no_mapping(section)
    values = parser.instantiate(namespace)
    return RunConfig(**{field.name: values[field.name] for field in dataclasses.fields(RunConfig)})


def with_options(config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """Change options of a configuration.

    Args:
        config: A configuration.
        options: New values by dotted name, as in `mix.alpha`.

    Raises:
        ConfigError: If an option is unknown, has the wrong type, or is invalid with the others.
    """
    return to_run_config(_parser_of_values(), _parse_values(config, options))


def check_options(config: RunConfig, options: Mapping[str, Any]) -> None:
    """Check that options exist and have the right type; they may be invalid with others.

    Args:
        config: A configuration that the options belong to.
        options: Values by dotted name.

    Raises:
        ConfigError: If an option is unknown or has the wrong type.
    """
    _parse_values(config, options)


@cache
def _parser_of_values() -> ArgumentParser:
    """Build the parser once: it takes 0.2 s, which would add to each fit of an estimator."""
    return run_parser("textmix train", "")


def _parse_values(config: RunConfig, options: Mapping[str, Any]) -> Namespace:
    known = list(option_names())
    values = config.to_dict()
    for name, value in options.items():
        if name not in known:
            raise ConfigError(f"unknown option '{name}'{_near(name, known)}")
        *sections, last = name.split(".")
        target = values
        for section in sections:
            target = target[section]
        target[last] = value
    try:
        parsed: Namespace = _parser_of_values().parse_object(values)
    except ArgumentError as error:
        raise ConfigError(one_line(str(error))) from error
    return parsed


TRUST = "--model.trust_remote_code"


def add_trust(parser: ArgumentParser) -> None:
    """Add the option that lets a command run the Python code of a model."""
    parser.add_argument(
        TRUST,
        type=bool,
        default=False,
        help="run the Python code that a model with a custom architecture was saved with",
    )


def check_trust(config: RunConfig, arguments: list[str]) -> RunConfig:
    """Check that the command line allows code of the model, not only a file, which may come from elsewhere.

    Args:
        config: The options of files and command line together.
        arguments: The command line.

    Raises:
        ConfigError: If only a file allows it.
    """
    if config.model.trust_remote_code and not any(word.split("=")[0] == TRUST for word in arguments):
        raise ConfigError(
            f"the file sets model.trust_remote_code, which runs code that comes with '{config.model.name}'; to allow"
            f" that, add {TRUST} true"
        )
    return config


def read_run_config(directory: Path) -> RunConfig:
    """Read the configuration of a run.

    Raises:
        RunError: If the directory is not a run.
        ConfigError: If its configuration is damaged.
    """
    if not directory.is_dir():
        raise RunError(f"no run at {directory}")
    file = directory / CONFIG_FILE
    if not file.is_file():
        raise RunError(f"{directory} is not a run: it has no {CONFIG_FILE}")
    parser = run_parser("textmix train", "")
    return to_run_config(parser, parse(parser, ["--config", str(file)]))


def is_recipe(name: str) -> bool:
    """Test whether a name is that of a recipe: a YAML file, or one that comes with textmix."""
    return Path(name).suffix in (".yaml", ".yml") or names_run(name)


def read_recipe(name: str, source: str | None = None) -> RunConfig:
    """Read a recipe.

    Args:
        name: A YAML file, or a name that `textmix recipes` lists.
        source: `data.source`, instead of that of the recipe.

    Raises:
        ConfigError: If there is no such recipe, or it is invalid.
    """
    parser = run_parser("textmix train", "")
    replaced = [] if source is None else ["--data.source", source]
    return to_run_config(parser, parse(parser, ["--config", name, *replaced]))


def _check_words(words: list[str], known: set[str]) -> None:
    """Check that every option of a command line exists.

    Raises:
        ConfigError: Names the nearest option.
    """
    mappings = tuple(f"{option}." for option in known if not _is_section(option, known))
    for word in words:
        option = word.split("=")[0].removesuffix("+")  # --name+ value appends to a list
        if option.startswith("--") and option not in known and not option.startswith(mappings):
            raise ConfigError(f"unknown option {option}{_near(option, known)}")


def _check_keys(recipe: Any, known: set[str]) -> None:
    """Check that every key of a recipe is an option, and that its sections are mappings, or names of files of them.

    Raises:
        ConfigError: Names the nearest key.
    """
    names = {option.removeprefix("--") for option in known}
    for name, value in _leaves(recipe, "", names):
        if name not in names:
            raise ConfigError(f"unknown key '{name}'{_near(name, names)}")
        if _is_section(name, names) and not isinstance(value, Mapping | str):
            raise _no_mapping(name)


def _leaves(values: Any, prefix: str, names: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values of a recipe; the values of options may be mappings themselves."""
    for key, value in values.items() if isinstance(values, Mapping) else ():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and (name not in names or _is_section(name, names)):
            yield from _leaves(value, f"{name}.", names)
        else:
            yield name, value


def _is_section(name: str, names: set[str]) -> bool:
    return any(other.startswith(f"{name}.") for other in names)


def _no_mapping(section: str) -> ConfigError:
    return ConfigError(f"the section '{section}' is not a mapping of options to values, as in model.name: minilm")


def _near(name: str, options: Iterable[str]) -> str:
    return nearest(name, sorted(options)) or "; --help lists all options"


def option_names() -> Iterator[str]:
    """List the dotted names of all options of a run."""
    yield from _names(RunConfig, "")


def _names(kind: Any, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        yield f"{prefix}{field.name}"
        if dataclasses.is_dataclass(field.type):
            yield from _names(field.type, f"{prefix}{field.name}.")
