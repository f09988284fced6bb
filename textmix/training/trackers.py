"""Log the training history to experiment trackers, with accelerate."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from textmix.errors import ConfigError
from textmix.io.run_directory import TENSORBOARD

PROJECT = "textmix"


def check_trackers(names: Sequence[str]) -> None:
    """Check that the trackers are installed; accelerate would silently ignore a missing one.

    Args:
        names: As in `TrainConfig.trackers`; each is also the name of its package and of the extra.

    Raises:
        ConfigError: If one is missing; names the extra.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"train.trackers: {' and '.join(missing)} is not installed; pip install 'textmix[{','.join(missing)}]'"
        )


def start_trackers(accelerator: Accelerator, directory: Path, settings: Mapping[str, Any], step: int) -> None:
    """Start the trackers.

    Args:
        accelerator: An accelerator with these trackers.
        directory: Directory of the run, where trackers write their files; its name is the name of the run.
        settings: Options of the run, nested.
        step: Number of optimizer steps so far; tensorboard hides values of later steps, which are logged again.
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
    """Log a line of history.jsonl; a validation score is named like `validation/accuracy`."""
    accelerator.log({name: value for name, value in flatten(line, "/") if name != "step"}, step=line["step"])


def finish_trackers(accelerator: Accelerator) -> None:
    """Close the trackers; `Accelerator.end_training` would also destroy the process group."""
    for tracker in accelerator.trackers:
        tracker.finish()


def flatten(values: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """Yield the innermost values of nested mappings, with joined names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}{separator}{inner}", item) for inner, item in flatten(value, separator))
        else:
            yield name, value
