"""Measure the cost of an epoch: python -m benchmarks.speed.training_cost TRAIN.csv [--repeats 3].

The benchmark measures two ratios of training times of `textmix train`; runs alternate, and the table has the median
over the repeats. The first compares an epoch of the whole MiniLM with an epoch on the cached vectors of its frozen
encoder, both with sentence mixing. The second compares TextCNN on ten copies of the rows with TextCNN on the rows.
Results: benchmarks/results/training_cost.json.
"""

import json
import tempfile
from pathlib import Path

from benchmarks.shared import alternating, machine, make_parser, median_ratio, print_table, run_textmix, write_results

UNFROZEN = ["--model.name", "minilm", "--mix.strategy", "sentence", "--train.epochs", "1"]
FROZEN = ["--model.name", "minilm", "--mix.strategy", "sentence", "--train.epochs", "5", "--model.freeze", "encoder"]
# Every word has a vector, so that the vocabulary of repeated rows has the same size.
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
        arguments = ["--data.source", str(source), *options, "--output_dir", str(run)]
        run_textmix("train", *arguments, capture_output=True)
        train = json.loads((run / "metrics.json").read_text())["train"]
        return float(train["seconds"] / train["epochs"])


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("train", type=Path, help="a CSV file with the columns text and label")
    parser.add_argument("--repeats", type=int, default=3, help="number of repeats")
    options = parser.parse_args()
    header, *rows = options.train.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as scratch:
        few, many = Path(scratch) / "few.csv", Path(scratch) / "many.csv"
        few.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        many.write_text("\n".join([header, *rows * 10]) + "\n", encoding="utf-8")
        kinds = {
            "unfrozen": (options.train, UNFROZEN),
            "frozen": (options.train, FROZEN),
            "rows": (few, TEXTCNN),
            "10 x rows": (many, TEXTCNN),
        }
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for _, name in alternating(kinds, options.repeats):
            times[name].append(seconds_per_epoch(*kinds[name]))
    frozen, rows_ratio = (
        median_ratio(times["unfrozen"], times["frozen"]),
        median_ratio(times["10 x rows"], times["rows"]),
    )
    print_table(
        ["an epoch of", "over an epoch of", "ratio"],
        [
            ("MiniLM", "MiniLM on cached vectors (`model.freeze: encoder`)", f"{frozen:.1f}"),
            ("TextCNN on 10 times the rows", "TextCNN", f"{rows_ratio:.2f}"),
        ],
    )
    record = {
        "frozen": frozen,
        "ten_times_the_rows": rows_ratio,
        "seconds_per_epoch": times,
        "environment": machine(),
    }
    write_results("training_cost", record, options)


if __name__ == "__main__":
    main()
