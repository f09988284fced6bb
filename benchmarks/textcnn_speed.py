"""Measure TextCNN's training against a plain loop: python benchmarks/textcnn_speed.py TRAIN.csv TEST.csv [--seeds 5].

The same network with the same first weights, 8 epochs in batches of 50 at a constant rate without decay, no mixing. The
plain loop is what a tutorial would write: rows padded to the longest of the data, shuffled, float32, dense Adam. The
other is MixupTrainer as `textmix train` runs it. Each run is a process of its own; the two alternate. Speed is rows
over the time of training; accuracy is that of the last weights. The table goes to standard output, everything to
benchmarks/results/textcnn_speed.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training_speed import read

RESULTS = Path(__file__).resolve().parent / "results" / "textcnn_speed.json"
EPOCHS, BATCH, RATE = 8, 50, 1e-3
CONTESTANTS = ("plain loop", "textmix")


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
    loaded = build_model(ModelConfig(name="textcnn"), names, texts)
    encoded = loaded.tokenizer(texts, truncation=True)
    data = Dataset.from_dict({**encoded, "labels": [names.index(label) for label in labels]})
    train_one = train_plainly if contestant == "plain loop" else train_ours
    seconds = train_one(loaded.model, loaded.tokenizer, data, names, seed)
    texts, labels = read(test)
    predicted = Predictor(loaded.model.eval(), loaded.tokenizer)(texts).argmax(axis=1)
    right = [names[number] == label for number, label in zip(predicted, labels, strict=True)]
    return {"samples_per_second": EPOCHS * len(data) / seconds, "accuracy": sum(right) / len(right)}


def train_plainly(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
    """Train in a plain loop; returns the seconds."""
    import torch

    padded = tokenizer.pad({name: data[name][:] for name in ("input_ids", "attention_mask")}, return_tensors="pt")
    labels = torch.tensor(data["labels"][:])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    model.train()
    started = time.perf_counter()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH):
            logits = model(input_ids=padded["input_ids"][rows], attention_mask=padded["attention_mask"][rows]).logits
            loss = torch.nn.functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - started


def train_ours(model: Any, tokenizer: Any, data: Any, names: list[str], seed: int) -> float:
    """Train with MixupTrainer; returns the seconds."""
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
        schedule="constant",
        max_grad_norm=0.0,
        save_steps=None,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as directory:
        mix = MixConfig(strategy="none")
        trainer = MixupTrainer(model, tokenizer, data, None, names, config, mix, LossConfig(), Path(directory))
        started = time.perf_counter()
        trainer.train()
        return time.perf_counter() - started


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=5)
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
        for name in CONTESTANTS if seed % 2 == 0 else CONTESTANTS[::-1]:
            command = [sys.executable, __file__, options.train, options.test, "--only", name, "--seed", str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"seed {seed}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    pairs = list(zip(runs["textmix"], runs["plain loop"], strict=True))
    ratio = statistics.median(a["samples_per_second"] / b["samples_per_second"] for a, b in pairs)
    gaps = [a["accuracy"] - b["accuracy"] for a, b in pairs]
    print("| training of TextCNN | samples/s, median | test accuracy, mean |\n| --- | --- | --- |")
    for name, results in runs.items():
        speed = statistics.median(result["samples_per_second"] for result in results)
        print(f"| {name} | {speed:.0f} | {statistics.mean(result['accuracy'] for result in results):.4f} |")
    spread = statistics.stdev(gaps) if len(gaps) > 1 else 0.0
    print(f"\ntextmix over the plain loop: {ratio:.2f} ×; accuracy {statistics.mean(gaps):+.4f} ± {spread:.4f} (sd)")
    record = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "ratio": ratio,
        "environment": environment(choose_precision("auto")),
        "runs": runs,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
