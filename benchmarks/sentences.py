"""Compare strategies on sentences: python benchmarks/sentences.py --data DIRECTORY [--recipe YAML] [--name NAME].

DIRECTORY holds trec_train.csv and trec_test.csv, which are used with `--pairs` seeds, and mr.csv, which is cut into as
many folds; TREC-500 and MR-500 are the same with 500 rows to train on and `--small_epochs`. `textmix compare` makes the
runs, one process with one thread for each data set, side by side; the same command again goes on where it was stopped.
Beside the tables, for each strategy: the mean over the data sets of its difference from `none` in accuracy, the ratio
of its expected calibration error to that of `none`, and the difference of the errors that temperature scaling leaves,
all with 95 % bootstrap intervals over seeds and folds. Everything goes to benchmarks/results/NAME.json.
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

from textmix.evaluation.calibration import expected_calibration_error

ROOT = Path(__file__).resolve().parent
STRATEGIES = "none,word,sentence,manifold,cutmix,sentence(regmix=1.0)"
NONE = "none"
RESAMPLES, DRAWS = 20_000, 100

Array = npt.NDArray[np.float64]


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Write the command for each data set."""
    shared = [sys.executable, "-m", "textmix", "compare", str(options.recipe), "--strategies", options.strategies]
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
    """Make the comparisons side by side."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen(command, env=variables) for command in all_commands.values()]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a comparison failed; the same command goes on")


def interval(statistic: Callable[[list[tuple[Array, Array]]], float], pairs: list[tuple[Array, Array]]) -> list[float]:
    """Draw seeds and folds anew, pairs together, and find what holds 95 % of a statistic of them."""
    draw = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        chosen = [draw.integers(0, len(own), len(own)) for own, _ in pairs]
        values.append(statistic([(own[rows], base[rows]) for (own, base), rows in zip(pairs, chosen, strict=True)]))
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def mean_difference(pairs: list[tuple[Array, Array]]) -> float:
    """Mean over data sets of the mean difference."""
    return float(np.mean([np.mean(own - base) for own, base in pairs]))


def ratio(pairs: list[tuple[Array, Array]]) -> float:
    """Mean over data sets of the ratio of the means."""
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
    """Find the ECE that a run would have if its probabilities were right: what so few test rows leave to chance."""
    table = pd.read_csv(predictions)
    probabilities = table[[name for name in table.columns if name.startswith("probability_")]].to_numpy()
    draw = np.random.default_rng(0)
    limits = probabilities.cumsum(axis=1)[:, :-1]
    labels = [(draw.random((len(limits), 1)) > limits).sum(axis=1) for _ in range(DRAWS)]
    return float(np.mean([expected_calibration_error(drawn, probabilities) for drawn in labels]))


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=ROOT.parent / "recipes" / "sentences" / "textcnn.yaml")
    parser.add_argument("--strategies", default=STRATEGIES)
    parser.add_argument("--sets", nargs="+", choices=["TREC", "MR", "TREC-500", "MR-500"], default=["TREC", "MR"])
    parser.add_argument("--small_epochs", type=int, default=8, help="epochs over 500 rows")
    parser.add_argument("--pairs", type=int, default=10, help="seeds, and folds")
    parser.add_argument("--name", default="sentences_textcnn", help="of the results")
    parser.add_argument("--work", type=Path, default=None, help="where the runs go; none means runs/NAME")
    options, options.rest = parser.parse_known_args()  # the rest are options of the recipe
    options.work = options.work or Path("runs") / options.name
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
    print("ECE that the runs of none would have if their probabilities were right:")
    print(", ".join(f"{name} {floor:.4f}" for name, floor in floors.items()), end="\n\n")
    both = together(comparisons)
    print("| strategy | accuracy, points | ECE over that of none | ECE after scaling, difference | NLL, difference |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in both.items():
        cells = []
        for figure, scale, form in (
            ("accuracy", 100, "+.2f"),
            ("ece", 1, ".2f"),
            ("scaled_ece", 1, "+.4f"),
            ("nll", 1, "+.3f"),
        ):
            found = row.get(figure)
            low, high = (scale * value for value in found["interval"]) if found else (0.0, 0.0)
            cells.append(f"{scale * found['value']:{form}} ({low:{form}} to {high:{form}})" if found else "")
        print(f"| {name} | {' | '.join(cells)} |")
    record = {
        "commands": {name: command[3:] for name, command in all_commands.items()},
        "both": both,
        "calibrated_ece_of_none": floors,
        "sets": comparisons,
    }
    # Where things lie on this machine means nothing elsewhere.
    text = json.dumps(record, indent=1).replace(str(options.data.absolute()), "DIRECTORY")
    text = text.replace(f"{ROOT.parent}/", "").replace(str(options.work), f"runs/{options.name}")
    (ROOT / "results" / f"{options.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
