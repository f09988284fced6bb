"""Shared code of the comparisons of trainers: one network, the same rows, each run in a separate process."""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.shared import alternating, keep_memory

# Trains a model on tokenised rows: model, tokenizer, rows, class names, seed; returns the seconds of training.
Contestant = Callable[[Any, Any, Any, list[str], int], float]
Runs = dict[str, list[dict[str, float]]]


def read(path: str) -> tuple[list[str], list[str]]:
    """Read texts and labels."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def run_one(train_one: Contestant, model: str, train: str, test: str, seed: int, epochs: int) -> dict[str, float]:
    """Train one contestant in this process, and evaluate the last weights in float32."""
    from accelerate.utils import set_seed
    from datasets import Dataset

    from textmix.inference.predictor import Predictor
    from textmix.models.config import ModelConfig
    from textmix.models.loading import build_model
    from textmix.tasks.single_label import Classes

    texts, labels = read(train)
    names = sorted(set(labels))
    set_seed(seed)
    loaded = build_model(ModelConfig(name=model), Classes(names).to_config(), texts)
    encoded = loaded.tokenizer(texts, truncation=True)
    data = Dataset.from_dict({**encoded, "labels": [names.index(label) for label in labels]})
    seconds = train_one(loaded.model, loaded.tokenizer, data, names, seed)
    texts, labels = read(test)
    predicted = Predictor(loaded.model.float().eval(), loaded.tokenizer)(texts).argmax(axis=1)
    right = [names[number] == label for number, label in zip(predicted, labels, strict=True)]
    return {"samples_per_second": epochs * len(data) / seconds, "accuracy": sum(right) / len(right)}


def textmix(**options: Any) -> Contestant:
    """Return a function that trains with MixupTrainer as `textmix train` does, without mixing.

    The measured time excludes saving the model.

    Args:
        **options: Options of `TrainConfig`.
    """

    def run(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
        from textmix.config.train import TrainConfig
        from textmix.mixing.config import MixConfig
        from textmix.mixing.loss_config import LossConfig
        from textmix.tasks.single_label import Classes
        from textmix.training.trainer import MixupTrainer, TrainingData

        keep_memory()
        config = TrainConfig(**options, weight_decay=0.0, warmup_ratio=0.0, save_steps=None, seed=seed)
        with tempfile.TemporaryDirectory() as directory:
            mix = MixConfig(strategy="none")
            trainer = MixupTrainer(
                model, tokenizer, TrainingData(data, None, Classes(names)), config, mix, LossConfig(), Path(directory)
            )
            return trainer.train().seconds

    return run


def add_options(parser: argparse.ArgumentParser, contestants: Iterable[str]) -> None:
    """Add the options of a comparison of trainers."""
    parser.add_argument("train", help="a CSV file of training rows with the columns text and label")
    parser.add_argument("test", help="a CSV file of test rows")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--only", choices=list(contestants), help="run one contestant in this process; prints JSON")
    parser.add_argument("--seed", type=int, default=0, help="seed of --only")


def run_if_asked(options: argparse.Namespace, model: str, contestants: Mapping[str, Contestant], epochs: int) -> bool:
    """Run the contestant of `--only`, if it is given, and print its figures; returns whether it is."""
    if options.only is None:
        return False
    figures = run_one(contestants[options.only], model, options.train, options.test, options.seed, epochs)
    print(json.dumps(figures))
    return True


def alternate(module: str, options: argparse.Namespace, contestants: Iterable[str], few: dict[str, int]) -> Runs:
    """Run each contestant with each seed, in an order that is reversed from seed to seed.

    Args:
        module: The benchmark; with `--only` it runs one contestant and prints the figures as JSON in the last line.
        options: Options from `add_options`.
        contestants: Their names.
        few: Number of seeds of contestants that have fewer.
    """
    names = list(contestants)
    runs: Runs = {name: [] for name in names}
    for seed, name in alternating(names, options.seeds):
        if seed >= few.get(name, options.seeds):
            continue
        command = [sys.executable, "-m", module, options.train, options.test, "--only", name, "--seed", str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        runs[name].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"seed {seed}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs
