"""The command line: one function for each command. Heavy imports wait until a command needs them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from textmix.errors import ConfigError, RunError, RunFinished, TextmixError, TrainingInterrupted, did_you_mean, one_line
from textmix.processes import first_to_tell, process_count
from textmix.terminal import abandon_output, print_table, quiet_libraries
from textmix.training.interrupt import Terminated, terminable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from pyarrow import Table

    from textmix.evaluation.metrics import Evaluation

WRONG_INPUT = 2
# What a shell reports of a program that Ctrl-C or SIGTERM ended, and of one whose reader has gone, as `head` does.
INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141
# And of any other signal: this and its number.
_SIGNALLED = 128
_TRUST_HELP = "run the Python code that a model of an architecture of its own was saved with"
_EXIT_CODES = f"""exit codes:
  0    done
  {WRONG_INPUT}    something is wrong that one line on standard error tells
  {INTERRUPTED}  interrupted by Ctrl-C; `train` saves a checkpoint at its next step first, a second one stops at once
  {TERMINATED}  likewise by SIGTERM
  {BROKEN_PIPE}  the reader of its output has gone"""


def train(arguments: list[str]) -> None:
    """Train, evaluate, and write a run directory."""
    from textmix.parsing import TRUST, check_trust, parse, read_run_config, run_parser, to_run_config

    parser = run_parser("textmix train", "Train a classifier with mixing: textmix train [RECIPE.yaml] [OPTIONS]")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is in output_dir already")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        default=None,
        help="go on with a run that was interrupted or killed; no other options",
    )
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--config", *arguments]
    overwrite = resume = False
    if any(argument.split("=")[0] == "--resume" for argument in arguments):
        words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
        if len(words) not in (2, 4) or words[0] != "--resume" or words[2:] not in ([], [TRUST, "true"]):
            raise ConfigError(
                f"--resume takes the directory of a run and no other options but {TRUST} true: its config.yaml has"
                " them all"
            )
        config, resume = replace(read_run_config(Path(words[1])), output_dir=words[1]), True
    else:
        namespace = parse(parser, arguments)
        namespace.pop("resume")
        overwrite = namespace.pop("overwrite")
        config = to_run_config(parser, namespace)

    config = check_trust(config, arguments)

    quiet_libraries()
    from textmix import run
    from textmix.training.memory import keep_memory

    keep_memory()
    result = run.train(config, overwrite=overwrite, resume=resume)
    if result is None:  # this is one of several processes, and not the one that evaluates
        return
    _print_evaluation(result.test, "test")
    print(f"saved to {result.directory}")


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run on labelled data and print the classification report."""
    from textmix.config import CONFIG_FILE
    from textmix.data.config import DataConfig
    from textmix.data.sources import source_name
    from textmix.parsing import TRUST, check_trust, parse, read_run_config

    parser = _parser("evaluate", "Evaluate a run on labelled data: textmix evaluate RUN [OPTIONS]")
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
    parser.add_argument(TRUST, type=bool, default=False, help=_TRUST_HELP)
    options = parse(parser, arguments)
    directory = Path(options["run"])
    config = check_trust(read_run_config(directory), arguments)
    given = {name: value for name, value in options["data"].items() if value}
    if given and "source" not in given:
        raise ConfigError("the options of data need --data.source")
    columns = {"text_column": config.data.text_column, "label_column": config.data.label_column}
    data = DataConfig(**{**columns, **given}) if given else None
    name = f"data-{source_name(data.source)}" if data is not None else "test-split"
    target = Path(options["output_dir"]) if options["output_dir"] else directory / "evaluations" / name
    if (target / CONFIG_FILE).exists():
        raise RunError(f"{target} is a run, whose own figures would be lost; choose another --output_dir")

    quiet_libraries()
    from textmix import run
    from textmix.files import write_json

    evaluation, rows, where = run.evaluate(directory, config, data)
    write_json(target / run.METRICS, {**evaluation.scores(), "report": evaluation.report()})
    run.write_evaluation(target, f"{directory.name} on {where}", rows, evaluation)
    _print_evaluation(evaluation, where)
    print(f"saved to {target}")


