"""Train every strategy with the same seeds, and compare what comes of it."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textmix.config.run import RunConfig, slug
from textmix.data.sources import source_name
from textmix.errors import RunError, TextmixError, TrainingInterrupted
from textmix.experiments.compare.results import summarize
from textmix.experiments.compare.variants import NONE, Variant
from textmix.experiments.resumable_run import leaving_nothing, run_cell
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import CONFIG_FILE, DATA, MODEL, check_data, data_digests, refuse_foreign
from textmix.runs.environment import environment
from textmix.runs.train import Watch, resolve

COMPARISON, LOG = "comparison.json", "log.txt"


@dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Args:
        name: The strategy, as it was written.
        pair: The seed or fold that it shares with a run of each other strategy, such as `seed 0`.
        config: What to do, and where.
    """

    name: str
    pair: str
    config: RunConfig


@dataclass
class Standing:
    """How far a comparison has come.

    Args:
        cells: All runs, in the order in which they are made: all strategies with the first seed or fold come first.
        metrics: For each strategy what is in metrics.json of the runs that have finished.
    """

    cells: list[Cell]
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The strategies."""
        return list(dict.fromkeys(cell.name for cell in self.cells))

    @property
    def pairs(self) -> list[str]:
        """The seeds or folds."""
        return list(dict.fromkeys(cell.pair for cell in self.cells))

    @property
    def done(self) -> int:
        """How many runs have finished."""
        return sum(map(len, self.metrics.values()))


def plan_cells(config: RunConfig, variants: Sequence[Variant], count: int, folds: bool = False) -> list[Cell]:
    """Lay out the runs of a comparison.

    Splits, initial weights, batch order and dropout depend on the seed alone, mixing has a generator of its own: for a
    seed, strategies differ in nothing but mixing.

    Args:
        config: The recipe; its `train.seed` is the first seed.
        variants: What to compare.
        count: Number of seeds.
        folds: Cut the data into so many folds, and take one after the other as test split, each with a seed of its own.

    Raises:
        ConfigError: If the seeds are not in their range, or the data cannot be cut into folds.
    """
    assert config.output_dir is not None
    cells = []
    for number in range(count):
        data, seed = config.data, config.train.seed + number
        pair = f"fold {number}" if folds else f"seed {seed}"
        if folds:  # which are those of one seed, whatever the seed of the run
            data = replace(data, folds=count, fold=number, split_seed=data.seed(config.train.seed))
        for variant in variants:
            directory = Path(config.output_dir) / variant.directory / pair.replace(" ", "-")
            train = replace(config.train, seed=seed)
            own = replace(config, data=data, mix=variant.mix, train=train, output_dir=str(directory))
            cells.append(Cell(variant.name, pair, own))
    return cells


def place(config: RunConfig) -> RunConfig:
    """Choose a directory for a comparison, unless there is one, and resolve all that depends on this machine.

    Raises:
        RunError: If the directory is a run, or holds anything else.
    """
    directory = config.output_dir or f"runs/{source_name(config.data.source)}-{slug(config.model.name)}-comparison"
    if (Path(directory) / CONFIG_FILE).exists():
        raise RunError(f"{directory} is a run; choose another --output_dir for the comparison")
    refuse_overwriting(Path(directory), config.inputs, "output_dir")
    begun = (Path(directory) / COMPARISON).is_file() or any(Path(directory).glob(f"*/*/{CONFIG_FILE}"))
    refuse_foreign(Path(directory), "a comparison", begun, LOG)
    return resolve(replace(config, output_dir=directory))


def make_runs(
    config: RunConfig,
    variants: Sequence[Variant],
    cells: list[Cell],
    keep_models: bool,
    watch: Callable[[Standing], None],
) -> dict[str, Any]:
    """Make all runs that have not been made, and summarise them.

    What the runs print goes to log.txt in the directory of the comparison.

    Args:
        config: The recipe, with the directory of the comparison.
        variants: What to compare; `none`, or else the first, is what the others are tested against.
        cells: The runs.
        keep_models: Keep the models, instead of removing each when its run has finished.
        watch: Called before each run, and at the end.

    Returns:
        What is to be written to comparison.json.

    Raises:
        TextmixError: If a run cannot be made; says which.
        TrainingInterrupted: On Ctrl-C or SIGTERM.
    """
    assert config.output_dir is not None
    directory = Path(config.output_dir)
    standing = Standing(cells)
    like = _begun_alike(directory)
    with leaving_nothing(directory, LOG):
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / LOG).open("a", encoding="utf-8", buffering=1) as log:
            for cell in cells:
                watch(standing)
                log.write(f"\n{cell.config.output_dir}\n")
                with redirect_stdout(log), redirect_stderr(log):
                    standing.metrics.setdefault(cell.name, []).append(_run(cell, keep_models, like))
                like = like or Path(str(cell.config.output_dir))
    watch(standing)
    names = [variant.name for variant in variants]
    baseline = NONE if NONE in names else names[0]
    records = summarize(standing.metrics, baseline)
    return {
        "baseline": baseline,
        "pairs": standing.pairs,
        "strategies": {variant.name: {"options": variant.options, **records[variant.name]} for variant in variants},
        "config": config.to_dict(),
        "environment": environment(config.train.precision),
    }


def _begun_alike(directory: Path) -> Path | None:
    """Make sure that all runs in a comparison are on the same data; returns one of them."""
    runs = sorted(path.parent for path in directory.glob(f"*/*/{DATA}"))
    if not runs:
        return None
    digests = data_digests(runs[0])
    assert digests is not None
    for run in runs:
        check_data(run, digests)
    return runs[0]


def _run(cell: Cell, keep_models: bool, like: Path | None) -> dict[str, Any]:
    directory = Path(str(cell.config.output_dir))
    try:
        metrics = run_cell(cell.config, Watch(like=like))
    except TrainingInterrupted as interruption:
        raise TrainingInterrupted(
            f"interrupted in {directory}; the same command goes on from there", interruption.number
        ) from None
    except TextmixError as error:
        raise type(error)(f"{cell.name}, {cell.pair}: {error}") from error
    if not keep_models:
        shutil.rmtree(directory / MODEL, ignore_errors=True)
    return metrics
