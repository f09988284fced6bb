"""Measure the models of words under Kim's four settings: python benchmarks/word_vectors.py TRAIN.csv [--seeds 0,1,2].

Each of the three models with random and with bundled vectors, tuned and static, everything else at its default, 8
epochs without mixing. A seed fixes the split, the initial weights and the batch order. Figures are taken on the
validation split, a fifth of what is not set aside, at the best epoch by macro F1; so they are a little too high, all
alike. The table goes to standard output, everything to benchmarks/results/word_vectors.json.
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

RESULTS = Path(__file__).resolve().parent / "results" / "word_vectors.json"
MODELS = ("textcnn", "textrnn", "fasttext")
SETTINGS = {
    "random, tuned": [],
    "random, static": ["--model.words.static", "true"],
    "bundled, tuned": ["--model.words.vectors", "bundled"],
    "bundled, static": ["--model.words.vectors", "bundled", "--model.words.static", "true"],
}


def run(train: Path, model: str, setting: str, seed: int, directory: Path) -> dict[str, Any]:
    """Train once and return the figures of the validation split."""
    options = ["--data.source", str(train), "--data.validation_fraction", "0.2", "--mix.strategy", "none"]
    options += ["--model.name", model, *SETTINGS[setting], "--train.epochs", "8", "--train.seed", str(seed)]
    command = [sys.executable, "-m", "textmix", "train", *options, "--output_dir", str(directory)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    metrics = json.loads((directory / "metrics.json").read_text())
    config = yaml.safe_load((directory / "config.yaml").read_text())
    config["data"]["source"], config["output_dir"] = train.name, None
    return {
        "seed": seed,
        "validation": {name: value for name, value in metrics["validation"].items() if name != "report"},
        "train": metrics["train"],
        "environment": json.loads((directory / "environment.json").read_text()),
        "config": config,
    }


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    print(f"| model | {' | '.join(SETTINGS)} |\n| --- |{' --- |' * len(SETTINGS)}")
    with tempfile.TemporaryDirectory() as scratch:
        for model in MODELS:
            results[model], cells = {}, []
            for number, setting in enumerate(SETTINGS):
                directories = {seed: Path(scratch) / f"{model}-{number}-{seed}" for seed in seeds}
                runs = [
                    run(arguments.train, model, setting, seed, directory) for seed, directory in directories.items()
                ]
                results[model][setting] = runs
                values = [one["validation"]["accuracy"] for one in runs]
                deviation = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):.4f} ± {deviation:.4f}")
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(f"| `{model}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
