"""`textmix sweep`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from textmix.cli.terminal import print_table
from textmix.config.parsing import check_trust, parse, run_parser, to_run_config, with_recipe
from textmix.config.run import RunConfig, slug
from textmix.errors import ConfigError, RunError
from textmix.io.quiet import quiet_libraries


def sweep(arguments: list[str]) -> None:
    """Search for the options with the best validation score."""
    parser = _parser()
    arguments = with_recipe(arguments)
    namespace = parse(parser, arguments)
    trials, space_path = namespace.pop("trials"), namespace.pop("space")
    if trials < 1:
        raise ConfigError(f"--trials must be at least 1, not {trials}")
    config = check_trust(to_run_config(parser, namespace), arguments)
    from textmix.experiments.sweep.space import default_space, load_space

    space = load_space(Path(space_path) if space_path else default_space(config.model.name), config)

    try:
        import optuna
    except ImportError:
        raise RunError("textmix sweep needs optuna; install it with: pip install 'textmix[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    quiet_libraries()
    from textmix.experiments.sweep.sweep import Sweep
    from textmix.training.cpu.memory import keep_memory

    if config.train.cpu_speedups:
        keep_memory()
    work = Sweep(replace(config, output_dir=config.output_dir or _default_directory(config)), space, trials)
    _print(work.run(), work.directory)


def _parser() -> ArgumentParser:
    parser = run_parser(
        "textmix sweep",
        "Search for the options with the best validation score: textmix sweep [RECIPE.yaml] [OPTIONS]. The same"
        " command again resumes the search; in another process or on another machine it shares the work.",
    )
    parser.add_argument("--trials", type=int, default=30, help="total number of trials")
    parser.add_argument(
        "--space",
        type=str | None,
        default=None,
        help="a YAML file with the search space: for each option a list of choices or {low: …, high: …, log: true};"
        " null means the built-in space for the kind of model",
    )
    return parser


def _print(report: dict[str, Any], directory: Path) -> None:
    from textmix.experiments.sweep.report import BEST, trials_table

    print_table(trials_table(report))
    running = sum(row["state"] == "running" for row in report["trials"])
    if running:
        print(f"{running} trials are still running in other processes")
    if report["best"] is None:
        print(f"no trial was completed; see {directory}")
    else:
        print(f"best recipe: {directory / BEST}; train and test it with: textmix train {directory / BEST}")


def _default_directory(config: RunConfig) -> str:
    from textmix.data.sources import source_name

    return str(Path("runs") / f"{source_name(config.data.source)}-{slug(config.model.name)}-sweep")
