"""What does a user get without any option? python -m benchmarks.quality.defaults --data DIRECTORY.

Trains each system on 100, 500 and 5000 rows of TREC and MR: draws of trec_train.csv and mr.csv in DIRECTORY, the same
rows for every system with a seed. A system is `textmix` with options, as in `textmix --mix.strategy none`; `tfidf`
(TF-IDF of words and pairs of words, logistic regression), `trainer` (the Trainer of transformers) or `setfit` (package
setfit), each with its own defaults. Each run adds a line of JSON to runs/benchmarks/defaults.jsonl with two scores:

- `choice`: on other rows of the training files (545 of TREC, 600 of MR). Defaults are chosen by these alone.
- `test`: on trec_test.csv, and on 1000 sentences of MR that no seed draws.

A run that has a line is not repeated, so that processes can share the work by `--sets` and `--rows`. `--summary`,
instead of runs, prints all lines as two tables, with differences from the system `--base` on the same rows and seeds,
and writes benchmarks/results/defaults.json.
"""

import json
import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

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

LINES = RAW / "defaults.jsonl"
FIGURES = ("accuracy", "nll", "ece")
MR_DRAWN, MR_TEST = 6000, 1000
RESAMPLES = 20_000


def split(rows: list[Row], seed: int, size: int) -> tuple[list[Row], list[Row]]:
    """Split rows by class; the second part has `size` rows."""
    first, second = train_test_split(rows, random_state=seed, test_size=size, stratify=[label for _, label in rows])
    return first, second


def draw(data: Path, name: str, rows: int, seed: int) -> dict[str, list[Row]]:
    """Draw the training rows, those that defaults are chosen by, and the test rows."""
    if name == "TREC":
        found, test = read_rows(data / "trec_train.csv"), read_rows(data / "trec_test.csv")
    else:
        found, rest = split(read_rows(data / "mr.csv"), 12345, 10_662 - MR_DRAWN)
        _, test = split(rest, 12345, MR_TEST)
    kept, choice = split(found, seed, len(found) // 10)
    train = split(kept, seed, rows)[1] if rows < len(kept) else kept
    return {"train": train, "choice": choice, "test": test}


def scores(labels: list[str], names: list[str], probabilities: Any) -> dict[str, float]:
    """Score probabilities of shape (N, C)."""
    from textmix.evaluation.calibration import expected_calibration_error, log_losses

    values = np.asarray(probabilities, dtype=float)
    targets = np.array([names.index(label) for label in labels])
    figures = {
        "accuracy": float((values.argmax(axis=1) == targets).mean()),
        "nll": float(log_losses(targets, values).mean()),
        "ece": float(expected_calibration_error(targets, values)),
    }
    return {name: round(value, 5) for name, value in figures.items()}


def textmix(rows: dict[str, list[Row]], seed: int, options: str) -> tuple[list[str], dict[str, Any]]:
    """Run `textmix train`."""
    with tempfile.TemporaryDirectory() as scratch:
        given = ["--data.source", write_rows(Path(scratch) / "train.csv", rows["train"])]
        given += ["--data.test_source", write_rows(Path(scratch) / "choice.csv", rows["choice"])]
        given += ["--train.seed", str(seed), "--output_dir", f"{scratch}/run", *shlex.split(options)]
        predictor, _ = train_predictor(given)
        found = {part: predictor([text for text, _ in rows[part]]) for part in ("choice", "test")}
        return predictor.class_names, found


def tfidf(rows: dict[str, list[Row]], seed: int, options: str) -> tuple[list[str], dict[str, Any]]:
    """Train a logistic regression on TF-IDF of words and pairs of words, with scikit-learn's other defaults."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    model.fit([text for text, _ in rows["train"]], [label for _, label in rows["train"]])
    found = {part: model.predict_proba([text for text, _ in rows[part]]) for part in ("choice", "test")}
    return model.classes_.tolist(), found


def trainer(rows: dict[str, list[Row]], seed: int, options: str) -> tuple[list[str], dict[str, Any]]:
    """Fine-tune the same encoder with the defaults of transformers' Trainer; all rows are trained on."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from textmix.models.bundled import resolve_model_path

    names = sorted({label for _, label in rows["train"]})
    path = resolve_model_path("minilm")
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.model_max_length = 256
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(names))

    def encode(part: str) -> Dataset:
        encoded = tokenizer([text for text, _ in rows[part]], truncation=True)
        return Dataset.from_dict({**encoded, "labels": [names.index(label) for _, label in rows[part]]})

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(scratch, seed=seed, report_to="none", disable_tqdm=True)
        made = Trainer(model, arguments, DataCollatorWithPadding(tokenizer), train_dataset=encode("train"))
        made.train()
        logits = {part: made.predict(encode(part)).predictions for part in ("choice", "test")}
    found = {part: np.exp(values - values.max(axis=1, keepdims=True)) for part, values in logits.items()}
    return names, {part: values / values.sum(axis=1, keepdims=True) for part, values in found.items()}


