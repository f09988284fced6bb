"""Try settings on sentences without their test sets: python -m benchmarks.quality.choose_sentences --data DIRECTORY.

Trains recipes/sentences/textcnn.yaml, changed by options such as --mix.alpha 0.3, on a part of trec_train.csv and of
mr.csv in DIRECTORY, and evaluates on another part: 500 questions of TREC's training file, 1000 sentences of MR. A tenth
of MR is used by no seed. Each run adds a line of JSON to runs/benchmarks/sentences_choice.jsonl: options, seed, and
accuracy, NLL and ECE after each epoch. `--summary`, instead of a run, prints a table of all these lines, and writes it
to benchmarks/results/sentences_choice.json: for each setting the figures after the last epoch, and the difference from
no mixing with the same other options and seeds.
"""

import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.model_selection import train_test_split

from benchmarks.shared import RAW, ROOT, Row, make_parser, print_table, read_rows, write_results, write_rows
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.data.config import DataConfig
from textmix.runs.train import train

RECIPE = ROOT / "recipes" / "sentences" / "textcnn.yaml"
LINES = RAW / "sentences_choice.jsonl"
HELD_OUT = {"trec": ("trec_train.csv", 500), "mr": ("mr.csv", 1000)}


def parts(path: Path, size: int, untouched: float, seed: int) -> Iterator[list[Row]]:
    """Divide a file into training rows and evaluation rows; a share of it is left out for every seed."""
    rows = read_rows(path)
    if untouched:
        rows, _ = train_test_split(rows, test_size=untouched, random_state=12345, stratify=[row[1] for row in rows])
    yield from train_test_split(rows, test_size=size, random_state=1000 + seed, stratify=[row[1] for row in rows])


def run(directory: Path, name: str, seed: int, given: list[str]) -> dict[str, Any]:
    """Train once."""
    parser = run_parser("choose_sentences", "")
    file, size = HELD_OUT[name]
    config = to_run_config(parser, parse(parser, ["--config", str(RECIPE), "--data.source", file, *given]))
    with tempfile.TemporaryDirectory() as scratch:
        kept, held_out = parts(directory / file, size, 0.1 if name == "mr" else 0.0, seed)
        evaluated = write_rows(Path(scratch) / "held_out.csv", held_out)
        data = DataConfig(
            source=write_rows(Path(scratch) / "train.csv", kept), validation_source=evaluated, test_source=evaluated
        )
        config = replace(config, data=data, train=replace(config.train, seed=seed), output_dir=f"{scratch}/run")
        train(config, overwrite=True)
        history = [json.loads(line) for line in (Path(scratch) / "run" / "history.jsonl").read_text().splitlines()]
    epochs = [entry["validation"] for entry in history if "validation" in entry]
    figures = {figure: [round(epoch[figure], 5) for epoch in epochs] for figure in ("accuracy", "nll", "ece")}
    print(f"{name}, seed {seed}: accuracy {epochs[-1]['accuracy']:.4f} after the last epoch", flush=True)
    return {"data": name, "seed": seed, "options": " ".join(given), **figures}


def summarize() -> list[dict[str, Any]]:
    """Return a row for each setting and data set."""
    settings: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for run in map(json.loads, LINES.read_text().splitlines()):
        settings.setdefault((in_order(run["options"]), run["data"]), {})[run["seed"]] = run
    rows = []
    for (options, name), own in sorted(settings.items()):
        plain = settings.get((without_mixing(options), name), {})
        shared = [seed for seed in own if seed in plain and own is not plain]
        differences = [own[seed]["accuracy"][-1] - plain[seed]["accuracy"][-1] for seed in shared]
        means = {
            figure: round(statistics.mean(run[figure][-1] for run in own.values()), 5)
            for figure in ("accuracy", "nll", "ece")
        }
        minus = round(statistics.mean(differences), 5) if shared else None
        row = {"options": options, "data": name, "seeds": len(own), **means}
        rows.append({**row, "minus_none": minus, "shared_seeds": len(shared)})
    return rows


def print_summary(rows: list[dict[str, Any]]) -> None:
    """Print the rows of `summarize` as a table."""
    print_table(
        ["options", "data", "seeds", "accuracy", "minus none", "NLL", "ECE"],
        [
            (
                row["options"],
                row["data"],
                row["seeds"],
                f"{row['accuracy']:.4f}",
                f"{row['minus_none']:+.4f} ({row['shared_seeds']})" if row["shared_seeds"] else "",
                f"{row['nll']:.3f}",
                f"{row['ece']:.3f}",
            )
            for row in rows
        ],
    )


def in_order(options: str) -> str:
    """Sort options, so that their order does not matter."""
    return " ".join(f"--{part}" for part in sorted(options.removeprefix("--").split(" --")))


def without_mixing(options: str) -> str:
    """Replace the options of mixing by strategy none."""
    pairs = [part for part in options.removeprefix("--").split(" --") if not part.startswith("mix.")]
    return in_order(" ".join(f"--{part}" for part in ["mix.strategy none", *pairs]))


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="directory of trec_train.csv and mr.csv")
    parser.add_argument("--sets", nargs="+", choices=HELD_OUT, default=list(HELD_OUT), help="data sets")
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds")
    parser.add_argument("--summary", action="store_true", help="summarize all runs so far; no run")
    options, given = parser.parse_known_args()
    if options.summary:
        rows = summarize()
        print_summary(rows)
        write_results("sentences_choice", {"settings": rows}, options)
        return
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    LINES.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name in options.sets:
            line = json.dumps(run(options.data, name, seed, given))
            with LINES.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
