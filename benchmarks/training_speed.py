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
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from training_contest import Contestant, alternate, run_one, textmix

RESULTS = Path(__file__).resolve().parent / "results" / "training_speed.json"
EPOCHS, BATCH, RATE = 2, 32, 1e-4


def train_stock(bf16: bool) -> Contestant:
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


CONTESTANTS: dict[str, Contestant] = {
    "Trainer": train_stock(bf16=False),
    "Trainer, bf16": train_stock(bf16=True),
    "textmix": textmix(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE),
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
        train_one = CONTESTANTS[options.only]
        print(json.dumps(run_one(train_one, "minilm", options.train, options.test, options.seed, EPOCHS)))
        return
    from textmix.runs.environment import environment
    from textmix.training.optimization import choose_precision

    few = {"Trainer": options.float32_seeds}
    runs = alternate(__file__, options.train, options.test, options.seeds, CONTESTANTS, few)
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
