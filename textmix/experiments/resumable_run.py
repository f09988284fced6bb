"""One run of an experiment: trained, resumed if it was interrupted, or read if it has finished."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textmix.config.parsing import read_run_config
from textmix.config.run import RunConfig
from textmix.errors import RunError, TextmixError
from textmix.io.files import read_json
from textmix.io.run_directory import CONFIG_FILE, METRICS, has_finished
from textmix.runs.options import resolve
from textmix.runs.train import train
from textmix.training.trackers import flatten
from textmix.training.trainer import OnEvaluation

# Options that a run fills in from its data, with their value before.
_FOUND = {
    "task": "auto",
    "train.metric": None,
    "train.epochs": None,
    "train.batch_size": None,
    "train.save_steps": "auto",
}


@contextmanager
def removed_if_unused(directory: Path, marker: str) -> Iterator[None]:
    """Clean up an experiment that fails before its first run starts: remove its marker and its new directory.

    Args:
        directory: Directory of the experiment; it may not exist yet.
        marker: Name of the file that is written before the first run.
    """
    fresh = not directory.exists()
    try:
        yield
    except TextmixError:
        if directory.exists() and [path.name for path in directory.iterdir()] == [marker]:
            (directory / marker).unlink()
            if fresh:
                directory.rmdir()
        raise


def train_or_resume(
    config: RunConfig,
    *,
    test: bool = True,
    sibling: Path | None = None,
    on_evaluation: OnEvaluation | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a run unless it has finished; resume it if it was interrupted.

    Args:
        config: All options, with the directory of the run.
        test: Evaluate the test split too.
        sibling: A run of the same experiment; its data digest must match.
        on_evaluation: Called with the validation scores after each epoch.
        show_progress: Show a progress bar, log lines, and a line for each epoch.

    Returns:
        The content of metrics.json.

    Raises:
        RunError: If the directory holds a run with other options.
        TextmixError: If training fails; see `textmix.runs.train.train`.
    """
    config = resolve(config)
    assert config.output_dir is not None
    directory = Path(config.output_dir)
    started = (directory / CONFIG_FILE).is_file()
    if started:
        _check_same(directory, config)
    if not has_finished(directory):
        train(
            config,
            resume=started,
            test=test,
            sibling=sibling,
            on_evaluation=on_evaluation,
            show_progress=show_progress,
        )
    return read_json(directory / METRICS, dict)


def _check_same(directory: Path, config: RunConfig) -> None:
    found, asked = (dict(flatten(asdict(one), ".")) for one in (read_run_config(directory), config))
    # A run has what was found from its data.
    free = {"output_dir", *(name for name, open_ in _FOUND.items() if asked.get(name) == open_)}
    different = sorted(name for name in asked.keys() - free if found.get(name) != asked[name])
    if different:
        raise RunError(
            f"{directory} holds a run with another {', '.join(different)}; choose another --output_dir, or remove it"
        )
