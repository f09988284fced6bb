"""Train all strategies with the same seeds or folds, and compare their scores."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textmix.config.run import RunConfig, slug
from textmix.data.sources import source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION
from textmix.errors import ConfigError, RunError, TextmixError, TrainingInterrupted
from textmix.experiments.compare.results import summarize
from textmix.experiments.compare.variants import NONE, Variant
from textmix.experiments.resumable_run import removed_if_unused, train_or_resume
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import ADAPTER, CONFIG_FILE, DATA, MODEL, check_data, data_digests, refuse_foreign
from textmix.runs.data import with_task
from textmix.runs.environment import environment
from textmix.runs.options import resolve

COMPARISON, LOG = "comparison.json", "log.txt"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Args:
        name: The strategy, as the user wrote it.
        pair: The seed or fold, such as `seed 0`; each strategy has one run for it.
        config: All options, with the directory of the run.
    """

    name: str
    pair: str
    config: RunConfig


@dataclass
class Progress:
    """The progress of a comparison.

    Args:
        runs: All runs in training order: all strategies of the first seed or fold, then those of the next.
        metrics: Contents of metrics.json of the finished runs, by strategy.
    """

    runs: list[PlannedRun]
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The strategies."""
        return list(dict.fromkeys(run.name for run in self.runs))

    @property
    def pairs(self) -> list[str]:
        """The seeds or folds."""
        return list(dict.fromkeys(run.pair for run in self.runs))

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return sum(map(len, self.metrics.values()))


def plan_runs(config: RunConfig, variants: Sequence[Variant], count: int, folds: bool = False) -> list[PlannedRun]:
    """Plan the runs of a comparison.

    Splits, initial weights, batch order and dropout depend only on the seed, and mixing has its own generator. Runs
    with the same seed therefore differ only in mixing.

    Args:
        config: The base configuration; its `train.seed` is the first seed.
        variants: The strategies to compare.
        count: Number of seeds or folds.
        folds: Split the data into `count` folds; each is the test split once, with its own seed.

    Raises:
        ConfigError: If a seed is out of range, the data cannot be split into folds, or there is no test split.
    """
    if not folds and not config.data.has_test_split:
        raise ConfigError("a comparison needs a test split; set data.test_fraction above 0, or give --folds")
    assert config.output_dir is not None
    runs = []
    for number in range(count):
        data, seed = config.data, config.train.seed + number
        pair = f"fold {number}" if folds else f"seed {seed}"
        if folds:  # all folds come from one split, independent of the run's seed
            data = replace(data, folds=count, fold=number, split_seed=data.seed(config.train.seed))
        for variant in variants:
            directory = Path(config.output_dir) / variant.directory / pair.replace(" ", "-")
            train = replace(config.train, seed=seed)
            own = replace(config, data=data, mix=variant.mix, train=train, output_dir=str(directory))
            runs.append(PlannedRun(variant.name, pair, own))
    return runs


def choose_directory(config: RunConfig) -> RunConfig:
    """Choose the directory of a comparison unless one is given, and resolve the options.

    Raises:
        RunError: If the directory holds a run or other files.
    """
    directory = config.output_dir or f"runs/{source_name(config.data.source)}-{slug(config.model.name)}-comparison"
    if (Path(directory) / CONFIG_FILE).exists():
        raise RunError(f"{directory} is a run; choose another --output_dir for the comparison")
    refuse_overwriting(Path(directory), config.inputs, "output_dir")
    started = (Path(directory) / COMPARISON).is_file() or any(Path(directory).glob(f"*/*/{CONFIG_FILE}"))
    refuse_foreign(Path(directory), "a comparison", started, LOG)
    return with_task(resolve(replace(config, output_dir=directory)))[0]


def compare_runs(
    config: RunConfig,
    variants: Sequence[Variant],
    runs: list[PlannedRun],
    keep_models: bool,
    on_progress: Callable[[Progress], None],
) -> dict[str, Any]:
    """Train the runs that have not finished, and compare the strategies.

    Args:
        config: The base configuration, with the directory of the comparison.
        variants: The strategies. The baseline of the tests is `none` if present, otherwise the first strategy.
        runs: The runs, as `plan_runs` returns them.
        keep_models: Keep the model of each run; otherwise it is removed when the run has finished.
        on_progress: Called before each run, and at the end.

    Returns:
        The content of comparison.json.

    Raises:
        TextmixError: If a run fails; the message names the run.
        TrainingInterrupted: On Ctrl-C or SIGTERM.
    """
    assert config.output_dir is not None
    progress = _train_all(Path(config.output_dir), runs, keep_models, on_progress)
    names = [variant.name for variant in variants]
    baseline = NONE if NONE in names else names[0]
    records = summarize(progress.metrics, baseline, config.known_task)
    return {
        "baseline": baseline,
        "pairs": progress.pairs,
        "strategies": {variant.name: {"options": variant.options, **records[variant.name]} for variant in variants},
        "config": config.to_dict(),
        "environment": environment(config.train.precision),
    }


def _train_all(
    directory: Path, runs: list[PlannedRun], keep_models: bool, on_progress: Callable[[Progress], None]
) -> Progress:
    """Train the runs one after the other, with their output redirected to log.txt."""
    progress = Progress(runs)
    sibling = _find_sibling(directory)
    with removed_if_unused(directory, LOG):
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / LOG).open("a", encoding="utf-8", buffering=1) as log:
            for run in runs:
                on_progress(progress)
                log.write(f"\n{run.config.output_dir}\n")
                with redirect_stdout(log), redirect_stderr(log):
                    metrics = _train(run, keep_models, sibling)
                progress.metrics.setdefault(run.name, []).append(metrics)
                sibling = sibling or Path(str(run.config.output_dir))
    on_progress(progress)
    return progress


def _find_sibling(directory: Path) -> Path | None:
    """Return an existing run of the comparison, after checking that all existing runs have the same data."""
    runs = sorted(path.parent for path in directory.glob(f"*/*/{DATA}"))
    if not runs:
        return None
    recorded = data_digests(runs[0])
    assert recorded is not None
    # Rows without labels are drawn for each seed.
    digests = {name: digest for name, digest in recorded.items() if name in (TRAIN, VALIDATION, TEST)}
    for run in runs:
        check_data(run, digests)
    return runs[0]


def _train(run: PlannedRun, keep_models: bool, sibling: Path | None) -> dict[str, Any]:
    directory = Path(str(run.config.output_dir))
    try:
        metrics = train_or_resume(run.config, sibling=sibling)
    except TrainingInterrupted as interruption:
        raise TrainingInterrupted(
            f"interrupted in {directory}; run the same command again to resume", interruption.number
        ) from None
    except TextmixError as error:
        raise type(error)(f"{run.name}, {run.pair}: {error}") from error
    if not keep_models:
        for name in (MODEL, ADAPTER):
            shutil.rmtree(directory / name, ignore_errors=True)
    return metrics
