"""Run directories: the names of their files, and what may be written into a directory."""

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
RESIDUALS = "residuals.png"
MODEL, ADAPTER, CHECKPOINTS, ONNX, EVALUATIONS = "model", "adapter", "checkpoints", "onnx", "evaluations"
PROFILE, TENSORBOARD = "profile", "tensorboard"
# Files of a run other than its configuration and environment; a new run in the directory removes them.
_FILES = (METRICS, REPORT, PREDICTIONS, HISTORY, DATA)
_DIRECTORIES = (CHECKPOINTS, MODEL, ADAPTER, ONNX, EVALUATIONS, PROFILE, TENSORBOARD)

# The SHA-256 of the rows of each split; None for a split that was made of the training rows.
Digests: TypeAlias = Mapping[str, str | None]


def run_paths(directory: Path) -> list[Path]:
    """List the files and directories that belong to a run; some may be missing."""
    return [directory / name for name in (CONFIG_FILE, ENVIRONMENT, *_FILES, *_DIRECTORIES)]


def checkpoint_directory(run: Path) -> Path:
    """Return the directory of a run's checkpoints."""
    return run / CHECKPOINTS


def has_finished(directory: Path) -> bool:
    """Test whether a run has finished: the file `METRICS` is written last."""
    return (directory / METRICS).is_file()


def check_parents(directory: Path) -> None:
    """Check that a directory exists or can be made.

    Raises:
        RunError: If a part of its path is a file.
    """
    place = next(path for path in (directory, *directory.parents) if path.exists())
    if not place.is_dir():
        raise RunError(f"cannot make output_dir {directory}: {place} is a file")


def refuse_foreign(directory: Path, kind: str, begun: bool, *ignored: str) -> None:
    """Check that a directory can be written to: that it is free, or holds an earlier result of the same kind.

    A directory is free if it is missing, or holds only what killed processes left.

    Args:
        directory: The directory.
        kind: What is written there, with its article, for the message.
        begun: Whether the directory has the mark of that kind.
        *ignored: Names of files that a free directory may hold.

    Raises:
        RunError: If the directory holds anything else, or a part of its path is a file.
    """
    check_parents(directory)
    if begun or not directory.exists():
        return
    if not all(is_leftover(path) or path.name in ignored for path in directory.iterdir()):
        raise RunError(f"output_dir {directory} exists and is not {kind}; choose another")


def check_directory(directory: Path, overwrite: bool) -> None:
    """Check early that a run can start in a directory.

    Raises:
        RunError: If the directory holds anything but a run, or a run that may not be overwritten.
    """
    begun = all((directory / name).is_file() for name in (CONFIG_FILE, ENVIRONMENT))
    refuse_foreign(directory, "a run", begun)
    if begun and not overwrite:
        raise RunError(f"a run exists at {directory}; use --overwrite to replace it, or choose another output_dir")


def clear_directory(directory: Path) -> None:
    """Remove what an earlier run wrote, and nothing else; its configuration is replaced later."""
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    for name in _DIRECTORIES:
        shutil.rmtree(directory / name, ignore_errors=True)


def data_digests(directory: Path) -> Digests | None:
    """Return the digests of the data that a run was started on, for each split; None if they are not recorded.

    Raises:
        RunError: If the file is damaged.
    """
    path = directory / DATA
    return read_json(path, lambda content: {**content}) if path.is_file() else None


def check_data(directory: Path, digests: Digests) -> None:
    """Check that the data of a run have not changed since it started: changed rows may be in another split.

    Args:
        directory: The run.
        digests: The digests of the splits that are used, as in `SplitReport`.

    Raises:
        RunError: If one of them differs.
    """
    recorded = data_digests(directory)
    changed = [name for name, digest in digests.items() if recorded is not None and recorded.get(name) != digest]
    if changed:
        raise RunError(
            f"the data of {directory} have changed since it started ({', '.join(changed)}), and rows may be in another"
            " split: restore the data, train in another directory, or evaluate new rows with --data.source"
        )


def refuse_links(directory: Path) -> None:
    """Check that no directory of a run is a link: a run from another source could redirect files to other places.

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
