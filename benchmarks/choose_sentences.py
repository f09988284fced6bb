"""Try settings on sentences without their test sets: python benchmarks/choose_sentences.py --data DIRECTORY [OPTIONS].

Trains recipes/sentences/textcnn.yaml, changed by options such as --mix.alpha 0.3, on a part of trec_train.csv and of
mr.csv in DIRECTORY, and takes figures on another part: 500 questions of TREC's training file, 1000 sentences of MR. A
tenth of MR is looked at by no seed. Each run adds a line of JSON to benchmarks/results/sentences_choice.jsonl: options,
seed, and accuracy, NLL and ECE after each epoch. --summary, instead of a run, prints what all these lines say: for each
setting the figures after the last epoch, beside those of no mixing with the same other options and seeds.
"""

import argparse
import csv
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.model_selection import train_test_split

from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.data.config import DataConfig
from textmix.runs.train import train

ROOT = Path(__file__).resolve().parent
RECIPE = ROOT.parent / "recipes" / "sentences" / "textcnn.yaml"
RESULTS = ROOT / "results" / "sentences_choice.jsonl"
HELD_OUT = {"trec": ("trec_train.csv", 500), "mr": ("mr.csv", 1000)}

Row = tuple[str, str]


def parts(path: Path, size: int, untouched: float, seed: int) -> Iterator[list[Row]]:
    """Cut a file into rows to train on and rows to look at, leaving a share of it out whatever the seed."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    if untouched:
        rows, _ = train_test_split(rows, test_size=untouched, random_state=12345, stratify=[row[1] for row in rows])
    yield from train_test_split(rows, test_size=size, random_state=1000 + seed, stratify=[row[1] for row in rows])


def write(path: Path, rows: list[Row]) -> str:
    """Write rows as CSV and return where."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def run(directory: Path, name: str, seed: int, given: list[str]) -> dict[str, Any]:
    """Train once."""
    parser = run_parser("choose_sentences", "")
    config = to_run_config(parser, parse(parser, ["--config", str(RECIPE), *given]))
    file, size = HELD_OUT[name]
    with tempfile.TemporaryDirectory() as scratch:
        kept, held_out = parts(directory / file, size, 0.1 if name == "mr" else 0.0, seed)
        looked_at = write(Path(scratch) / "held_out.csv", held_out)
        data = DataConfig(
            source=write(Path(scratch) / "train.csv", kept), validation_source=looked_at, test_source=looked_at
        )
        config = replace(config, data=data, train=replace(config.train, seed=seed), output_dir=f"{scratch}/run")
        train(config, overwrite=True)
        history = [json.loads(line) for line in (Path(scratch) / "run" / "history.jsonl").read_text().splitlines()]
    epochs = [entry["validation"] for entry in history if "validation" in entry]
    figures = {figure: [round(epoch[figure], 5) for epoch in epochs] for figure in ("accuracy", "nll", "ece")}
    print(f"{name}, seed {seed}: accuracy {epochs[-1]['accuracy']:.4f} after the last epoch", flush=True)
    return {"data": name, "seed": seed, "options": " ".join(given), **figures}


def summarize() -> None:
    """Print a line for each setting and data set."""
    runs = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    settings: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for run in runs:
        settings.setdefault((in_order(run["options"]), run["data"]), {})[run["seed"]] = run
    print("| options | data | seeds | accuracy | minus none | NLL | ECE |\n| --- | --- | --- | --- | --- | --- | --- |")
    for (options, name), own in sorted(settings.items()):
        plain = settings.get((without_mixing(options), name), {})
        shared = [seed for seed in own if seed in plain and own is not plain]
        differences = [own[seed]["accuracy"][-1] - plain[seed]["accuracy"][-1] for seed in shared]
        accuracy, nll, ece = (
            statistics.mean(run[figure][-1] for run in own.values()) for figure in ("accuracy", "nll", "ece")
        )
        minus = f"{statistics.mean(differences):+.4f} ({len(shared)})" if shared else ""
        print(f"| {options} | {name} | {len(own)} | {accuracy:.4f} | {minus} | {nll:.3f} | {ece:.3f} |")


def in_order(options: str) -> str:
    """Sort options, so that it does not matter how they were given."""
    return " ".join(f"--{part}" for part in sorted(options.removeprefix("--").split(" --")))


def without_mixing(options: str) -> str:
    """Replace what options say of mixing by none."""
    pairs = [part for part in options.removeprefix("--").split(" --") if not part.startswith("mix.")]
    return in_order(" ".join(f"--{part}" for part in ["mix.strategy none", *pairs]))


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--sets", nargs="+", choices=HELD_OUT, default=list(HELD_OUT))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--summary", action="store_true")
    options, given = parser.parse_known_args()
    if options.summary:
        return summarize()
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    for seed in range(options.seeds):
        for name in options.sets:
            line = json.dumps(run(options.data, name, seed, given))
            with RESULTS.open("a") as file:
                file.write(line + "\n")
    return None


if __name__ == "__main__":
    main()
