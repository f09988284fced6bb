"""The directory of a run: the names in it, and who may write there when."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from textmix.errors import RunError
from textmix.io.files import clear_leftovers, is_leftover, read_json
from textmix.io.locks import locked

CONFIG_FILE, ENVIRONMENT, DATA = "config.yaml", "environment.json", "data.json"
METRICS, REPORT, PREDICTIONS, HISTORY = "metrics.json", "report.md", "predictions.csv", "history.jsonl"
MODEL, CHECKPOINTS, ONNX, EVALUATIONS = "model", "checkpoints", "onnx", "evaluations"
PROFILE, TENSORBOARD = "profile", "tensorboard"
# What a run writes beside its configuration and environment, and what a new run in its directory removes.
_FILES = (METRICS, REPORT, PREDICTIONS, HISTORY, DATA)
_DIRECTORIES = (CHECKPOINTS, MODEL, ONNX, EVALUATIONS, PROFILE, TENSORBOARD)


# The SHA-256 of the rows of each split; None for a split that was made of the training rows.
Digests: TypeAlias = Mapping[str, str | None]


def run_paths(directory: Path) -> list[Path]:
    """List the files and directories that belong to a run; some may be missing."""
    return [directory / name for name in (CONFIG_FILE, ENVIRONMENT, *_FILES, *_DIRECTORIES)]


def checkpoint_directory(run: Path) -> Path:
    """Return the directory of a run's checkpoints."""
    return run / CHECKPOINTS


def has_finished(directory: Path) -> bool:
    """Say whether a run has finished: what is in `METRICS` is written last of all."""
    return (directory / METRICS).is_file()


def check_directory(directory: Path, overwrite: bool) -> None:
    """Fail early when a run cannot start in a directory.

    Raises:
        RunError: If there is something that is no run, or a run that may not be overwritten.
    """
    parent = directory if directory.exists() else next(path for path in directory.parents if path.exists())
    if not parent.is_dir():
        raise RunError(f"cannot make output_dir {directory}: {parent} is a file")
    if not directory.exists() or all(is_leftover(path) for path in directory.iterdir()):
        return
    if not all((directory / name).is_file() for name in (CONFIG_FILE, ENVIRONMENT)):
        raise RunError(f"output_dir {directory} exists and is not a run; choose another")
    if not overwrite:
        raise RunError(f"a run exists at {directory}; use --overwrite to replace it, or choose another output_dir")


def clear_directory(directory: Path) -> None:
    """Remove what an earlier run wrote there, and nothing else; its configuration is replaced later."""
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    for name in _DIRECTORIES:
        shutil.rmtree(directory / name, ignore_errors=True)


def data_digests(directory: Path) -> Digests | None:
    """Return the digests of the data that a run was begun on, for each split; None if they are not recorded.

    Raises:
        RunError: If the file is damaged.
    """
    path = directory / DATA
    return read_json(path, lambda content: {**content}) if path.is_file() else None


def check_data(directory: Path, digests: Digests) -> None:
    """Check that the data of a run have not changed since it was begun: changed rows may be in another split.

    Args:
        directory: The run.
        digests: The digests of the splits that are used, as in `SplitReport`.

    Raises:
        RunError: If one of them differs.
    """
    begun = data_digests(directory)
    changed = [name for name, digest in digests.items() if begun is not None and begun.get(name) != digest]
    if changed:
        raise RunError(
            f"{directory} was begun on other rows than its sources hold now ({', '.join(changed)}), some of which may"
            " be in another split: restore them, train in another directory, or evaluate new rows with --data.source"
        )


def refuse_links(directory: Path) -> None:
    """Make sure that what is written into a run, which may come from elsewhere, stays in it.

    Raises:
        RunError: If a directory in it is a link.
    """
    for path in (checkpoint_directory(directory), directory / EVALUATIONS):
        if path.is_symlink():
            raise RunError(f"{path} leads out of the run; put a directory in its place")


@contextmanager
def run_lock(directory: Path) -> Iterator[None]:
    """Exclude other processes from training in a directory, and remove the unfinished files of killed ones.

    Raises:
        RunError: If another process is training there, or a directory in it is a link.
    """
    refuse_links(directory)
    with locked(directory):
        clear_leftovers(directory)
        clear_leftovers(checkpoint_directory(directory))
        yield
