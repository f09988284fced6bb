"""`textmix evaluate`."""

from dataclasses import asdict
from pathlib import Path

from textmix.cli.common import command_parser, print_evaluation
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, RunError
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries
from textmix.io.run_directory import CONFIG_FILE, EVALUATIONS, METRICS, MODEL, refuse_foreign


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run on labelled data and print the classification report."""
    parser = command_parser("evaluate", "Evaluate a run on labelled data: textmix evaluate RUN [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument(
        "--data.source",
        type=str | list[str] | None,
        default=None,
        help="labelled data; none means the run's test split",
    )
    parser.add_argument("--data.subset", type=str | None, default=None, help="configuration of a hub data set")
    parser.add_argument(
        "--data.text_column", type=str | list[str] | None, default=None, help="column of the text; none means the run's"
    )
    parser.add_argument(
        "--data.label_column", type=str | None, default=None, help="column of the class; none means the run's"
    )
    parser.add_argument("--data.drop_missing", type=bool, default=False, help="leave out rows with a missing value")
    parser.add_argument(
        "--output_dir", type=str | None, default=None, help="where to write; none means RUN/evaluations/<data>"
    )
    add_trust(parser)
    options = parse(parser, arguments)
    directory = Path(options["run"])
    config = check_trust(read_run_config(directory), arguments)
    given = {name: value for name, value in options["data"].items() if value}
    if given and "source" not in given:
        raise ConfigError("the options of data need --data.source")
    columns = {"text_column": config.data.text_column, "label_column": config.data.label_column}
    data = DataConfig(**{**columns, **given}) if given else None
    from textmix.data.sources import absolute, source_name

    name = f"data-{source_name(data.source)}" if data is not None else "test-split"
    target = Path(options["output_dir"]) if options["output_dir"] else directory / EVALUATIONS / name
    if (target / CONFIG_FILE).exists():
        raise RunError(f"{target} is a run, whose own figures would be lost; choose another --output_dir")
    sources = data.sources if data is not None else config.data.sources
    refuse_overwriting(target, [*sources, directory / CONFIG_FILE, directory / MODEL], "output_dir")

    quiet_libraries()
    from textmix.io.files import read_json, write_json
    from textmix.runs.evaluate import evaluate_run, write_evaluation

    about = {
        "run": str(directory.absolute()),
        "data": {**asdict(data), "source": absolute(data.source)} if data is not None else None,
    }
    refuse_foreign(target, "an evaluation", (target / METRICS).is_file())
    if (target / METRICS).is_file():
        held = read_json(target / METRICS, lambda content: content.get("about"))
        if held is not None and options["output_dir"] is not None and held["run"] != about["run"]:
            raise RunError(f"{target} holds an evaluation of {held['run']}; choose another --output_dir")
        if held is not None and held["data"] != about["data"]:
            raise RunError(f"{target} holds an evaluation on other rows (see {METRICS}); choose another --output_dir")
    evaluation, rows, where = evaluate_run(directory, config, data)
    write_json(target / METRICS, {"about": about, **evaluation.scores(), "report": evaluation.report()})
    write_evaluation(target, f"{directory.name} on {where}", rows, evaluation)
    print_evaluation(evaluation, where)
    print(f"saved to {target}")
