"""Choose settings for BBC News without its test splits: python -m benchmarks.quality.choose_bbc_news [OPTION=VALUE …].

Five-fold cross-validation over the articles that are in none of the test splits of the reported seeds 0, 1 and 2. The
settings are those of recipes/bbc_news/minilm_manifold.yaml, changed by options such as model.max_length=128. Prints the
accuracy of each fold after the last epoch, and their mean.
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets
from sklearn.model_selection import StratifiedKFold

from benchmarks.shared import ROOT
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.data.splits import build_splits
from textmix.runs.train import train
from textmix.tasks.registry import build_task

RECIPE = ROOT / "recipes" / "bbc_news" / "minilm_manifold.yaml"
REPORTED_SEEDS = (0, 1, 2)
FOLDS = 5


def untested_rows() -> Dataset:
    """Return the rows that are in no test split of the reported seeds."""
    data = DataConfig(source="bbc_news", deduplicate=True)
    tested: set[str] = set()
    for seed in REPORTED_SEEDS:
        splits = build_splits(data, build_task("single_label", data), seed).rows
        tested |= set(splits["test"]["text"][:])
    rows = concatenate_datasets([splits[name].flatten_indices() for name in splits])
    return rows.select([number for number, text in enumerate(rows["text"][:]) if text not in tested])


def run_fold(config: RunConfig, rows: Dataset, held_out: np.ndarray, seed: int, scratch: Path) -> float:
    """Train on the other rows and return the accuracy on the rows held out."""
    kept = np.setdiff1d(np.arange(rows.num_rows), held_out)
    for name, part in (("train", kept), ("held_out", held_out)):
        rows.select(part).to_parquet(scratch / f"{name}.parquet")
    data = DataConfig(
        source=str(scratch / "train.parquet"), test_source=str(scratch / "held_out.parquet"), validation_fraction=0
    )
    fold = replace(config, data=data, train=replace(config.train, seed=seed), output_dir=str(scratch / "run"))
    return float(train(fold, overwrite=True).metrics["test"]["accuracy"])


def main() -> None:
    """Run all folds."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="options that change the recipe")
    given = arguments.parse_args().options
    parser = run_parser("choose_bbc_news", "")
    config = to_run_config(parser, parse(parser, ["--config", str(RECIPE), *(f"--{option}" for option in given)]))
    rows = untested_rows()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(rows.num_rows), rows["label"][:])
    accuracies = []
    for number, (_, held_out) in enumerate(folds):
        with tempfile.TemporaryDirectory() as scratch:
            accuracies.append(run_fold(config, rows, held_out, 100 + number, Path(scratch)))
        print(f"fold {number + 1}: {accuracies[-1]:.4f}", flush=True)
    print(f"mean over {rows.num_rows} rows: {statistics.mean(accuracies):.4f} ({' '.join(given) or 'the recipe'})")


if __name__ == "__main__":
    main()
