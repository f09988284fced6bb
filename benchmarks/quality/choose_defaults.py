"""Try defaults without the test sets: python -m benchmarks.quality.choose_defaults --data DIRECTORY --try OPTIONS.

Trains on 100, 500 and 5000 rows of trec_train.csv and mr.csv in DIRECTORY and evaluates on a tenth of the same files;
over 4000 rows of MR are used by no seed. Each `--try` is a setting: options of `textmix train`, in one string. Each
run adds a line of JSON to runs/benchmarks/choose_defaults.jsonl, and a run that has a line is not repeated: several
processes can share the work by `--sets` and `--rows`. `--summary`, instead of a run, prints all lines as a table, with
differences from the setting `--first` on the same rows and seeds, and writes benchmarks/results/choose_defaults.json.
"""

import csv
import json
import math
import shlex
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sklearn.model_selection import train_test_split

from benchmarks.shared import RAW, make_parser, print_table, write_results
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.runs.train import train

LINES = RAW / "choose_defaults.jsonl"
FILES = {"TREC": "trec_train.csv", "MR": "mr.csv"}
FIGURES = ("accuracy", "nll", "ece")
MOST = 6000

Row = tuple[str, str]


def parts(path: Path, rows: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Draw training rows and other rows to evaluate on; at most those that the file has."""
    with path.open(encoding="utf-8", newline="") as file:
        found = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    if len(found) > MOST:
        found, _ = split(found, 12345, train_size=MOST)
    kept, evaluated = split(found, seed, test_size=len(found) // 10)
    return (split(kept, seed, train_size=rows)[0] if rows < len(kept) else kept), evaluated


def split(rows: list[Row], seed: int, **size: int) -> tuple[list[Row], list[Row]]:
    """Split rows by class."""
    first, second = train_test_split(rows, random_state=seed, stratify=[label for _, label in rows], **size)
    return first, second


def write(path: Path, rows: list[Row]) -> str:
    """Write rows as CSV and return the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def run(path: Path, rows: int, seed: int, setting: str) -> dict[str, Any]:
    """Train once and return the scores on other rows."""
    parser = run_parser("choose_defaults", "")
    with tempfile.TemporaryDirectory() as scratch:
        kept, held_out = parts(path, rows, seed)
        train_file, held_out_file = (
            write(Path(scratch) / f"{name}.csv", part) for name, part in (("train", kept), ("held_out", held_out))
        )
        given = ["--data.source", train_file, "--data.test_source", held_out_file, "--train.seed", str(seed)]
        given += ["--output_dir", f"{scratch}/run", *shlex.split(setting)]
        began = time.perf_counter()
        result = train(to_run_config(parser, parse(parser, given)), show_progress=False)
        seconds = time.perf_counter() - began
    assert result is not None
    scores, progress = result.metrics["test"], result.metrics["train"]
    figures = {name: round(scores[name], 5) for name in FIGURES}
    return {**figures, "seconds": round(seconds, 2), "train_seconds": round(progress["seconds"], 2)}


def finished() -> list[dict[str, Any]]:
    """Return all runs so far."""
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.is_file() else []


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a run is known by."""
    return line["data"], line["rows"], line["seed"], line["setting"]


def summarize(first: str | None) -> list[dict[str, Any]]:
    """Return a row for each data set, number of rows and setting, with differences from a first setting."""
    found: dict[tuple[str, int, str], dict[int, dict[str, Any]]] = {}
    for line in finished():
        found.setdefault((line["data"], line["rows"], line["setting"]), {})[line["seed"]] = line
    summary = []
    for (data, rows, setting), own in sorted(found.items()):
        base = found.get((data, rows, first or ""), {})
        row: dict[str, Any] = {"data": data, "rows": rows, "setting": setting, "seeds": len(own)}
        for name in (*FIGURES, "train_seconds"):
            row[name] = statistics.mean(one[name] for one in own.values())
        shared = [seed for seed in own if seed in base]
        for name in FIGURES:
            differences = [own[seed][name] - base[seed][name] for seed in shared]
            if len(differences) > 1:
                error = statistics.stdev(differences) / math.sqrt(len(differences))
                row[f"{name}_difference"] = {"mean": statistics.mean(differences), "standard_error": error}
        summary.append(row)
    return summary


def cell(row: dict[str, Any], name: str) -> str:
    """Write a difference and its standard error."""
    found = row.get(f"{name}_difference")
    return f"{found['mean']:+.4f} ± {found['standard_error']:.4f}" if found else ""


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="directory of trec_train.csv and mr.csv")
    parser.add_argument("--sets", nargs="+", choices=FILES, default=list(FILES), help="data sets")
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 500, 5000], help="numbers of training rows")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--try", dest="settings", action="append", default=[], help="options, in one string")
    parser.add_argument("--summary", action="store_true", help="summarize all runs so far; no run")
    parser.add_argument("--first", default=None, help="the setting that others are compared with in the summary")
    options = parser.parse_args()
    if options.summary:
        rows = summarize(options.first)
        names = ["data", "rows", "setting", "seeds", *FIGURES, "seconds", "accuracy difference", "nll difference"]
        print_table(
            names,
            [
                [row["data"], row["rows"], row["setting"], row["seeds"]]
                + [f"{row[name]:.4f}" for name in FIGURES]
                + [f"{row['train_seconds']:.0f}", cell(row, "accuracy"), cell(row, "nll")]
                for row in rows
            ],
        )
        write_results("choose_defaults", {"first": options.first, "settings": rows}, options)
        return
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    LINES.parent.mkdir(parents=True, exist_ok=True)
    done = {key(line) for line in finished()}
    for seed in range(options.seeds):
        for rows in options.rows:
            for name in options.sets:
                for setting in options.settings:
                    known = {"data": name, "rows": rows, "seed": seed, "setting": setting}
                    if key(known) in done:
                        continue
                    line = {**known, **run(options.data / FILES[name], rows, seed, setting)}
                    with LINES.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print(line, flush=True)


if __name__ == "__main__":
    main()
