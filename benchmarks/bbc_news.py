"""Measure the BBC News recipes over several seeds: python benchmarks/bbc_news.py [--seeds 0,1,2].

Each run is its own process. A seed fixes the split, the initial weights, the batch order and the mixing. The table goes
to standard output, everything else to benchmarks/results/bbc_news.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
RECIPES = ("minilm_manifold", "textcnn_word")


def run(recipe: Path, seed: int, directory: Path) -> dict[str, Any]:
    """Run one recipe with one seed and return its figures."""
    options = ["--train.seed", str(seed), "--output_dir", str(directory)]
    subprocess.run([sys.executable, "-m", "textmix", "train", str(recipe), *options], check=True, stdout=sys.stderr)
    metrics = json.loads((directory / "metrics.json").read_text())
    return {
        "seed": seed,
        "test": {name: value for name, value in metrics["test"].items() if name != "report"},
        "validation": {name: value for name, value in metrics["validation"].items() if name != "report"},
        "train": metrics["train"],
        "environment": json.loads((directory / "environment.json").read_text()),
        "config": {**yaml.safe_load((directory / "config.yaml").read_text()), "output_dir": None},
    }


def row(recipe: str, results: list[dict[str, Any]]) -> str:
    """Write the README's row of one recipe."""
    cells = [f"`{recipe}`"]
    for metric in ("accuracy", "macro_f1"):
        values = [result["test"][metric] for result in results]
        each = " / ".join(f"{value:.4f}" for value in values)
        cells.append(f"{statistics.mean(values):.4f} ({each})")
    seconds = [result["train"]["seconds"] for result in results]
    cells.append(f"{statistics.median(seconds):.0f} s")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in RECIPES:
            path = HERE.parent / "recipes" / "bbc_news" / f"{recipe}.yaml"
            results[recipe] = [run(path, seed, Path(scratch) / f"{recipe}-{seed}") for seed in seeds]
    target = HERE / "results" / "bbc_news.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    print("| recipe | test accuracy: mean (each seed) | test macro F1: mean (each seed) | training, median |")
    print("| --- | --- | --- | --- |")
    for recipe in RECIPES:
        print(row(recipe, results[recipe]))


if __name__ == "__main__":
    main()
