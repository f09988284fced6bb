"""Does mixing help where labels are wrong? python -m benchmarks.quality.label_noise --data DIRECTORY.

Draws 1000 training rows of TREC, and replaces the labels of a share of them by another class at random. MiniLM is
trained with the defaults, without a validation split, and scored on the test questions after the last epoch. Each run
adds a line to runs/benchmarks/label_noise.jsonl; `--summary` writes benchmarks/results/label_noise.json.
"""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.few_labels import score
from benchmarks.shared import (
    RAW,
    Row,
    make_parser,
    mean_of,
    print_table,
    read_lines,
    read_rows,
    train_predictor,
    write_results,
    write_rows,
)

LINES = RAW / "label_noise.jsonl"
ROWS = 1000
STRATEGIES = {
    "none": [],
    "sentence": ["--mix.strategy", "sentence"],
    "cutmix": ["--mix.strategy", "cutmix"],
    "confidence pairs": ["--mix.strategy", "sentence", "--mix.partner", "easy_hard", "--mix.targets", "trust"],
}


def flipped(rows: list[Row], share: float, seed: int) -> list[Row]:
    """Replace the labels of a share of the rows by another class."""
    generator = np.random.default_rng(seed)
    names = sorted({label for _, label in rows})
    chosen = {int(number) for number in generator.choice(len(rows), round(share * len(rows)), replace=False)}
    result = []
    for number, (text, label) in enumerate(rows):
        others = [name for name in names if name != label]
        result.append((text, str(generator.choice(others)) if number in chosen else label))
    return result


def run(data: Path, strategy: str, share: float, seed: int) -> dict[str, Any]:
    """Train once and score the test questions."""
    found = read_rows(data / "trec_train.csv")
    order = np.random.default_rng(seed).permutation(len(found))[:ROWS]
    test = read_rows(data / "trec_test.csv")
    with tempfile.TemporaryDirectory() as scratch:
        rows = flipped([found[number] for number in order], share, seed)
        given = ["--data.source", write_rows(Path(scratch) / "train.csv", rows), "--data.test_fraction", "0"]
        given += ["--data.validation_fraction", "0", "--train.seed", str(seed), "--output_dir", f"{scratch}/run"]
        predictor, _ = train_predictor([*given, *STRATEGIES[strategy]])
        figures = score(test, predictor.class_names, predictor([text for text, _ in test]))
    return {"strategy": strategy, "flipped": share, "seed": seed, **figures}


def summarize() -> list[dict[str, Any]]:
    """Return a row for each strategy and share of flipped labels."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(LINES):
        groups[line["strategy"], line["flipped"]].append(line)
    summary = []
    for (strategy, share), lines in sorted(groups.items()):
        row: dict[str, Any] = {"strategy": strategy, "flipped": share, "seeds": len(lines)}
        for name in ("accuracy", "nll", "ece"):
            figure = mean_of([line[name] for line in lines])
            row |= {name: round(figure["mean"], 4)} | ({"sd": round(figure["sd"], 4)} if name == "accuracy" else {})
        summary.append(row)
    return summary


def main() -> None:
    """Run everything."""
    import torch

    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="directory of the data sets")
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.2, 0.4], help="shares of flipped labels")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="draws of rows")
    parser.add_argument("--summary", action="store_true", help="summarize all runs so far; no run")
    options = parser.parse_args()
    if options.summary:
        rows = summarize()
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        write_results("label_noise", {"rows": rows}, options)
        return
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    torch.set_num_threads(1)
    LINES.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["strategy"], line["flipped"], line["seed"]) for line in read_lines(LINES)}
    for seed in options.seeds:
        for share in options.shares:
            for strategy in options.strategies:
                if (strategy, share, seed) not in done:
                    line = run(options.data, strategy, share, seed)
                    with LINES.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print(line, flush=True)


if __name__ == "__main__":
    main()
