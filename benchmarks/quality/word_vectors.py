"""Compare the word models in Kim's four settings: python -m benchmarks.quality.word_vectors TRAIN.csv [--seeds 0,1,2].

Each of the three models is trained with random and with bundled vectors, tuned and static, everything else at its
default, for 8 epochs without mixing. A seed fixes the split, the initial weights and the batch order. Accuracy is
measured on the validation split, a fifth of the training rows, at the best epoch by macro F1, which makes all figures
slightly optimistic. Results: benchmarks/results/word_vectors.json.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.shared import make_parser, mean_of, print_header, print_row, read_run, run_textmix, write_results

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
    run_textmix("train", *options, "--output_dir", str(directory), stdout=sys.stderr)
    return {"seed": seed, **read_run(directory)}


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("train", type=Path, help="a CSV file with the columns text and label")
    parser.add_argument("--seeds", default="0,1,2", help="seeds, separated by commas")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    raw: dict[str, dict[str, list[dict[str, Any]]]] = {}
    record: dict[str, Any] = {"seeds": seeds, "accuracy": {}}
    print_header("model", *SETTINGS)
    with tempfile.TemporaryDirectory() as scratch:
        for model in MODELS:
            raw[model] = {}
            for number, setting in enumerate(SETTINGS):
                directories = {seed: Path(scratch) / f"{model}-{number}-{seed}" for seed in seeds}
                raw[model][setting] = [
                    run(options.train, model, setting, seed, directory) for seed, directory in directories.items()
                ]
            figures = {
                setting: mean_of([one["validation"]["accuracy"] for one in runs])
                for setting, runs in raw[model].items()
            }
            record["accuracy"][model] = figures
            record["environment"] = raw[model]["random, tuned"][0]["environment"]
            print_row([f"`{model}`", *(f"{figure['mean']:.4f} ± {figure['sd']:.4f}" for figure in figures.values())])
            write_results("word_vectors", record, options, raw=raw)


if __name__ == "__main__":
    main()
