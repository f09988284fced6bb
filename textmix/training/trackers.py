"""Tell experiment trackers what history.jsonl is told, through accelerate."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from textmix.errors import ConfigError
from textmix.io.run_directory import TENSORBOARD

PROJECT = "textmix"


def check_trackers(names: Sequence[str]) -> None:
    """Fail early when a tracker is not installed; accelerate would leave it out in silence.

    Args:
        names: As in `TrainConfig.trackers`; each is the name of its package and of our extra.

    Raises:
        ConfigError: If one is missing; names the extra.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"train.trackers: {' and '.join(missing)} is not installed; pip install 'textmix[{','.join(missing)}]'"
        )


def start_trackers(accelerator: Accelerator, directory: Path, settings: Mapping[str, Any], step: int) -> None:
    """Begin to track a run.

    Args:
        accelerator: Knows the trackers.
        directory: Directory of the run, in which those that write files write them; its name is the run's.
        settings: The run's options, nested.
        step: Optimizer steps made so far; what tensorboard was told of later ones is hidden, since it comes again.
    """
    options: dict[str, Any] = {
        TENSORBOARD: {"purge_step": step + 1},
        "wandb": {"name": directory.name, "dir": str(directory)},
        "trackio": {"name": directory.name},
    }
    plain = (bool, int, float, str)
    flat = {name: value if isinstance(value, plain) else str(value) for name, value in flatten(settings, ".")}
    accelerator.init_trackers(PROJECT, flat, options)


def log_line(accelerator: Accelerator, line: Mapping[str, Any]) -> None:
    """Tell the trackers a line of history.jsonl; a validation score is called `validation/accuracy` and so on."""
    accelerator.log({name: value for name, value in flatten(line, "/") if name != "step"}, step=line["step"])


def finish_trackers(accelerator: Accelerator) -> None:
    """Close the trackers; accelerate's own way of it would part the processes as well."""
    for tracker in accelerator.trackers:
        tracker.finish()


def flatten(values: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """Yield the innermost values of nested mappings, their names joined."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}{separator}{inner}", item) for inner, item in flatten(value, separator))
        else:
            yield name, value
