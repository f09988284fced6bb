"""`textmix sweep`."""

from dataclasses import replace
from pathlib import Path

from textmix.cli.terminal import print_table
from textmix.config.parsing import check_trust, parse, run_parser, to_run_config, with_recipe
from textmix.config.run import RunConfig, slug
from textmix.errors import ConfigError, RunError
from textmix.io.quiet import quiet_libraries


def sweep(arguments: list[str]) -> None:
    """Search for the options that do best on validation data."""
    parser = run_parser(
        "textmix sweep",
        "Search for the options that do best on validation data: textmix sweep RECIPE [OPTIONS]. Started again, or"
        " elsewhere, with the same options, it goes on, or takes part.",
    )
    parser.add_argument("--trials", type=int, default=30, help="how many trials there are to be in all")
    parser.add_argument(
        "--space",
        type=str | None,
        default=None,
        help="a YAML file with what is tried for each option, as a list or {low: …, high: …, log: true}; null means"
        " what ships with textmix for the kind of model",
    )
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
    from textmix.experiments.sweep.report import BEST, table
    from textmix.experiments.sweep.sweep import Sweep
    from textmix.training.cpu.memory import keep_memory

    keep_memory()
    work = Sweep(replace(config, output_dir=config.output_dir or _default_directory(config)), space, trials)
    report = work.run()
    print_table(*table(report))
    running = sum(row["state"] == "running" for row in report["trials"])
    if running:
        print(f"{running} trials are still running in other processes")
    if report["best"] is None:
        print(f"no trial was completed; what was tried is in {work.directory}")
    else:
        print(f"the best is {work.directory / BEST}; train and test it with: textmix train {work.directory / BEST}")


def _default_directory(config: RunConfig) -> str:
    from textmix.data.sources import source_name

    return str(Path("runs") / f"{source_name(config.data.source)}-{slug(config.model.name)}-sweep")
