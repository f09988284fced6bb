"""One run among the many of an experiment, trained once however often the experiment is started."""

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
from textmix.runs.train import ALONE, Watch, resolve, train
from textmix.training.trackers import flatten


@contextmanager
def leaving_nothing(directory: Path, marker: str) -> Iterator[None]:
    """Remove a marker of an experiment, and its directory if this made it, where an error ends it before any run began.

    Args:
        directory: Directory of the experiment, which need not be there yet.
        marker: Name of the file that is written into it before the first run.
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


def run_cell(config: RunConfig, watch: Watch = ALONE) -> dict[str, Any]:
    """Train a run, unless it has finished; one that was interrupted goes on from its newest checkpoint.

    Args:
        config: What to do, and in which directory.
        watch: How the run is followed.

    Returns:
        What stands in metrics.json of the run.

    Raises:
        RunError: If the directory holds a run with other options.
        TextmixError: As `textmix.runs.train.train` raises.
    """
    config = resolve(config)
    assert config.output_dir is not None
    directory = Path(config.output_dir)
    begun = (directory / CONFIG_FILE).is_file()
    if begun:
        _check_same(directory, config)
    if not has_finished(directory):
        train(config, resume=begun, watch=watch)
    return read_json(directory / METRICS, dict)


def _check_same(directory: Path, config: RunConfig) -> None:
    found, asked = (dict(flatten(asdict(one), ".")) for one in (read_run_config(directory), config))
    different = sorted(name for name in asked if found.get(name) != asked[name] and name != "output_dir")
    if different:
        raise RunError(
            f"{directory} holds a run with another {', '.join(different)}; choose another --output_dir, or remove it"
        )