def setfit(rows: dict[str, list[Row]], seed: int, options: str) -> tuple[list[str], dict[str, Any]]:
    """Train SetFit on the same encoder with its defaults."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from textmix.models.bundled import resolve_model_path

    names = sorted({label for _, label in rows["train"]})
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(output_dir=scratch, seed=seed, report_to="none", show_progress_bar=False)
        columns = {"text": [text for text, _ in rows["train"]]}
        columns["label"] = [names.index(label) for _, label in rows["train"]]
        model = SetFitModel.from_pretrained(resolve_model_path("minilm"))
        Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict(columns)).train()
        found = {part: model.predict_proba([t for t, _ in rows[part]], as_numpy=True) for part in ("choice", "test")}
    return names, found


SYSTEMS = {system.__name__: system for system in (textmix, tfidf, trainer, setfit)}


def run(data: Path, name: str, rows: int, seed: int, system: str) -> dict[str, Any]:
    """Train a system once and score it twice."""
    drawn = draw(data, name, rows, seed)
    kind, _, options = system.partition(" ")
    began = time.perf_counter()
    names, found = SYSTEMS[kind](drawn, seed, options)
    seconds = round(time.perf_counter() - began, 1)
    scored = {part: scores([label for _, label in drawn[part]], names, values) for part, values in found.items()}
    return {"data": name, "rows": rows, "seed": seed, "system": system, "seconds": seconds, **scored}


def difference(own: list[float], base: list[float]) -> dict[str, Any]:
    """Return the mean of paired differences with its 95 % bootstrap interval over seeds."""
    values = np.array(own) - np.array(base)
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return {"mean": float(values.mean()), "interval": [float(low), float(high)], "pairs": len(values)}


def summarize(base: str) -> list[dict[str, Any]]:
    """Return a row for each data set, number of rows and system, with differences from the base."""
    found: dict[tuple[str, int, str], dict[int, dict[str, Any]]] = {}
    for line in read_lines(LINES):
        found.setdefault((line["data"], line["rows"], line["system"]), {})[line["seed"]] = line
    summary = []
    for (data, rows, system), own in sorted(found.items()):
        others = found.get((data, rows, base), {})
        shared = sorted(own.keys() & others.keys())
        row: dict[str, Any] = {"data": data, "rows": rows, "system": system, "seeds": len(own)}
        row["seconds"] = mean_of([line["seconds"] for line in own.values()])
        for part in ("choice", "test"):
            row[part] = {figure: mean_of([line[part][figure] for line in own.values()]) for figure in FIGURES}
            if shared and system != base:
                row[f"{part}_difference"] = {
                    figure: difference(*([lines[seed][part][figure] for seed in shared] for lines in (own, others)))
                    for figure in FIGURES
                }
        summary.append(row)
    return summary


def print_summary(summary: list[dict[str, Any]], part: str) -> None:
    """Print a table of the scores on the rows of one part."""
    print(f"\n{part}\n")
    names = ["data", "rows", "system", "seeds", "accuracy", "minus base", "NLL", "minus base", "ECE", "seconds"]
    table = []
    for row in summary:
        cells = [row["data"], row["rows"], row["system"], row["seeds"]]
        for figure in FIGURES:
            found = row[part][figure]
            cells.append(f"{found['mean']:.3f} ± {found['sd']:.3f}")
            if figure != "ece":
                other = row.get(f"{part}_difference", {}).get(figure)
                low, high = other["interval"] if other else (0, 0)
                cells.append(f"{other['mean']:+.3f} ({low:+.3f} to {high:+.3f})" if other else "")
        table.append([*cells, f"{row['seconds']['mean']:.0f}"])
    print_table(names, table)


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--systems", nargs="+", default=["textmix", "tfidf", "trainer"], help="systems, with options")
    parser.add_argument("--data", type=Path, default=None, help="directory of the data sets")
    parser.add_argument("--sets", nargs="+", choices=["TREC", "MR"], default=["TREC", "MR"], help="data sets")
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 500, 5000], help="numbers of training rows")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--summary", action="store_true", help="summarize all runs so far; no run")
    parser.add_argument("--base", default="textmix", help="system that others are compared with")
    options = parser.parse_args()
    if options.summary:
        summary = summarize(options.base)
        for part in ("choice", "test"):
            print_summary(summary, part)
        write_results("defaults", {"base": options.base, "systems": summary}, options)
        return
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    LINES.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["data"], line["rows"], line["seed"], line["system"]) for line in read_lines(LINES)}
    for seed in range(options.seeds):
        for rows in options.rows:
            for name in options.sets:
                for system in options.systems:
                    if (name, rows, seed, system) in done:
                        continue
                    line = run(options.data, name, rows, seed, system)
                    with LINES.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print(line, flush=True)


if __name__ == "__main__":
    main()
