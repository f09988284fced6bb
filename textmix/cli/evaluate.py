"""`textmix evaluate`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from textmix.cli.common import add_data_options, command_parser, print_evaluation
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, RunError
from textmix.io.files import read_json, write_json
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries
from textmix.io.run_directory import CONFIG_FILE, EVALUATIONS, METRICS, MODEL, RESIDUALS, refuse_foreign


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run on labelled data and print the classification report."""
    options = parse(_parser(), arguments)
    directory = Path(options["run"])
    config = check_trust(read_run_config(directory), arguments)
    data = _data_config(options, config)
    target = _choose_target(options, directory, config, data)
    if options["plot"] and config.task != "regression":
        raise ConfigError(f"--plot draws the residuals of task regression; the run has task {config.task}")

    quiet_libraries()
    from textmix.data.sources import absolute
    from textmix.evaluation.plots import check_plots, plot_residuals
    from textmix.runs.evaluate import evaluate_run, write_evaluation

    if options["plot"]:
        check_plots()
    about = {
        "run": str(directory.absolute()),
        "data": {**asdict(data), "source": absolute(data.source)} if data is not None else None,
    }
    _check_same_evaluation(target, about, chosen=options["output_dir"] is not None)
    evaluation, rows, where = evaluate_run(directory, config, data)
    write_json(target / METRICS, {"about": about, **evaluation.metrics()})
    write_evaluation(target, f"{directory.name} on {where}", rows, evaluation)
    print_evaluation(evaluation, where)
    print(f"saved to {target}")
    if options["plot"]:
        plot_residuals(evaluation.targets, evaluation.outputs, evaluation.space.names, target / RESIDUALS)


def _parser() -> ArgumentParser:
    parser = command_parser("evaluate", "Evaluate a run on labelled data: textmix evaluate RUN [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument(
        "--data.source",
        type=str | list[str] | None,
        default=None,
        help="labelled data; null means the run's test split",
    )
    add_data_options(parser, "the run's", "the run's")
    parser.add_argument(
        "--output_dir", type=str | None, default=None, help="directory to write; null means RUN/evaluations/<data>"
    )
    parser.add_argument(
        "--plot", action="store_true", help="of task regression: plot the residuals, residuals.png (extra: plots)"
    )
    add_trust(parser)
    return parser


def _data_config(options: Any, config: RunConfig) -> DataConfig | None:
    """Return the data that the options name; None means the run's test split."""
    given = {name: value for name, value in options["data"].items() if value}
    if not given:
        return None
    if "source" not in given:
        raise ConfigError("options of data need --data.source")
    return config.data.of_source(**given)


def _choose_target(options: Any, directory: Path, config: RunConfig, data: DataConfig | None) -> Path:
    """Choose the directory to write, and check that it is neither a run nor an input."""
    from textmix.data.sources import source_name

    name = f"data-{source_name(data.source)}" if data is not None else "test-split"
    target = Path(options["output_dir"]) if options["output_dir"] else directory / EVALUATIONS / name
    if (target / CONFIG_FILE).exists():
        raise RunError(f"{target} is a run, and its metrics would be overwritten; choose another --output_dir")
    sources = data.sources if data is not None else config.data.sources
    refuse_overwriting(target, [*sources, directory / CONFIG_FILE, directory / MODEL], "output_dir")
    return target


def _check_same_evaluation(target: Path, about: dict[str, Any], chosen: bool) -> None:
    """Refuse to overwrite an evaluation of another run or on other rows.

    Args:
        target: The directory to write.
        about: The run and the data that are evaluated.
        chosen: Whether the target was given rather than derived from the run.
    """
    refuse_foreign(target, "an evaluation", (target / METRICS).is_file())
    if not (target / METRICS).is_file():
        return
    found = read_json(target / METRICS, lambda content: content.get("about"))
    if found is not None and chosen and found["run"] != about["run"]:
        raise RunError(f"{target} holds an evaluation of {found['run']}; choose another --output_dir")
    if found is not None and found["data"] != about["data"]:
        raise RunError(f"{target} holds an evaluation on other rows (see {METRICS}); choose another --output_dir")
