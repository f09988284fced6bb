"""What the comparisons of trainers share: one network, the same rows, each contestant in a process of its own."""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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

    texts, labels = read(train)
    names = sorted(set(labels))
    set_seed(seed)
    loaded = build_model(ModelConfig(name=model), names, texts)
    encoded = loaded.tokenizer(texts, truncation=True)
    data = Dataset.from_dict({**encoded, "labels": [names.index(label) for label in labels]})
    seconds = train_one(loaded.model, loaded.tokenizer, data, names, seed)
    texts, labels = read(test)
    predicted = Predictor(loaded.model.float().eval(), loaded.tokenizer)(texts).argmax(axis=1)
    right = [names[number] == label for number, label in zip(predicted, labels, strict=True)]
    return {"samples_per_second": epochs * len(data) / seconds, "accuracy": sum(right) / len(right)}


def textmix(**options: Any) -> Contestant:
    """Train with MixupTrainer as `textmix train` does, without mixing; its progress leaves out the saving of models.

    Args:
        **options: Those of `TrainConfig`.
    """

    def run(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
        from textmix.config.train import TrainConfig
        from textmix.mixing.config import MixConfig
        from textmix.mixing.loss_config import LossConfig
        from textmix.training.cpu.memory import keep_memory
        from textmix.training.trainer import MixupTrainer, TrainingData

        keep_memory()
        config = TrainConfig(**options, weight_decay=0.0, warmup_ratio=0.0, save_steps=None, seed=seed)
        with tempfile.TemporaryDirectory() as directory:
            mix = MixConfig(strategy="none")
            trainer = MixupTrainer(
                model, tokenizer, TrainingData(data, None, names), config, mix, LossConfig(), Path(directory)
            )
            return trainer.train().seconds

    return run


def alternate(script: str, train: str, test: str, seeds: int, contestants: Iterable[str], few: dict[str, int]) -> Runs:
    """Run each contestant with each seed, in an order that is turned round from seed to seed.

    Args:
        script: Runs one, given `TRAIN TEST --only NAME --seed SEED`, and prints the figures as JSON last.
        train: File of training rows.
        test: File of test rows.
        seeds: How many seeds.
        contestants: Their names.
        few: Those that have fewer seeds.
    """
    names = list(contestants)
    runs: Runs = {name: [] for name in names}
    for seed in range(seeds):
        for name in names if seed % 2 == 0 else names[::-1]:
            if seed >= few.get(name, seeds):
                continue
            command = [sys.executable, script, train, test, "--only", name, "--seed", str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"seed {seed}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs
