"""How good is a classifier with few labels? python -m benchmarks.few_labels --data DIRECTORY --setfit PYTHON.

Draws K rows of each class of TREC, MR and R8 (files in DIRECTORY), or of BBC News, and a pool of 2000 other training
rows without their labels; each method gets the same rows, encoder (MiniLM) and longest input (64 tokens), and one
thread. Methods:

- `setfit`: package setfit at its defaults, in the environment of PYTHON; where these would take over 15 minutes,
  --setfit-steps sets its number of steps.
- `recipe`: the recipe `few_labels/minilm`; `recipe OPTIONS`: with options, such as `recipe --mix.strategy sentence`.
- `defaults`: `textmix train` without a recipe.
- `adapted`: the recipe on an encoder that `textmix adapt` has pretrained further on the pool.
- `prototypes`: the nearest name of a class, without any label; `tfidf`: TF-IDF and logistic regression.

Each run adds a line to runs/benchmarks/few_labels.jsonl: accuracy, NLL and ECE on test rows, and the seconds from texts
to the saved model. A run that has a line is not repeated, so that processes can share the work. `--choice` scores on
other rows of the training file instead, by which the recipe was chosen. `--summary` writes
benchmarks/results/few_labels.json: a row for each data set and method, and comparisons with SetFit on the same rows.
"""

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.shared import (
    RAW,
    ROOT,
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

LINES = RAW / "few_labels.jsonl"
RECIPE = "few_labels/minilm"
POOL, CHOICE, TEST = 2000, 500, 1000
MAX_LENGTH = 64
RESAMPLES = 20_000
Found = tuple[list[str], Any, float]


def held_out(rows: list[Row], size: int) -> tuple[list[Row], list[Row]]:
    """Split off `size` rows by class, always the same."""
    first, second = train_test_split(rows, random_state=12345, test_size=size, stratify=[label for _, label in rows])
    return first, second


def corpus(data: Path, name: str) -> tuple[list[Row], list[Row]]:
    """Read a data set: the rows to draw from, and the test rows."""
    if name == "BBC":
        from textmix.data.sources import load_source

        rows = load_source("bbc_news")["train"]
        return held_out(list(zip(rows["text"], rows["label"], strict=True)), 1225)
    if name == "TREC":
        return read_rows(data / "trec_train.csv"), read_rows(data / "trec_test.csv")
    if name == "R8":
        _, test = held_out(read_rows(data / "reuters_r8_test.csv"), TEST)
        return read_rows(data / "reuters_r8_train.csv"), test
    return held_out(read_rows(data / "mr.csv"), TEST)


def draw(data: Path, name: str, shots: int, seed: int) -> dict[str, list[Row]]:
    """Draw the labelled rows, the pool, other rows to choose by, and the test rows."""
    rows, test = corpus(data, name)
    counts: dict[str, int] = defaultdict(int)
    train: list[Row] = []
    rest: list[Row] = []
    for number in np.random.default_rng(seed).permutation(len(rows)):
        _, label = rows[number]
        counts[label] += 1
        (train if counts[label] <= shots else rest).append(rows[number])
    return {"train": train, "pool": rest[:POOL], "choice": rest[POOL : POOL + CHOICE], "test": test}


def recipe(
    rows: dict[str, list[Row]],
    part: str,
    seed: int,
    options: str,
    pool: bool,
    max_length: int,
    start: tuple[str, ...] = ("--config", RECIPE),
    **_: Any,
) -> Found:
    """Train the recipe, or what other options to start with say."""
    with tempfile.TemporaryDirectory() as scratch:
        given = [*start, "--data.source", write_rows(Path(scratch) / "train.csv", rows["train"])]
        if pool:
            texts = [(text, "") for text, _ in rows["pool"]]
            given += ["--data.unlabeled", write_rows(Path(scratch) / "pool.csv", texts)]
        given += ["--model.max_length", str(max_length), "--train.seed", str(seed), "--output_dir", f"{scratch}/run"]
        predictor, seconds = train_predictor([*given, *shlex.split(options)])
        return predictor.class_names, predictor([text for text, _ in rows[part]]), seconds


def defaults(rows: dict[str, list[Row]], part: str, seed: int, options: str, **given: Any) -> Found:
    """Train with the defaults of `textmix train`, which set a tenth of the rows aside to choose the epoch."""
    return recipe(rows, part, seed, options, **{**given, "pool": False}, start=("--data.test_fraction", "0"))


def adapted(rows: dict[str, list[Row]], part: str, seed: int, options: str, **given: Any) -> Found:
    """Train the recipe on an encoder that is first pretrained further on the pool."""
    from textmix.config.adapt import AdaptConfig
    from textmix.data.reading import Reading
    from textmix.runs.adapt import adapt

    with tempfile.TemporaryDirectory() as scratch:
        texts = write_rows(Path(scratch) / "pool.csv", [(text, "") for text, _ in rows["pool"]])
        began = time.perf_counter()
        adapt("minilm", [texts], ["text"], Reading(), AdaptConfig(max_length=MAX_LENGTH), Path(scratch) / "encoder")
        seconds = time.perf_counter() - began
        names, found, more = recipe(rows, part, seed, f"{options} --model.name {scratch}/encoder", **given)
    return names, found, seconds + more


def setfit(rows: dict[str, list[Row]], part: str, seed: int, python: str, steps: int, **_: Any) -> Found:
    """Train SetFit in a process of its own environment."""
    from textmix.models.bundled import resolve_model_path

    names = sorted({label for _, label in rows["train"]})
    with tempfile.TemporaryDirectory() as scratch:
        job, result = Path(scratch) / "job.json", Path(scratch) / "result.json"
        given = {"train": [text for text, _ in rows["train"]], "test": [text for text, _ in rows[part]]}
        given |= {"labels": [names.index(label) for _, label in rows["train"]], "seed": seed, "max_steps": steps}
        given |= {"model": resolve_model_path("minilm"), "max_length": MAX_LENGTH}
        job.write_text(json.dumps(given), encoding="utf-8")
        script = str(ROOT / "benchmarks" / "few_labels_setfit.py")
        environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
        subprocess.run([python, script, str(job), str(result)], env=environment, check=True, capture_output=True)
        found = json.loads(result.read_text(encoding="utf-8"))
    return names, np.array(found["probabilities"]), found["seconds"]


def tfidf(rows: dict[str, list[Row]], part: str, **_: Any) -> Found:
    """Train a logistic regression on TF-IDF of words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    began = time.perf_counter()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    model.fit([text for text, _ in rows["train"]], [label for _, label in rows["train"]])
    seconds = time.perf_counter() - began
    return model.classes_.tolist(), model.predict_proba([text for text, _ in rows[part]]), seconds


def prototypes(rows: dict[str, list[Row]], part: str, **_: Any) -> Found:
    """Compare sentence vectors with those of the names of the classes; no label is used."""
    from datasets import Dataset

    from textmix.contrastive.warm_up import sentence_vectors
    from textmix.data.tokenization import tokenize
    from textmix.models.config import ModelConfig
    from textmix.models.loading import build_model

    names = sorted({label for _, label in rows["train"]})
    began = time.perf_counter()
    loaded = build_model(ModelConfig(normalize=True, max_length=MAX_LENGTH), {"num_labels": len(names)}, [])
    model, tokenizer = loaded.model, loaded.tokenizer
    found = [
        sentence_vectors(model, tokenizer, tokenize(Dataset.from_dict({"text": texts}), tokenizer), 64)
        for texts in (names, [text for text, _ in rows[part]])
    ]
    similar = np.exp((found[1] @ found[0].T) / 0.1)
    return names, similar / similar.sum(axis=1, keepdims=True), time.perf_counter() - began


METHODS: dict[str, Callable[..., Found]] = {
    one.__name__: one for one in (recipe, defaults, adapted, setfit, tfidf, prototypes)
}


def score(rows: list[Row], names: list[str], probabilities: Any) -> dict[str, float]:
    """Score probabilities of shape (N, C)."""
    from textmix.evaluation.calibration import expected_calibration_error, log_losses

    targets = np.array([names.index(label) for _, label in rows])
    values = np.asarray(probabilities, dtype=float)
    figures = {
        "accuracy": float((values.argmax(axis=1) == targets).mean()),
        "nll": float(log_losses(targets, values).mean()),
        "ece": float(expected_calibration_error(targets, values)),
    }
    return {name: round(value, 5) for name, value in figures.items()}


def run(options: Any, name: str, shots: int, seed: int, method: str, pool: bool) -> dict[str, Any]:
    """Train a method once and score it."""
    rows, part = draw(options.data, name, shots, seed), "choice" if options.choice else "test"
    kind, _, given = method.partition(" ")
    names, found, seconds = METHODS[kind](
        rows,
        part,
        seed=seed,
        options=given,
        pool=pool,
        max_length=options.max_length,
        python=options.setfit,
        steps=options.setfit_steps,
    )
    line = {"data": name, "shots": shots, "unlabeled": POOL if pool else 0, "seed": seed, "method": method}
    if kind == "setfit":
        line["max_steps"] = options.setfit_steps
    return {**line, "part": part, "seconds": round(seconds, 1), **score(rows[part], names, found)}


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a run from others."""
    return tuple(line[name] for name in ("data", "shots", "unlabeled", "seed", "method", "part"))


def summarize(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each data set, number of shots, pool and method."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        groups[line["data"], line["shots"], line["unlabeled"], line["method"]].append(line)
    summary = []
    for (data, shots, unlabeled, method), found in sorted(groups.items()):
        figures = {name: mean_of([line[name] for line in found]) for name in ("accuracy", "ece", "nll", "seconds")}
        row = {"data": data, "shots": shots, "unlabeled": unlabeled, "method": method, "subsets": len(found)}
        row |= {"accuracy": figures["accuracy"]["mean"], "sd": figures["accuracy"]["sd"]}
        row |= {name: figures[name]["mean"] for name in ("ece", "nll", "seconds")}
        summary.append({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    return summary


def compare(lines: list[dict[str, Any]], shots: int, unlabeled: int, method: str, base: str) -> dict[str, Any] | None:
    """Compare a method with another on the subsets that both have, with a 95 % bootstrap interval.

    The difference is the mean over data sets of the mean over their subsets; subsets are resampled within data sets.
    The ratio of times is that of the sums over data sets of the mean times.
    """
    found = {(one["shots"], one["unlabeled"], one["method"], one["data"], one["seed"]): one for one in lines}
    with_pool = unlabeled if base.startswith("recipe") else 0
    own = {name[3:]: one for name, one in found.items() if name[:3] == (shots, unlabeled, method)}
    other = {name[3:]: one for name, one in found.items() if name[:3] == (shots, with_pool, base)}
    shared: dict[str, list[int]] = defaultdict(list)
    for data, seed in sorted(own.keys() & other.keys()):
        shared[data].append(seed)
    if not shared:
        return None
    generator = np.random.default_rng(0)
    means, draws, eces = [], [], [0.0, 0.0]
    times = [0.0, 0.0]
    for data, seeds in shared.items():
        values = np.array([own[data, seed]["accuracy"] - other[data, seed]["accuracy"] for seed in seeds])
        means.append(values.mean())
        draws.append(values[generator.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1))
        for place, side in enumerate((own, other)):
            times[place] += float(np.mean([side[data, seed]["seconds"] for seed in seeds]))
            eces[place] += float(np.mean([side[data, seed]["ece"] for seed in seeds])) / len(shared)
    low, high = np.percentile(np.mean(draws, axis=0), [2.5, 97.5])
    return {
        "setting": f"{shots}+{unlabeled}" if unlabeled else str(shots),
        "method": method,
        "base": base,
        "subsets": {data: len(seeds) for data, seeds in shared.items()},
        "difference": round(float(np.mean(means)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "time_ratio": round(times[0] / times[1], 3),
        "ece": [round(value, 4) for value in eces],
    }


def write_summary(options: Any) -> None:
    """Print and write all results."""
    lines = [line for line in read_lines(LINES) if line["part"] == ("choice" if options.choice else "test")]
    rows = summarize(lines)
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    settings = {(one["shots"], one["unlabeled"], one["method"]) for one in lines if one["method"] != "setfit"}
    pairs = [(*setting, base) for setting in sorted(settings) for base in ("setfit", "recipe") if setting[2] != base]
    comparisons = [found for pair in pairs if (found := compare(lines, *pair)) is not None]
    print()
    print_table(list(comparisons[0]), [list(one.values()) for one in comparisons])
    if not options.choice:
        write_results("few_labels", {"rows": rows, "comparisons": comparisons}, options)


def main() -> None:
    """Run everything."""
    import torch

    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="directory of the data sets")
    parser.add_argument("--setfit", default=None, help="Python of an environment with setfit")
    parser.add_argument("--setfit-steps", type=int, default=-1, help="its max_steps; -1 means its default")
    parser.add_argument("--methods", nargs="+", default=["setfit", "recipe"], help="methods, with options")
    parser.add_argument("--sets", nargs="+", choices=["TREC", "MR", "R8", "BBC"], default=["TREC", "MR", "R8"])
    parser.add_argument("--shots", type=int, default=8, help="rows of each class")
    parser.add_argument("--max-length", type=int, default=MAX_LENGTH, help="longest input of the recipe, in tokens")
    parser.add_argument("--pool", action="store_true", help="with the unlabelled rows, for methods that use them")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)), help="subsets")
    parser.add_argument("--choice", action="store_true", help="score on rows of the training file")
    parser.add_argument("--summary", action="store_true", help="summarize all runs so far; no run")
    options = parser.parse_args()
    if options.summary:
        write_summary(options)
        return
    if options.data is None or ("setfit" in options.methods and options.setfit is None):
        parser.error("give --data, the directory of the data sets, and --setfit, or --summary")
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    LINES.parent.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.sets:
            for method in options.methods:
                wanted = {"data": name, "shots": options.shots, "unlabeled": POOL if options.pool else 0, "seed": seed}
                wanted |= {"method": method, "part": "choice" if options.choice else "test"}
                if key(wanted) in {key(line) for line in read_lines(LINES)}:
                    continue
                line = run(options, name, options.shots, seed, method, options.pool)
                with LINES.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


if __name__ == "__main__":
    main()
