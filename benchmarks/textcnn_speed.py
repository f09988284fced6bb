"""Measure TextCNN's training against a plain loop: python benchmarks/textcnn_speed.py TRAIN.csv TEST.csv [--seeds 5].

The same network with the same first weights, 8 epochs in batches of 50 at a constant rate without decay, no mixing. The
plain loop is what a tutorial would write: rows padded to the longest of the data, shuffled, float32, dense Adam. The
other is MixupTrainer as `textmix train` runs it. Each run is a process of its own; the two alternate. Speed is rows
over the time of training, without saving the model; accuracy is that of the last weights. The table goes to standard
output, everything to benchmarks/results/textcnn_speed.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from training_contest import Contestant, alternate, run_one, textmix

RESULTS = Path(__file__).resolve().parent / "results" / "textcnn_speed.json"
EPOCHS, BATCH, RATE = 8, 50, 1e-3


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


CONTESTANTS: dict[str, Contestant] = {
    "plain loop": train_plainly,
    "textmix": textmix(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, schedule="constant", max_grad_norm=0.0),
}


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
        train_one = CONTESTANTS[options.only]
        print(json.dumps(run_one(train_one, "textcnn", options.train, options.test, options.seed, EPOCHS)))
        return
    from textmix.runs.environment import environment
    from textmix.training.optimization import choose_precision

    runs = alternate(__file__, options.train, options.test, options.seeds, CONTESTANTS, {})
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
