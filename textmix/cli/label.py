"""`textmix label`."""

import sys
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser

from textmix.cli.common import add_reading_options, command_parser
from textmix.cli.label_form import LabelForm
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.config.run import RunConfig
from textmix.data.reading import Reading
from textmix.errors import ConfigError, DataError, listed, one_line
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries
from textmix.io.run_directory import run_paths

if TYPE_CHECKING:
    import pyarrow as pa

    from textmix.active_learning.candidates import Candidates
    from textmix.active_learning.labeled_file import LabeledFile
    from textmix.inference.predictor import Predictor


def label(arguments: list[str]) -> None:
    """Choose the rows that are worth labelling next, and ask for their labels."""
    options = parse(_parser(), arguments)
    _check(options)
    config = check_trust(read_run_config(Path(options["run"])), arguments)
    if config.task not in ("auto", "single_label") or len(config.data.label_columns) > 1:
        raise ConfigError(f"label asks for one class a row; the task of {options['run']} is {config.task}")
    reading = _reading(options, config)
    output = Path(options["output"])
    refuse_overwriting(output, [options["pool"], *run_paths(Path(options["run"]))], "--output")

    quiet_libraries()
    from textmix.active_learning.candidates import reasons
    from textmix.active_learning.choice import choose_rows
    from textmix.active_learning.labeled_file import LabeledFile
    from textmix.data.pool import POOL_SPLITS
    from textmix.data.windows import open_source

    texts, column = config.data.text_columns, config.data.label_columns[0]
    source = open_source(options["pool"], texts, reading, splits=POOL_SPLITS)
    windows = iter(source.windows)
    first = next(windows, None)
    if first is None:
        raise DataError(f"{options['pool']}: no rows")
    file = LabeledFile(output, texts, column, first.column_names)
    predictor = _open_predictor(options, config)
    every = (window for part in ([first], windows) for window in part)
    found = _find(predictor, every, source.size, file, options)
    numbers = choose_rows(options["by"], found.probabilities, found.vectors, options["next"], options["seed"])
    if column in first.column_names:
        print(f"the column '{column}' of the pool is not read")
    _print_gain(found, numbers)
    names = _classes(predictor.class_names, file.counts, config.data.lowercase_labels)
    why = reasons(found, numbers, [one_line(name, 60) for name in predictor.class_names])
    _ask(LabelForm(file, names, input), found, numbers.tolist(), list(why), file, output)


def _parser() -> ArgumentParser:
    parser = command_parser(
        "label", "Choose rows and ask for their labels: textmix label POOL --run RUN --output FILE [OPTIONS]"
    )
    parser.add_argument("pool", help="rows without labels: a file, a glob, a directory, a hub id, or a built-in name")
    parser.add_argument("--run", type=str, required=True, help="directory of a run, whose model judges the rows")
    parser.add_argument(
        "--output", type=str, required=True, help="a csv, tsv or jsonl file, to which labelled rows are added"
    )
    parser.add_argument("--next", type=int, default=20, help="number of rows to ask for")
    parser.add_argument(
        "--by",
        type=Literal["margin", "diversity", "both"],
        default="both",
        help="margin: rows between two classes; diversity: rows unlike each other",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice")
    add_reading_options(parser)
    add_trust(parser)
    return parser


def _check(options: Any) -> None:
    if options["next"] < 1:
        raise ConfigError(f"--next must be at least 1, not {options['next']}")
    if not 0 <= options["seed"] < 2**32:
        raise ConfigError(f"--seed must lie in [0, 2**32), not {options['seed']}")
    if options["pool"] == "-":
        raise ConfigError("the pool cannot be standard input, where the answers come from; name a file")


def _reading(options: Any, config: RunConfig) -> Reading:
    given = {name: value for name, value in options["data"].items() if value}
    reading = Reading.of(**{**config.data.reading_options(options["pool"]), **given})
    if wrong := reading.wrong():
        raise ConfigError("; ".join(wrong))
    return reading


def _open_predictor(options: Any, config: RunConfig) -> "Predictor":
    from textmix.inference.predictor import Predictor

    return Predictor.from_pretrained(
        options["run"], text_columns=config.data.text_columns, trust_remote_code=config.model.trust_remote_code
    )


def _find(
    predictor: "Predictor", windows: "Iterable[pa.Table]", size: int | None, file: "LabeledFile", options: Any
) -> "Candidates":
    from tqdm.auto import tqdm

    from textmix.active_learning.candidates import MOST, find_candidates

    if options["next"] > MOST:
        raise ConfigError(f"--next must be at most {MOST}, not {options['next']}")
    predictor.load()
    with tqdm(total=size, unit="row") as bar:
        found = find_candidates(predictor, windows, file.texts, options["by"], options["seed"], bar.update)
    if not found.rows:
        raise DataError(f"{options['pool']}: every row has no text, or is in {options['output']} already")
    return found


def _classes(names: list[str], labels: Iterable[str], lowercase: bool) -> list[str]:
    """Return the classes of the model, and those that the file has besides."""
    return list(dict.fromkeys([*names, *(label.lower() if lowercase else label for label in labels)]))


def _print_gain(found: "Candidates", numbers: Any) -> None:
    wrong = float((1 - found.probabilities[numbers].max(axis=1)).sum())
    print(
        f"{found.seen} rows without a label; of the {len(numbers)} chosen the model expects to get {wrong:.1f} wrong,"
        f" of as many random ones {found.expected_errors * len(numbers):.1f}"
    )


def _ask(
    form: LabelForm, found: "Candidates", numbers: list[int], why: list[str], file: "LabeledFile", output: Path
) -> None:
    """Ask for the labels; says at the end, whatever ends it, what the file has."""
    if file.counts:
        print(f"classes in {output}: {_shares(file)}")
    if isinstance(sys.stdin, TextIOWrapper):  # bytes that are no text become characters that the form refuses
        sys.stdin.reconfigure(errors="surrogateescape")
    try:
        form.ask(found, numbers, why)
    finally:
        shares = _shares(file)
        print(f"\n{form.written} rows added to {output}" + (f"; classes there: {shares}" if shares else ""))


def _shares(file: "LabeledFile") -> str:
    total = sum(file.counts.values())
    return listed(
        f"{one_line(name, 60)} {count} ({count / total:.0%})" for name, count in file.counts.most_common() if count
    )
