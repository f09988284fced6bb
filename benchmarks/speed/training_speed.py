"""Compare training speed with the stock Trainer: python -m benchmarks.speed.training_speed TRAIN.csv TEST.csv.

Three contestants fine-tune MiniLM with a linear head for 2 epochs in batches of 32, with the same schedule and without
mixing: the Trainer of transformers at its defaults, the same with bf16, and MixupTrainer as `textmix train` runs it.
Each run is a separate process. Each seed runs all contestants in turn, in an order that is reversed from seed to seed.
Speed is rows over training time: for the Trainer the time of `train()`, which saves nothing here, and for textmix the
time of its progress, which excludes saving the model. Accuracy is measured with the last weights on the test rows, in
float32. Results: benchmarks/results/training_speed.json.
"""

import statistics
import tempfile
import time
from typing import Any

from benchmarks.shared import deviation, machine, make_parser, print_table, write_results
from benchmarks.speed.contest import Contestant, add_options, alternate, run_if_asked, textmix

EPOCHS, BATCH, RATE = 2, 32, 1e-4


def train_stock(bf16: bool) -> Contestant:
    """Return a function that trains with the Trainer of transformers."""

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
                use_cpu=not torch.cuda.is_available(),  # bf16 on a CPU is refused without it
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
    parser = make_parser(__doc__)
    add_options(parser, CONTESTANTS)
    parser.add_argument("--float32-seeds", type=int, default=2, help="seeds of the Trainer in float32, which is slow")
    options = parser.parse_args()
    if run_if_asked(options, "minilm", CONTESTANTS, EPOCHS):
        return
    runs = alternate("benchmarks.speed.training_speed", options, CONTESTANTS, {"Trainer": options.float32_seeds})
    table = {name: compare(runs["textmix"], results) for name, results in runs.items()}
    print_table(
        ["trainer", "seeds", "samples/s, median", "textmix over it", "test accuracy", "textmix minus it: mean ± sd"],
        [
            (
                name,
                row["seeds"],
                f"{row['samples_per_second']:.0f}",
                f"{row['ratio']:.2f} ×",
                f"{row['accuracy']:.4f}",
                f"{row['gap']:+.4f} ± {row['gap_sd']:.4f}",
            )
            for name, row in table.items()
        ],
    )
    record = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "environment": machine(),
        "table": table,
        "runs": runs,
    }
    write_results("training_speed", record, options)


def compare(ours: list[dict[str, float]], results: list[dict[str, float]]) -> dict[str, Any]:
    """Compare the runs of textmix with the runs of a contestant, seed by seed; it may have fewer seeds."""
    pairs = list(zip(ours, results, strict=False))
    gaps = [a["accuracy"] - b["accuracy"] for a, b in pairs]
    return {
        "samples_per_second": statistics.median(result["samples_per_second"] for result in results),
        "seeds": len(results),
        "ratio": statistics.median(a["samples_per_second"] / b["samples_per_second"] for a, b in pairs),
        "accuracy": statistics.mean(result["accuracy"] for result in results),
        "gap": statistics.mean(gaps),
        "gap_sd": deviation(gaps),
    }


if __name__ == "__main__":
    main()
