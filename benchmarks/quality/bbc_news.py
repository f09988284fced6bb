"""Measure the BBC News recipes over several seeds: python -m benchmarks.quality.bbc_news [--seeds 0,1,2].

Each run is a separate process. A seed fixes the split, the initial weights, the batch order and the mixing. Results:
benchmarks/results/bbc_news.json.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.shared import ROOT, make_parser, mean_of, print_table, read_run, run_textmix, write_results

RECIPES = ("minilm_manifold", "textcnn_word")


def run(recipe: Path, seed: int, directory: Path) -> dict[str, Any]:
    """Run one recipe with one seed and return its figures."""
    run_textmix("train", str(recipe), "--train.seed", str(seed), "--output_dir", str(directory), stdout=sys.stderr)
    return {"seed": seed, **read_run(directory)}


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarize the runs of one recipe, whose options differ only in the seed."""
    config = {**runs[0]["config"], "train": {**runs[0]["config"]["train"], "seed": None}}
    return {
        "seeds": [run["seed"] for run in runs],
        **{split: means([run[split] for run in runs]) for split in ("test", "validation")},
        "seconds": statistics.median(run["train"]["seconds"] for run in runs),
        "environment": runs[0]["environment"],
        "config": config,
    }


def means(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of all scores that are numbers."""
    names = [name for name, value in scores[0].items() if isinstance(value, float)]
    return {name: mean_of([one[name] for one in scores]) for name in names}


def row(recipe: str, summary: dict[str, Any]) -> list[str]:
    """Return the row of one recipe."""
    cells = [f"`{recipe}`"]
    for metric in ("accuracy", "macro_f1"):
        figure = summary["test"][metric]
        each = " / ".join(f"{value:.4f}" for value in figure["values"])
        cells.append(f"{figure['mean']:.4f} ({each})")
    return [*cells, f"{summary['seconds']:.0f} s"]


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", default="0,1,2", help="seeds, separated by commas")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in RECIPES:
            path = ROOT / "recipes" / "bbc_news" / f"{recipe}.yaml"
            runs[recipe] = [
                run(path, int(seed), Path(scratch) / f"{recipe}-{seed}") for seed in options.seeds.split(",")
            ]
    results = {recipe: summarize(of) for recipe, of in runs.items()}
    print_table(
        ["recipe", "test accuracy: mean (each seed)", "test macro F1: mean (each seed)", "training, median"],
        [row(recipe, summary) for recipe, summary in results.items()],
    )
    write_results("bbc_news", results, options, raw=runs)


if __name__ == "__main__":
    main()