def predict(arguments: list[str]) -> None:
    """Predict the classes of new texts."""
    from textmix.parsing import TRUST, check_trust, parse, read_run_config

    parser = _parser("predict", "Predict the classes of new texts: textmix predict RUN SOURCE [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument("source", help="a csv, tsv, jsonl or parquet file, or - for one text a line on standard input")
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="a csv, tsv, jsonl or parquet file; none prints prediction, confidence and text, separated by tabs",
    )
    parser.add_argument(
        "--data.text_column", type=str | list[str] | None, default=None, help="column of the text; none means the run's"
    )
    parser.add_argument("--batch_size", type=int, default=64, help="most rows of a batch")
    parser.add_argument(
        "--precision",
        type=Literal["auto", "fp32", "bf16"],
        default="fp32",
        help="bf16 is faster and moves probabilities by up to 1e-2; auto takes it where the machine has it",
    )
    parser.add_argument(
        "--backend", type=Literal["torch", "onnx"], default="torch", help="onnx runs what `textmix export` wrote"
    )
    parser.add_argument(TRUST, type=bool, default=False, help=_TRUST_HELP)
    options = parse(parser, arguments)
    if options["batch_size"] < 1:
        raise ConfigError(f"--batch_size must be at least 1, not {options['batch_size']}")
    if options["backend"] == "onnx" and options["precision"] != "fp32":
        raise ConfigError("--precision has no effect with --backend onnx; leave it out")
    config = check_trust(read_run_config(Path(options["run"])), arguments)
    given = options["data"]["text_column"]
    columns = [given] if isinstance(given, str) else given or config.data.text_columns

    quiet_libraries()
    from textmix.output import check_output, open_writer
    from textmix.predictor import Predictor
    from textmix.streaming import open_source
    from textmix.training.memory import keep_memory

    keep_memory()
    predictor = Predictor.from_pretrained(
        options["run"],
        backend=options["backend"],
        precision=options["precision"],
        batch_size=options["batch_size"],
        text_columns=columns,
        trust_remote_code=config.model.trust_remote_code,
    )
    output = Path(options["output"]) if options["output"] else None
    if output is not None:
        check_output(output)
    source = open_source(options["source"], columns)
    predictor.load()
    if output is None:
        for window in source.windows:
            _print_predictions(predictor(window), columns)
        return
    from tqdm.auto import tqdm

    with open_writer(output) as write, tqdm(total=source.size, unit="row") as bar:
        for window in source.windows:
            write(predictor(window, progress=bar.update))
    print(f"saved to {output}")


def _print_predictions(rows: "Table", columns: list[str]) -> None:
    predicted = rows.select([*columns, "prediction", "confidence"]).to_pydict()
    texts = zip(*(predicted[name] for name in columns), strict=True)
    for label, confidence, fields in zip(predicted["prediction"], predicted["confidence"], texts, strict=True):
        text = " ".join(str(field) for field in fields if field is not None).replace("\t", " ").replace("\n", " ")
        print(f"{label}\t{confidence:.4f}\t{text}")


