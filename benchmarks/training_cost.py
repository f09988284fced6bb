"""Measure what training costs: python benchmarks/training_cost.py TRAIN.csv [--repeats 3].

Two ratios, each of runs of `textmix train` that alternate, medians over the repeats: an epoch of MiniLM unfrozen over
one on the cached vectors of its frozen encoder, both with sentence mixing; and the training time of TextCNN on ten
times the rows over that on the rows. The table goes to standard output, everything to
benchmarks/results/training_cost.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results" / "training_cost.json"
UNFROZEN = ["--model.name", "minilm", "--mix.strategy", "sentence", "--train.epochs", "1"]
FROZEN = ["--model.name", "minilm", "--mix.strategy", "sentence", "--train.epochs", "5", "--model.freeze", "encoder"]
# Every word has a vector, so that repeated rows make the vocabulary no larger.
TEXTCNN = [
    "--model.name",
    "textcnn",
    "--model.words.min_frequency",
    "1",
    "--mix.strategy",
    "word",
    "--train.epochs",
    "2",
]


def seconds_per_epoch(source: Path, options: list[str]) -> float:
    """Run `textmix train`; returns the training time of an epoch, without evaluation and saving."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        command = [sys.executable, "-m", "textmix", "train", "--data.source", str(source), *options]
        subprocess.run([*command, "--output_dir", str(run)], check=True, capture_output=True)
        train = json.loads((run / "metrics.json").read_text())["train"]
        return float(train["seconds"] / train["epochs"])


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    from textmix.runs.environment import environment
    from textmix.training.optimization import choose_precision

    header, *rows = options.train.read_text(encoding="utf-8").splitlines()
    times: dict[str, list[float]] = {name: [] for name in ("unfrozen", "frozen", "rows", "10 x rows")}
    with tempfile.TemporaryDirectory() as scratch:
        few, many = Path(scratch) / "few.csv", Path(scratch) / "many.csv"
        few.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        many.write_text("\n".join([header, *rows * 10]) + "\n", encoding="utf-8")
        for _ in range(options.repeats):
            times["unfrozen"].append(seconds_per_epoch(options.train, UNFROZEN))
            times["frozen"].append(seconds_per_epoch(options.train, FROZEN))
            times["rows"].append(seconds_per_epoch(few, TEXTCNN))
            times["10 x rows"].append(seconds_per_epoch(many, TEXTCNN))

    def ratio(above: str, below: str) -> float:
        return statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))

    frozen, rows_ratio = ratio("unfrozen", "frozen"), ratio("10 x rows", "rows")
    print("| an epoch of | over one of | ratio |\n| --- | --- | --- |")
    print(f"| MiniLM | MiniLM on cached vectors (`model.freeze: encoder`) | {frozen:.1f} |")
    print(f"| TextCNN on 10 times the rows | TextCNN | {rows_ratio:.2f} |")
    record = {
        "frozen": frozen,
        "ten_times_the_rows": rows_ratio,
        "seconds_per_epoch": times,
        "environment": environment(choose_precision("auto")),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
