"""`textmix predict`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser

from textmix.cli.common import add_reading_options, command_parser
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.config.run import RunConfig
from textmix.data.reading import Reading
from textmix.errors import ConfigError
from textmix.io.files import read_json
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries
from textmix.io.run_directory import METRICS, run_paths

if TYPE_CHECKING:
    from pyarrow import Table

    from textmix.data.windows import Source
    from textmix.inference.predictor import Predictor

ABSTAIN = "abstain"


def predict(arguments: list[str]) -> None:
    """Predict new texts."""
    options = parse(_parser(), arguments)
    _check(options)
    config = check_trust(read_run_config(Path(options["run"])), arguments)
    columns, reading = _how_to_read(options, config)
    output = Path(options["output"]) if options["output"] else None

    quiet_libraries()
    from textmix.data.windows import open_source
    from textmix.inference.writers import check_output
    from textmix.training.cpu.memory import keep_memory, trim_memory

    if config.train.cpu_speedups:
        keep_memory()
    predictor = _open_predictor(options, config, columns)
    if output is not None:
        check_output(output)
        refuse_overwriting(output, [options["source"], *run_paths(Path(options["run"]))], "--output")
    least = _least_confidence(options, config)
    source = open_source(options["source"], columns, reading, of_tokens=config.task == "token_classification")
    trim_memory()
    predictor.load()
    if output is None:
        shown = [*_short(predictor.space.prediction_columns), *([ABSTAIN] if least is not None else [])]
        for window in source.windows:
            _print_predictions(_marked(predictor(window), least), columns, shown)
    else:
        _write_predictions(predictor, source, output, least)
        print(f"saved to {output}")


def _parser() -> ArgumentParser:
    parser = command_parser("predict", "Predict new texts: textmix predict RUN SOURCE [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument("source", help="a file or directory as in training, or - to read a text per line from stdin")
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="a csv, tsv, jsonl or parquet file; null prints predictions and texts, separated by tabs",
    )
    parser.add_argument(
        "--data.text_column", type=str | list[str] | None, default=None, help="column of the text; null means the run's"
    )
    add_reading_options(parser)
    parser.add_argument("--batch_size", type=int, default=64, help="maximum number of rows in a batch")
    parser.add_argument(
        "--precision",
        type=Literal["auto", "fp32", "bf16"],
        default="fp32",
        help="bf16 is faster and changes probabilities by up to 1e-2; auto uses it where the machine supports it",
    )
    parser.add_argument(
        "--backend", type=Literal["torch", "onnx"], default="torch", help="onnx runs the model of `textmix export`"
    )
    parser.add_argument(
        "--abstain",
        type=float | None,
        default=None,
        help="mark rows below the confidence that reached this accuracy on validation rows, as in 0.95, in a column"
        " `abstain`",
    )
    add_trust(parser)
    return parser


def _least_confidence(options: Any, config: RunConfig) -> float | None:
    """Return the confidence below which rows are marked, from the run's validation rows; None without `--abstain`."""
    asked = options["abstain"]
    if asked is None:
        return None
    from textmix.evaluation.coverage import Coverage, threshold_for

    if not 0 < asked <= 1:
        raise ConfigError(f"--abstain is an accuracy above 0 and at most 1, not {asked}")
    metrics = read_json(Path(options["run"]) / METRICS, dict)
    curve = [Coverage(**point) for point in metrics.get("validation", {}).get("coverage", [])]
    if not curve:
        raise ConfigError(
            "--abstain needs a run of task single_label with a validation split, whose metrics.json has its coverage;"
            f" this one has task {config.task}"
        )
    point = threshold_for(curve, asked)
    if point is None:
        best = max(curve, key=lambda point: point.accuracy)
        raise ConfigError(
            f"--abstain {asked}: no confidence reached this accuracy on the validation rows; the best was"
            f" {best.accuracy:.4f}, on {best.share:.0%} of them"
        )
    print(
        f"abstaining below a confidence of {point.threshold:.4f}: on validation rows {point.share:.0%} were predicted,"
        f" with accuracy {point.accuracy:.4f}",
        file=sys.stderr,
    )
    return point.threshold


def _marked(rows: "Table", least: float | None) -> "Table":
    """Add the column `abstain`, if rows of little confidence are to be marked."""
    if least is None:
        return rows
    import pyarrow.compute as pc

    return rows.append_column(ABSTAIN, pc.less(rows.column("confidence"), least))


def _check(options: Any) -> None:
    if options["batch_size"] < 1:
        raise ConfigError(f"--batch_size must be at least 1, not {options['batch_size']}")
    if options["backend"] == "onnx" and options["precision"] != "fp32":
        raise ConfigError("--precision has no effect with --backend onnx; leave it out")


def _how_to_read(options: Any, config: RunConfig) -> tuple[list[str], Reading]:
    """Return the text columns and how the source is read, each like the run's data unless given."""
    given = {name: value for name, value in options["data"].items() if value}
    named = given.pop("text_column", None)
    reading = Reading.of(**{**config.data.reading_options(options["source"]), **given})
    if wrong := reading.wrong():
        raise ConfigError("; ".join(wrong))
    return [named] if isinstance(named, str) else named or config.data.text_columns, reading


def _open_predictor(options: Any, config: RunConfig, columns: list[str]) -> "Predictor":
    from textmix.inference.predictor import Predictor

    return Predictor.from_pretrained(
        options["run"],
        backend=options["backend"],
        precision=options["precision"],
        batch_size=options["batch_size"],
        text_columns=columns,
        trust_remote_code=config.model.trust_remote_code,
    )


def _write_predictions(predictor: "Predictor", source: "Source", output: Path, least: float | None) -> None:
    from tqdm.auto import tqdm

    from textmix.inference.writers import open_writer

    with open_writer(output) as write, tqdm(total=source.size, unit="row") as bar:
        for window in source.windows:
            write(_marked(predictor(window, progress=bar.update), least))


def _print_predictions(rows: "Table", columns: list[str], shown: list[str]) -> None:
    predicted = rows.select([*columns, *shown]).to_pydict()
    texts = zip(*(predicted[name] for name in columns), strict=True)
    cells = zip(*(predicted[name] for name in shown), strict=True)
    for said, fields in zip(cells, texts, strict=True):
        text = " ".join(str(field) for field in fields if field is not None).replace("\t", " ").replace("\n", " ")
        print(*map(_shown, said), text, sep="\t")


def _short(columns: list[str]) -> list[str]:
    """Leave out the probabilities of each class."""
    return [column for column in columns if not column.startswith("probability_")]


def _shown(cell: Any) -> str:
    """Return a prediction as text: a number with four digits, entities as JSON."""
    if isinstance(cell, bool):
        return ABSTAIN if cell else ""
    if isinstance(cell, list):
        return json.dumps(cell, ensure_ascii=False)
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
