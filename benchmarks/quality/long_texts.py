"""What does reading long texts whole bring? python -m benchmarks.quality.long_texts --data DIRECTORY.

Trains TextCNN, or what further options of `textmix train` name, with sentence mixing on BBC News (built in) and on R8
(reuters_r8_train.csv and reuters_r8_test.csv in DIRECTORY), at 64 tokens an input, with each `model.long_text`. Prints
the scores and the time of training over seeds, and the paired differences from `truncate`. The same command continues
an interrupted benchmark. Results: benchmarks/results/NAME.json.
"""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.quality.runs import finished_run, test_scores
from benchmarks.shared import make_parser, mean_of, print_table, write_results

KEPT = ("truncate", "head_tail", "windows")
FIGURES = ("accuracy", "macro_f1", "nll", "ece", "seconds")


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the data sets")
    parser.add_argument("--sets", nargs="+", choices=["BBC", "R8"], default=["BBC", "R8"], help="data sets")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--max_length", type=int, default=64, help="tokens of an input")
    parser.add_argument("--name", default="long_texts", help="name of the result file")
    options, rest = parser.parse_known_args()
    rest = rest or ["--model.name", "textcnn", "--train.epochs", "8"]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {(name, kept): [] for name in options.sets for kept in KEPT}
    for seed in range(options.seeds):
        for (name, kept), runs in found.items():
            given = ["--model.max_length", str(options.max_length), "--model.long_text", kept, *rest]
            runs.append(test_scores(finished_run(options.data, name, seed, *given)))
    record, rows = [], []
    for (name, kept), runs in found.items():
        base = found[name, "truncate"]
        row: dict[str, Any] = {"data": name, "long_text": kept, "truncated": runs[0]["truncated"]}
        row |= {figure: mean_of([run[figure] for run in runs]) for figure in FIGURES}
        row["differences"] = [run["accuracy"] - other["accuracy"] for run, other in zip(runs, base, strict=True)]
        record.append(row)
        rows.append(
            [name, kept, f"{row['truncated']:.0%}"]
            + [f"{row[figure]['mean']:.3f} ± {row[figure]['sd']:.3f}" for figure in FIGURES[:-1]]
            + [f"{statistics.mean(row['differences']):+.3f}", f"{row['seconds']['mean']:.0f}"]
        )
    names = ["data", "long_text", "cut", "accuracy", "macro F1", "NLL", "ECE", "accuracy minus truncate", "seconds"]
    print_table(names, rows)
    about = {"seeds": options.seeds, "max_length": options.max_length, "options": rest}
    write_results(options.name, {**about, "rows": record}, options)


if __name__ == "__main__":
    main()
