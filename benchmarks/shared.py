"""Code shared by the benchmarks: options, repeated measurements in alternating order, tables, and result files.

Run a benchmark from the root of the repository: python -m benchmarks.FOLDER.NAME. A result file holds the figures and a
description of the machine; the values of single runs go to runs/benchmarks/, which git ignores.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RAW = ROOT / "runs" / "benchmarks"

# A text and its label.
Row = tuple[str, str]


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark, with the options of its result file."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default=None, help="write to benchmarks/results/MACHINE/")
    parser.add_argument("--no-file", action="store_true", help="write no result file")
    return parser


def result_file(name: str, options: argparse.Namespace) -> Path:
    """Return the path of a result file."""
    return RESULTS / (options.machine or "") / f"{name}.json"


def write_results(name: str, record: Mapping[str, Any], options: argparse.Namespace, raw: Any = None) -> None:
    """Write the results of a benchmark, and the values of its single runs, unless `--no-file` is given.

    Args:
        name: Name of the result file.
        record: The figures.
        options: Options from `make_parser`.
        raw: Values of single runs, if the figures do not contain them.
    """
    if options.no_file:
        return
    write_json(result_file(name, options), record)
    if raw is not None:
        write_json(RAW / (options.machine or "") / f"{name}.json", raw)


def read_rows(path: Path) -> list[Row]:
    """Read texts and labels from a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: list[Row]) -> str:
    """Write texts and labels as CSV and return the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, and make its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def machine(precision: Any = "auto") -> dict[str, Any]:
    """Describe the machine, the package versions and the precision.

    Args:
        precision: As in `train.precision`; `auto` is replaced by the precision that it means on this machine.
    """
    from textmix.runs.environment import environment
    from textmix.training.optimization import choose_precision

    return environment(choose_precision(precision))


def keep_memory() -> None:
    """Configure the allocator as the commands do, so that steps cost the same here."""
    from textmix.training.cpu import memory

    memory.keep_memory()


def alternating(names: Iterable[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield every name once a round, in an order that is reversed from round to round."""
    order = list(names)
    for number in range(rounds):
        for name in order if number % 2 == 0 else order[::-1]:
            yield number, name


class Shuffle:
    """Yields names in a new random order for each round, the same orders in each process.

    Args:
        names: The names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._random = random.Random(0)

    def round(self) -> list[str]:
        """Return the names in the order of the next round."""
        self._random.shuffle(self._names)
        return list(self._names)


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios of two series that were measured in the same rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def mean_of(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean, the standard deviation and the single values of a figure."""
    return {"mean": statistics.mean(values), "sd": deviation(values), "values": list(values)}


def print_row(cells: Iterable[object]) -> None:
    """Print a row of a Markdown table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_header(*names: str) -> None:
    """Print the first two rows of a Markdown table."""
    print_row(names)
    print_row(["---"] * len(names))


def print_table(names: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a Markdown table."""
    print_header(*names)
    for row in rows:
        print_row(row)


def run_textmix(*arguments: str, **options: Any) -> None:
    """Run a command of textmix in a new process.

    Args:
        *arguments: Arguments of `textmix`.
        **options: Options of `subprocess.run`.
    """
    subprocess.run([sys.executable, "-m", "textmix", *arguments], check=True, **options)


def train_predictor(options: Sequence[str]) -> tuple[Any, float]:
    """Run `textmix train` with options in this process.

    Returns:
        The predictor of the run in `--output_dir`, and the seconds from options to the saved run.
    """
    from textmix import Predictor
    from textmix.config.parsing import parse, run_parser, to_run_config
    from textmix.runs.train import train

    parser = run_parser("benchmarks", "")
    config = to_run_config(parser, parse(parser, list(options)))
    began = time.perf_counter()
    train(config, overwrite=True, show_progress=False)
    seconds = time.perf_counter() - began
    return Predictor.from_pretrained(str(config.output_dir)), seconds


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of JSON that runs have added to a file, which may be missing."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def read_run(directory: Path) -> dict[str, Any]:
    """Read the metrics, the machine and the options of a run; paths of this computer are left out."""
    metrics = json.loads((directory / "metrics.json").read_text())
    scores = {
        split: {name: value for name, value in metrics[split].items() if name != "report"}
        for split in ("validation", "test")
        if split in metrics
    }
    config = yaml.safe_load((directory / "config.yaml").read_text())
    source = config["data"]["source"]
    config["output_dir"], config["data"]["source"] = None, Path(source).name if isinstance(source, str) else source
    environment = json.loads((directory / "environment.json").read_text())
    return {**scores, "train": metrics["train"], "environment": environment, "config": config}
