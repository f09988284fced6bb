"""Compare strategies on sentences: python -m benchmarks.quality.sentences --data DIRECTORY [--recipe YAML].

DIRECTORY holds trec_train.csv and trec_test.csv, which are used with `--pairs` seeds, and mr.csv, which is divided into
the same number of folds. TREC-500 and MR-500 are the same with 500 training rows and `--small_epochs`. The runs are
made by `textmix compare`, in parallel processes with one thread for each data set; the same command continues
interrupted runs. In addition to the tables of `compare`, the benchmark prints for each strategy the mean over the data
sets of the difference from `none` in accuracy, of the ratio of the expected calibration errors, and of the difference
of these errors after temperature scaling, with 95 % bootstrap intervals over seeds and folds. Results:
benchmarks/results/NAME.json.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.shared import ROOT, make_parser, print_table, write_results
from textmix.evaluation.calibration import expected_calibration_error

STRATEGIES = "none,word,sentence,manifold,cutmix,sentence(regmix=1.0)"
NONE = "none"
RESAMPLES, DRAWS = 20_000, 100

Array = npt.NDArray[np.float64]


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command for each data set."""
    shared = [sys.executable, "-m", "textmix", "compare", str(options.recipe), "--strategies", options.strategies]
    shared += ["--train.calibrate", "false"]  # the tables have the errors of both, with and without
    trec = ["--data.source", str(options.data / "trec_train.csv")]
    trec += ["--data.test_source", str(options.data / "trec_test.csv"), "--seeds", str(options.pairs)]
    mr = ["--data.source", str(options.data / "mr.csv"), "--folds", str(options.pairs)]
    few = ["--data.max_train_samples", "500", "--train.epochs", str(options.small_epochs)]
    found = {"TREC": trec, "MR": mr, "TREC-500": trec + few, "MR-500": mr + few}
    return {
        name: [*shared, *found[name], *options.rest, "--output_dir", str(options.work / name.lower())]
        for name in options.sets
    }


def run(all_commands: dict[str, list[str]]) -> None:
    """Run the comparisons in parallel."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(command, env=variables) for command in all_commands.values()]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a comparison failed; run the same command again to continue")


def interval(statistic: Callable[[list[tuple[Array, Array]]], float], pairs: list[tuple[Array, Array]]) -> list[float]:
    """Return the 95 % bootstrap interval of a statistic over seeds and folds; pairs are drawn together."""
    draw = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        chosen = [draw.integers(0, len(own), len(own)) for own, _ in pairs]
        values.append(statistic([(own[rows], base[rows]) for (own, base), rows in zip(pairs, chosen, strict=True)]))
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def mean_difference(pairs: list[tuple[Array, Array]]) -> float:
    """Return the mean over data sets of the mean difference."""
    return float(np.mean([np.mean(own - base) for own, base in pairs]))


def ratio(pairs: list[tuple[Array, Array]]) -> float:
    """Return the mean over data sets of the ratio of the means."""
    return float(np.mean([own.mean() / base.mean() for own, base in pairs]))


def together(comparisons: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Compare each strategy with `none` over all data sets."""
    statistics = {"accuracy": mean_difference, "ece": ratio, "scaled_ece": mean_difference, "nll": mean_difference}
    names = [name for name in next(iter(comparisons.values()))["strategies"] if name != NONE]
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        results[name] = {}
        for figure, statistic in statistics.items():
            pairs = [
                tuple(np.array(one["strategies"][row][figure]["values"]) for row in (name, NONE))
                for one in comparisons.values()
                if figure in one["strategies"][name]
            ]
            if pairs:
                results[name][figure] = {"value": statistic(pairs), "interval": interval(statistic, pairs)}
    return results


def calibrated_ece(predictions: Path) -> float:
    """Return the ECE that a run would have with calibrated probabilities: the noise of the ECE on its test rows."""
    table = pd.read_csv(predictions)
    probabilities = table[[name for name in table.columns if name.startswith("probability_")]].to_numpy()
    draw = np.random.default_rng(0)
    limits = probabilities.cumsum(axis=1)[:, :-1]
    labels = [(draw.random((len(limits), 1)) > limits).sum(axis=1) for _ in range(DRAWS)]
    return float(np.mean([expected_calibration_error(drawn, probabilities) for drawn in labels]))


def cells(name: str, row: dict[str, Any]) -> list[str]:
    """Return a row of the table over all data sets."""
    figures = (("accuracy", 100, "+.2f"), ("ece", 1, ".2f"), ("scaled_ece", 1, "+.4f"), ("nll", 1, "+.3f"))
    written = [name]
    for figure, scale, form in figures:
        found = row.get(figure)
        low, high = (scale * value for value in found["interval"]) if found else (0.0, 0.0)
        written.append(f"{scale * found['value']:{form}} ({low:{form}} to {high:{form}})" if found else "")
    return written


def without_values(comparison: dict[str, Any]) -> dict[str, Any]:
    """Return a comparison without the values of single runs; the summaries of its figures remain."""
    strategies = {
        name: {
            figure: {key: value for key, value in of.items() if key != "values"} if isinstance(of, dict) else of
            for figure, of in row.items()
        }
        for name, row in comparison["strategies"].items()
    }
    return {**comparison, "strategies": strategies}


def read_options() -> argparse.Namespace:
    """Read the command line; options of the recipe are in `rest`."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the data sets")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "sentences" / "textcnn.yaml", help="YAML")
    parser.add_argument("--strategies", default=STRATEGIES, help="as in `textmix compare`")
    parser.add_argument("--sets", nargs="+", choices=["TREC", "MR", "TREC-500", "MR-500"], default=["TREC", "MR"])
    parser.add_argument("--small_epochs", type=int, default=8, help="epochs over 500 rows")
    parser.add_argument("--pairs", type=int, default=10, help="number of seeds, and of folds")
    parser.add_argument("--name", default="sentences_textcnn", help="name of the result file")
    parser.add_argument("--work", type=Path, default=None, help="directory of the runs; none means runs/NAME")
    options, options.rest = parser.parse_known_args()
    options.work = options.work or Path("runs") / options.name
    return options


def main() -> None:
    """Run everything."""
    options = read_options()
    all_commands = commands(options)
    run(all_commands)
    comparisons = {
        name: json.loads((options.work / name.lower() / "comparison.json").read_text()) for name in all_commands
    }
    for name in comparisons:
        table = (options.work / name.lower() / "comparison.md").read_text()
        print(f"\n{name}\n{table}")
    floors = {
        name: np.mean([calibrated_ece(path) for path in (options.work / name.lower() / NONE).glob("*/predictions.csv")])
        for name in comparisons
    }
    print("ECE of the runs of none with calibrated probabilities:")
    print(", ".join(f"{name} {floor:.4f}" for name, floor in floors.items()), end="\n\n")
    both = together(comparisons)
    names = [
        "strategy",
        "accuracy, points",
        "ECE / ECE of none",
        "scaled ECE, difference",
        "NLL, difference",
    ]
    print_table(names, [cells(name, row) for name, row in both.items()])
    record = {
        "commands": {name: command[3:] for name, command in all_commands.items()},
        "both": both,
        "calibrated_ece_of_none": floors,
        "sets": {name: without_values(comparison) for name, comparison in comparisons.items()},
    }
    # Paths of this machine mean nothing on another one.
    text = json.dumps(record).replace(str(options.data.absolute()), "DIRECTORY")
    text = text.replace(f"{ROOT}/", "").replace(str(options.work), f"runs/{options.name}")
    write_results(options.name, json.loads(text), options, raw=comparisons)


if __name__ == "__main__":
    main()
