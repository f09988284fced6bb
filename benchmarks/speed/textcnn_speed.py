"""Compare the training speed of TextCNN with a plain loop: python -m benchmarks.speed.textcnn_speed TRAIN.csv TEST.csv.

Both train the same network from the same initial weights for 8 epochs in batches of 50, at a constant learning rate
without weight decay and without mixing. The plain loop is that of a tutorial: rows padded to the longest row of the
data, shuffled, float32, dense Adam. The other is MixupTrainer as `textmix train` runs it. Each run is a separate
process; the two alternate. Speed is rows over training time, without saving the model. Accuracy is measured with the
last weights. Results: benchmarks/results/textcnn_speed.json.
"""

import statistics
import time
from typing import Any

from benchmarks.shared import deviation, machine, make_parser, median_ratio, print_table, write_results
from benchmarks.speed.contest import Contestant, add_options, alternate, run_if_asked, textmix

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
    parser = make_parser(__doc__)
    add_options(parser, CONTESTANTS)
    options = parser.parse_args()
    if run_if_asked(options, "textcnn", CONTESTANTS, EPOCHS):
        return
    runs = alternate("benchmarks.speed.textcnn_speed", options, CONTESTANTS, {})
    speeds = {name: [result["samples_per_second"] for result in results] for name, results in runs.items()}
    accuracies = {name: [result["accuracy"] for result in results] for name, results in runs.items()}
    ratio = median_ratio(speeds["textmix"], speeds["plain loop"])
    gaps = [a - b for a, b in zip(accuracies["textmix"], accuracies["plain loop"], strict=True)]
    print_table(
        ["training of TextCNN", "samples/s, median", "test accuracy, mean"],
        [
            (name, f"{statistics.median(speeds[name]):.0f}", f"{statistics.mean(accuracies[name]):.4f}")
            for name in CONTESTANTS
        ],
    )
    mean, sd = statistics.mean(gaps), deviation(gaps)
    print(f"\ntextmix over the plain loop: {ratio:.2f} ×; accuracy {mean:+.4f} ± {sd:.4f} (sd)")
    record = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "ratio": ratio,
        "environment": machine(),
        "runs": runs,
    }
    write_results("textcnn_speed", record, options)


if __name__ == "__main__":
    main()
