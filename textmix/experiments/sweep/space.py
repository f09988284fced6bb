"""Search space of a sweep: options, their ranges or choices, and drawing them for a trial. Imports no Optuna."""

import dataclasses
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeAlias, get_args

from textmix.config.parsing import check_options, option_names
from textmix.config.run import OF_EPOCHS, RunConfig
from textmix.config.strict_yaml import load_yaml
from textmix.errors import ConfigError
from textmix.mixing.config import CONTROLS, DEFAULTS, idle_options, option_values
from textmix.models.config import WORD_MODELS

# All trials need the same rows and metric, and only the command line may allow remote code.
_FIXED = ("data", "output_dir", "train.seed", "train.metric", "model.trust_remote_code")


class Trial(Protocol):
    """The methods of `optuna.Trial` that are used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw an integer."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Draw one of the choices."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Args:
        low: The smallest.
        high: The largest.
        log: Draw uniformly on a logarithmic scale.
        whole: Draw integers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def extremes(self) -> list[Any]:
        """Values to check."""
        return [self.low, self.high]

    def draw(self, trial: Trial, name: str) -> float:
        """Draw a number."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclasses.dataclass(frozen=True)
class Choices:
    """A list of values.

    Args:
        values: The values.
    """

    values: list[Any]

    @property
    def extremes(self) -> list[Any]:
        """Values to check."""
        return self.values

    def draw(self, trial: Trial, name: str) -> Any:
        """Draw one of the values; as JSON, because Optuna stores only scalars and strings."""
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))


Space: TypeAlias = dict[str, Range | Choices]


def default_space(model: str) -> Path:
    """Return the built-in search space for a kind of model.

    Args:
        model: `model.name`.
    """
    name = "words" if model in WORD_MODELS else "encoder"
    return Path(str(files("textmix.experiments.sweep") / "spaces" / f"{name}.yaml"))


def load_space(path: Path, config: RunConfig) -> Space:
    """Read a search space: for each option a list of choices or `{low: …, high: …, log: true}`.

    Args:
        path: A YAML file.
        config: The base configuration whose options are searched.

    Raises:
        ConfigError: If the file cannot be read, a value does not fit its option, or an option has no effect.
    """
    content = load_yaml(path)
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path} is not a search space: it must map options, such as mix.alpha, to choices or ranges")
    known = list(option_names())
    for name in content:
        if any(name == fixed or str(name).startswith(f"{fixed}.") for fixed in _FIXED):
            raise ConfigError(f"{path}: '{name}' cannot be searched; give it on the command line or in the recipe")
        if config.has_few_labels and name in [f"train.{option}" for option in OF_EPOCHS]:
            raise ConfigError(f"{path}: no effect of '{name}' in a run for few labels; give a --space without it")
    check_options(config, {str(name): None for name in content if name not in known})  # raises with a suggestion
    space = {name: _read(f"{path}: {name}", value, _numbers(name)) for name, value in content.items()}
    for number in range(max(len(values.extremes) for values in space.values())):
        options = {name: values.extremes[number % len(values.extremes)] for name, values in space.items()}
        try:
            check_options(config, options)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return space


def draw(space: Space, trial: Trial, config: RunConfig) -> dict[str, Any]:
    """Draw the options of a trial.

    Options that have no effect with the options drawn before are skipped: `mix.manifold.layers` for every strategy
    except `manifold`, and all options of mixing for `none`.

    Args:
        space: The search space.
        trial: The trial to draw for.
        config: The base configuration.

    Returns:
        Values by dotted name. Options of the base configuration that no longer have an effect are reset to their
        defaults.
    """
    mix = option_values(config.mix)
    drawn: dict[str, Any] = {}
    for path in sorted(space, key=_rank):
        section, _, name = path.partition(".")
        mixes = section == "mix"
        if mixes and name != "strategy" and (mix["strategy"] == "none" or name in idle_options(mix)):
            continue
        drawn[path] = space[path].draw(trial, path)
        if mixes:
            mix[name] = drawn[path]
    reset = {name: DEFAULTS[name] for name in idle_options(mix) if mix[name] != DEFAULTS[name]}
    return {**drawn, **{f"mix.{name}": value for name, value in reset.items()}}


def _rank(path: str) -> int:
    """Return the sort key of an option: options on which others depend come first."""
    name = path.removeprefix("mix.")
    return CONTROLS.index(name) if path.startswith("mix.") and name in CONTROLS else len(CONTROLS)


def _read(where: str, value: Any, numbers: tuple[bool, bool]) -> Range | Choices:
    if isinstance(value, list) and value:
        return Choices(value)
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        raise ConfigError(f"{where} must be a list of choices, or {{low: …, high: …}}, optionally with log: true")
    if not any(numbers):
        raise ConfigError(f"{where} is not a number; list its choices")
    try:
        low, high = float(value["low"]), float(value["high"])  # YAML reads 1e-5 as a string
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: low and high must be numbers, not {value['low']} and {value['high']}") from None
    log, whole = value.get("log", False), not numbers[1]
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log must be true or false, not {log}")
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        raise ConfigError(f"{where}: low must be below high{', and above 0 with log' if log else ''}")
    if whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{where} takes integers, not {value['low']} and {value['high']}")
    return Range(int(low) if whole else low, int(high) if whole else high, log, whole)


def _numbers(path: str) -> tuple[bool, bool]:
    """Return whether an option accepts integers, and whether it accepts floats."""
    kind: Any = RunConfig
    for name in path.split("."):
        kind = next(field.type for field in dataclasses.fields(kind) if field.name == name)
    kinds = {kind, *get_args(kind)}
    return int in kinds, float in kinds


def plain(space: Space) -> Mapping[str, Any]:
    """Return a space as plain values."""
    return {name: dataclasses.asdict(values) for name, values in space.items()}