def export(arguments: list[str]) -> None:
    """Write the model of a run as ONNX."""
    from textmix.parsing import parse, read_run_config

    parser = _parser("export", "Write the model of a run for other programs: textmix export RUN [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument("--format", type=Literal["onnx"], default="onnx", help="onnx, which onnxruntime runs")
    parser.add_argument("--int8", action="store_true", help="round the weights of matrix products to 8-bit integers")
    parser.add_argument(
        "--output_dir",
        type=str | None,
        default=None,
        help="directory to write; none means RUN/onnx, which predict finds",
    )
    options = parse(parser, arguments)
    directory = Path(options["run"])
    read_run_config(directory)

    quiet_libraries()
    from textmix.directory import MODEL, ONNX
    from textmix.export import export_onnx

    target = Path(options["output_dir"]) if options["output_dir"] else directory / ONNX
    export_onnx(directory / MODEL, target, options["int8"])
    print(f"saved to {target}")


def inspect(arguments: list[str]) -> None:
    """Show what mixing does to pairs of texts."""
    from textmix.inspection.command import inspect as show_pairs

    show_pairs(arguments)


def datasets(arguments: list[str]) -> None:
    """List the built-in data sets."""
    _no_options("datasets", arguments)
    from textmix.data.builtin import BUILTIN_DATASETS

    print_table(
        ("data.source", "package", "what it is"),
        [(name, corpus.distribution, corpus.summary) for name, corpus in BUILTIN_DATASETS.items()],
    )
    print("Files (csv, tsv, jsonl, parquet), globs, lists of files and hub ids work too.")


def models(arguments: list[str]) -> None:
    """List the built-in models."""
    _no_options("models", arguments)
    quiet_libraries()
    from textmix.models.bundled import BUNDLED_MODELS

    rows = [(name, model.distribution, model.summary) for name, model in BUNDLED_MODELS.items()]
    rows.append(("textcnn", "", "TextCNN (Kim 2014), its vocabulary trained on the training texts"))
    print_table(("model.name", "package", "what it is"), rows)
    print("Any encoder that transformers' AutoModel loads works too, by hub id or directory.")


def strategies(arguments: list[str]) -> None:
    """List the mixing strategies."""
    _no_options("strategies", arguments)
    from textmix.mixing.strategies.base import STRATEGIES

    rows = [(strategy.name, strategy.summary, strategy.paper) for strategy in STRATEGIES.values()]
    print_table(("mix.strategy", "what it does", "paper"), rows)


@dataclass(frozen=True)
class Command:
    """A command: what it does, in one line, and the function that does it."""

    run: Callable[[list[str]], None]
    summary: str


COMMANDS = {
    command.__name__: Command(command, (command.__doc__ or "").splitlines()[0])
    for command in (train, evaluate, predict, export, inspect, datasets, models, strategies)
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        Exit code: 0, 2 for wrong input, 130 when interrupted, 143 when terminated, 141 when the reader of its output
        has gone.
    """
    try:
        try:
            with terminable():
                return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # here, so that what goes wrong with it is seen below
    except BrokenPipeError:
        abandon_output()
        return BROKEN_PIPE
    except TrainingInterrupted as interruption:
        _tell(f"textmix: {interruption}")
        return _SIGNALLED + interruption.number
    except RunFinished as finished:
        if first_to_tell():
            print(f"textmix: {finished}")
        return 0
    except TextmixError as error:
        _tell(f"textmix: error: {one_line(str(error))}")
        return WRONG_INPUT
    except OSError as error:
        what = f"{error.filename or 'cannot read or write'}: {error.strerror or error}"
        _tell(f"textmix: error: {one_line(what)}")
        return WRONG_INPUT
    except KeyboardInterrupt as interruption:
        _tell("textmix: interrupted")
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED


def _tell(line: str) -> None:
    if first_to_tell():
        print(line, file=sys.stderr)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else WRONG_INPUT
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"textmix {version('textmix')}")
        return 0
    if arguments[0] not in COMMANDS:
        raise ConfigError(f"unknown command '{arguments[0]}'{did_you_mean(arguments[0], COMMANDS)}")
    if arguments[0] != train.__name__ and process_count() > 1:
        raise RunError(f"textmix {arguments[0]} runs in one process; only textmix train is for several")
    COMMANDS[arguments[0]].run(arguments[1:])
    return 0


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return (
        "usage: textmix COMMAND [OPTIONS]\n\nText classification with mixing.\n\ncommands:\n"
        f"{commands}\n\noptions:\n  -h, --help  show this help; `textmix COMMAND --help` explains a command's options\n"
        f"  --version   show the version\n\n{_EXIT_CODES}"
    )


def _parser(command: str, description: str) -> "ArgumentParser":
    from jsonargparse import ArgumentParser

    return ArgumentParser(prog=f"textmix {command}", description=description, exit_on_error=False, allow_abbrev=False)


def _no_options(command: str, arguments: list[str]) -> None:
    from textmix.parsing import parse

    parse(_parser(command, COMMANDS[command].summary), arguments)


def _print_evaluation(evaluation: "Evaluation", where: str) -> None:
    print(f"\n{where}: {len(evaluation.labels)} rows\n\n{evaluation.report_text()}")
