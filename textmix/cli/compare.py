"""`textmix compare`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from textmix.cli.terminal import console
from textmix.config.parsing import check_trust, parse, run_parser, to_run_config, with_recipe
from textmix.errors import ConfigError
from textmix.experiments.compare.variants import parse_variants
from textmix.io.quiet import quiet_libraries
from textmix.tasks.names import COMPARED

if TYPE_CHECKING:
    from textmix.experiments.compare.comparison import Progress

_SEEDS = 10


def compare(arguments: list[str]) -> None:
    """Compare strategies over seeds, and test them against no mixing."""
    parser = _parser()
    arguments = with_recipe(arguments)
    namespace = parse(parser, arguments)
    strategies, seeds, folds = map(namespace.pop, ("strategies", "seeds", "folds"))
    keep_models, plot = map(namespace.pop, ("keep_models", "plot"))
    config = check_trust(to_run_config(parser, namespace), arguments)
    if seeds is not None and folds is not None:
        raise ConfigError("give --seeds or --folds, not both: each fold has its own seed")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, not {seeds}")
    if folds is not None and folds < 2:
        raise ConfigError(f"--folds must be at least 2, not {folds}")
    variants = parse_variants(strategies, config.mix)

    quiet_libraries()
    from textmix.evaluation.plots import check_plots
    from textmix.experiments.compare.comparison import COMPARISON, choose_directory, compare_runs, plan_runs
    from textmix.experiments.compare.plots import plot_comparison
    from textmix.experiments.compare.tables import report
    from textmix.io.files import write_json, write_text
    from textmix.training.cpu.memory import keep_memory

    if plot:
        check_plots()
    if config.train.cpu_speedups:
        keep_memory()
    config = choose_directory(config)
    runs = plan_runs(config, variants, folds or seeds or _SEEDS, folds=folds is not None)
    with _live_progress() as on_progress:
        comparison = compare_runs(config, variants, runs, keep_models, on_progress)
    directory = Path(str(config.output_dir))
    write_text(directory / "comparison.md", report(comparison))
    write_json(directory / COMPARISON, comparison)
    if plot:
        plot_comparison(comparison, directory / "comparison.png")
    _print(comparison)
    print(f"saved to {directory}")


def _parser() -> ArgumentParser:
    parser = run_parser(
        "textmix compare",
        "Train strategies with the same splits, initial weights and batch order for each seed, and test their"
        " differences: textmix compare [RECIPE.yaml] [OPTIONS]. The same command again resumes.",
    )
    parser.add_argument(
        "--strategies",
        default="none,word,sentence,manifold",
        help="strategies, separated by commas, each optionally with options of the section mix in parentheses, as in"
        " 'none,sentence(regmix=1.0,alpha=0.2)'; options of mix in the recipe apply to the strategies that have them;"
        " the baseline of the tests is none if listed, otherwise the first strategy",
    )
    parser.add_argument(
        "--seeds", type=int | None, default=None, help=f"number of seeds, starting at train.seed; null means {_SEEDS}"
    )
    parser.add_argument(
        "--folds",
        type=int | None,
        default=None,
        help="instead of --seeds: split the data into this many folds, each with its own seed",
    )
    parser.add_argument("--keep_models", action="store_true", help="keep the model of each run")
    parser.add_argument("--plot", action="store_true", help="also draw comparison.png; needs the extra plots")
    return parser


@contextmanager
def _live_progress() -> Iterator[Callable[["Progress"], None]]:
    """Show the progress of a comparison: a table in a terminal, otherwise a line for each run."""
    if not sys.stdout.isatty():
        yield _print_last
        return
    from rich.console import Group
    from rich.live import Live
    from rich.spinner import Spinner

    from textmix.experiments.compare.tables import progress_table

    # `compare_runs` redirects the output of the runs to a file.
    with Live(console=console(), redirect_stdout=False, redirect_stderr=False, transient=True) as live:

        def show(progress: "Progress") -> None:
            if progress.done == len(progress.runs):
                return
            run = progress.runs[progress.done]
            table = progress_table(progress.metrics, progress.names, progress.pairs, run.config.known_task)
            current = f"run {progress.done + 1} of {len(progress.runs)}: {run.name}, {run.pair}"
            live.update(Group(table.rich(numbers=True), Spinner("dots", current)))

        yield show


def _print_last(progress: "Progress") -> None:
    if not progress.done:
        return
    run = progress.runs[progress.done - 1]
    metrics = progress.metrics[run.name][-1]
    names = [name for name in COMPARED[run.config.known_task] if not name.startswith(("scaled", "uncalibrated"))]
    scores = ", ".join(f"{name} {metrics['test'][name]:.4f}" for name in names)
    print(
        f"{progress.done}/{len(progress.runs)} {run.name}, {run.pair}: {scores};"
        f" {metrics['train']['seconds']:.1f} s of training",
        flush=True,
    )


def _print(comparison: dict[str, Any]) -> None:
    from textmix.experiments.compare import tables

    if not sys.stdout.isatty():
        print("\n" + tables.report(comparison))
        return
    screen = console()
    screen.print(tables.scores_table(comparison["strategies"]).rich(numbers=True))
    tests = tables.differences_table(comparison["strategies"], comparison["baseline"])
    if tests.rows:
        screen.print(tests.rich(numbers=True))
    for note in tables.notes(comparison):
        screen.print(note)
