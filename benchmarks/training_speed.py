"""Measure training speed against the stock Trainer: python benchmarks/training_speed.py TRAIN.csv TEST.csv.

Fine-tunes MiniLM with a linear head for 2 epochs in batches of 32, all with the same schedule and no mixing: the
Trainer of transformers at its defaults, the same with bf16, and MixupTrainer as `textmix train` runs it. Each seed runs
all of them one after the other, in an order that is turned round from seed to seed, each in a process of its own.
Speed is rows over the time of training: all that `train()` takes of the Trainer, which saves nothing here, and of
textmix what its progress counts, which leaves out that it saves the model. Accuracy is that of the last weights on the
test rows, evaluated alike in float32. The table goes to standard output, everything to
benchmarks/results/training_speed.json.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "training_speed.json"
EPOCHS, BATCH, RATE = 2, 32, 1e-4


def read(path: str) -> tuple[list[str], list[str]]:
    """Read texts and labels."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def run_one(contestant: str, train: str, test: str, seed: int) -> dict[str, float]:
    """Train one contestant in this process."""
    from accelerate.utils import set_seed
    from datasets import Dataset

    from textmix.models.config import ModelConfig
    from textmix.models.loading import build_model
    from textmix.predictor import Predictor

    texts, labels = read(train)
    names = sorted(set(labels))
    set_seed(seed)
    loaded = build_model(ModelConfig(name="minilm"), names, [])
    encoded = loaded.tokenizer(texts, truncation=True)
    data = Dataset.from_dict({**encoded, "labels": [names.index(label) for label in labels]})
    seconds = CONTESTANTS[contestant](loaded.model, loaded.tokenizer, data, names, seed)
    texts, labels = read(test)
    predicted = Predictor(loaded.model.float().eval(), loaded.tokenizer)(texts).argmax(axis=1)
    right = [names[number] == label for number, label in zip(predicted, labels, strict=True)]
    return {"samples_per_second": EPOCHS * len(data) / seconds, "accuracy": sum(right) / len(right)}


def train_stock(bf16: bool) -> Callable[..., float]:
    """Train with the Trainer of transformers; returns a function that gives the seconds."""

    def run(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
        import torch
        from transformers import Trainer, TrainingArguments

        with tempfile.TemporaryDirectory() as directory:
            arguments = TrainingArguments(
                directory,
                num_train_epochs=EPOCHS,
                per_device_train_batch_size=BATCH,
                learning_rate=RATE,
                seed=seed,
                bf16=bf16,
                use_cpu=not torch.cuda.is_available(),  # bf16 is refused on a CPU that was not asked for
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            trainer = Trainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
            started = time.perf_counter()
            trainer.train()
            return time.perf_counter() - started

    return run


def train_ours(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
    """Train with MixupTrainer."""
    from textmix.mixing.config import LossConfig, MixConfig
    from textmix.training.config import TrainConfig
    from textmix.training.memory import keep_memory
    from textmix.training.trainer import MixupTrainer

    keep_memory()
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=0.0,
        warmup_ratio=0.0,
        save_steps=None,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as directory:
        mix = MixConfig(strategy="none")
        trainer = MixupTrainer(model, tokenizer, data, None, names, config, mix, LossConfig(), Path(directory))
        return trainer.train().seconds


CONTESTANTS = {
    "Trainer": train_stock(bf16=False),
    "Trainer, bf16": train_stock(bf16=True),
    "textmix": train_ours,
}


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--float32-seeds", type=int, default=2, help="seeds of the Trainer in float32, which is slow")
    parser.add_argument("--only", choices=CONTESTANTS, help="run one contestant in this process; prints JSON")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(run_one(options.only, options.train, options.test, options.seed)))
        return
    from textmix.run import environment
    from textmix.training.optimization import choose_precision

    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for seed in range(options.seeds):
        order = list(CONTESTANTS) if seed % 2 == 0 else list(CONTESTANTS)[::-1]
        for name in order:
            if name == "Trainer" and seed >= options.float32_seeds:
                continue
            command = [sys.executable, __file__, options.train, options.test, "--only", name, "--seed", str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"seed {seed}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    ours = runs["textmix"]
    print("| trainer | seeds | samples/s, median | textmix over it | test accuracy | textmix minus it: mean ± sd |")
    print("| --- | --- | --- | --- | --- | --- |")
    table = {}
    for name, results in runs.items():
        ratios = [a["samples_per_second"] / b["samples_per_second"] for a, b in zip(ours, results, strict=False)]
        gaps = [a["accuracy"] - b["accuracy"] for a, b in zip(ours, results, strict=False)]
        row = table[name] = {
            "samples_per_second": statistics.median(result["samples_per_second"] for result in results),
            "seeds": len(results),
            "ratio": statistics.median(ratios),
            "accuracy": statistics.mean(result["accuracy"] for result in results),
            "gap": statistics.mean(gaps),
            "gap_sd": statistics.stdev(gaps) if len(gaps) > 1 else 0.0,
        }
        print(
            f"| {name} | {len(results)} | {row['samples_per_second']:.0f} | {row['ratio']:.2f} × |"
            f" {row['accuracy']:.4f} | {row['gap']:+.4f} ± {row['gap_sd']:.4f} |"
        )
    record = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "environment": environment(choose_precision("auto")),
        "table": table,
        "runs": runs,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
