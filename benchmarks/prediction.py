"""Measure prediction: python benchmarks/prediction.py --data DIRECTORY [--run RUN] [--textcnn RUN] [--round N].

DIRECTORY holds the sentences of MR and TREC (mr.csv, trec_train.csv, trec_test.csv, each with a column `text`): all of
them, shuffled, and as many once more as 20 000 need. RUN is a run of MiniLM on TREC; without one, it is trained first,
one epoch; and so is that of TextCNN.

Each contestant is a process of its own, which keeps its model. A round gives every contestant the same sentences,
one contestant after the other in an order that is shuffled anew, and a ratio compares the times of one round; its
median over the rounds is reported. Labels and probabilities are compared with those of the pipeline at its defaults,
over all sentences. Then some sentences, and ten copies of them, are predicted in turn: is the growth linear?

The table goes to standard output, everything to benchmarks/results/prediction.json.
"""

import argparse
import csv
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "prediction.json"
SENTENCES = 20_000
BATCH_SIZES = (8, 16, 32, 64, 128)
DEFAULT, BATCHED = "pipeline, defaults", "pipeline, batches of"
OURS = ("textmix fp32", "textmix bf16", "textmix onnx", "textmix onnx int8")
# What is asked for: times the speed of the pipeline at its defaults, and at its best batch size.
GOALS = {"textmix fp32": (4.0, 1.3), "textmix bf16": (8.0, 2.5)}

# Texts to, for each, a label and the probabilities of some labels.
Predict = Callable[[list[str]], list[tuple[str, dict[str, float]]]]


def pipeline_predict(run: Path, batch_size: int | None) -> Predict:
    """Make the pipeline of transformers; None leaves the batch size at its default."""
    from transformers import pipeline

    import textmix  # noqa: F401  # registers the model class

    options = {} if batch_size is None else {"batch_size": batch_size}
    pipe = pipeline("text-classification", model=str(run / "model"), **options)
    return lambda texts: [(row["label"], {row["label"]: row["score"]}) for row in pipe(texts)]


def textmix_predict(run: Path, kind: str) -> Predict:
    """Make a Predictor, in a process that is set up as that of `textmix predict`."""
    from textmix import Predictor
    from textmix.training.cpu.memory import keep_memory

    keep_memory()
    backend, precision, path = "torch", "bf16" if kind == "textmix bf16" else "fp32", run
    if "onnx" in kind:
        backend, path = "onnx", run / ("onnx-int8" if "int8" in kind else "onnx")
    predictor = Predictor.from_pretrained(path, backend=backend, precision=precision)

    def predict(texts: list[str]) -> list[tuple[str, dict[str, float]]]:
        probabilities, names = predictor(texts), predictor.class_names
        return [(names[row.argmax()], dict(zip(names, row.tolist(), strict=True))) for row in probabilities]

    return predict


def serve(connection: Connection, kind: str, run: Path, batch_size: int | None) -> None:
    """Predict the texts that come in, until None does."""
    predict = textmix_predict(run, kind) if kind.startswith("textmix") else pipeline_predict(run, batch_size)
    predict(["a first sentence to warm up with", "and another"])
    connection.send("ready")
    while (texts := connection.recv()) is not None:
        started = time.perf_counter()
        predicted = predict(texts)
        connection.send((time.perf_counter() - started, predicted))


class Contestant:
    """A process that predicts."""

    def __init__(self, kind: str, run: Path, batch_size: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, kind, run, batch_size), daemon=True)
        self._process.start()
        assert self._connection.recv() == "ready"

    def __call__(self, texts: list[str]) -> tuple[float, list[tuple[str, dict[str, float]]]]:
        """Return the seconds taken, and the predictions."""
        self._connection.send(texts)
        answer: tuple[float, list[tuple[str, dict[str, float]]]] = self._connection.recv()
        return answer

    def stop(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


def sentences(directory: Path) -> list[str]:
    """Read 20 000 sentences."""
    texts: list[str] = []
    for name in ("mr.csv", "trec_train.csv", "trec_test.csv"):
        with (directory / name).open(encoding="utf-8", newline="") as file:
            texts += [row["text"] for row in csv.DictReader(file)]
    random.Random(0).shuffle(texts)
    return (texts * 2)[:SENTENCES]


def train(directory: Path, model: str, epochs: int, target: Path) -> Path:
    """Train a classifier of questions."""
    command = [sys.executable, "-m", "textmix", "train", "--data.source", str(directory / "trec_train.csv")]
    command += ["--data.test_source", str(directory / "trec_test.csv"), "--model.name", model]
    subprocess.run([*command, "--train.epochs", str(epochs), "--output_dir", str(target)], check=True)
    return target


def best_batch_size(run: Path, texts: list[str]) -> tuple[int, dict[int, float]]:
    """Try the batch sizes of the pipeline in turn, twice; returns the best, and sentences a second of each."""
    contestants = {size: Contestant(BATCHED, run, size) for size in BATCH_SIZES}
    seconds: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for _ in range(2):
        for size, contestant in contestants.items():
            seconds[size].append(contestant(texts)[0])
    for contestant in contestants.values():
        contestant.stop()
    speeds = {size: len(texts) / min(times) for size, times in seconds.items()}
    return max(speeds, key=lambda size: speeds[size]), speeds


def compare(run: Path, texts: list[str], rounds: int, size_of_round: int) -> dict[str, Any]:
    """Race all contestants, and compare what they predict."""
    size, speeds = best_batch_size(run, texts[:size_of_round])
    tried = {key: round(value) for key, value in speeds.items()}
    print(f"best batch size of the pipeline: {size} of {tried}", flush=True)
    best = f"{BATCHED} {size}"
    contestants = {DEFAULT: Contestant(DEFAULT, run), best: Contestant(BATCHED, run, size)}
    contestants |= {kind: Contestant(kind, run) for kind in OURS}
    seconds: dict[str, list[float]] = {kind: [] for kind in contestants}
    same: dict[str, list[bool]] = {kind: [] for kind in contestants}
    apart: dict[str, list[float]] = {kind: [] for kind in contestants}
    order, shuffler = list(contestants), random.Random(0)
    for number in range(rounds):
        shuffler.shuffle(order)
        part = texts[number * size_of_round : (number + 1) * size_of_round]
        predicted = {}
        for kind in order:
            taken, predicted[kind] = contestants[kind](part)
            seconds[kind].append(taken)
        for kind, rows in predicted.items():
            for (label, reference), (mine, probabilities) in zip(predicted[DEFAULT], rows, strict=True):
                same[kind].append(label == mine)
                # A pipeline tells the probability of its own label alone.
                apart[kind].append(abs(reference[label] - probabilities.get(label, reference[label])))
        now = {kind: round(size_of_round / taken[-1]) for kind, taken in seconds.items()}
        print(f"round {number + 1}: {now}", flush=True)
    rows = {}
    for kind, taken in seconds.items():
        ratios = {
            other: [theirs / mine for theirs, mine in zip(seconds[other], taken, strict=True)]
            for other in (DEFAULT, best)
        }
        rows[kind] = {
            "sentences_per_second": size_of_round / statistics.median(taken),
            "times_pipeline_defaults": statistics.median(ratios[DEFAULT]),
            "times_pipeline_best": statistics.median(ratios[best]),
            "same_labels": statistics.mean(same[kind]),
            "largest_difference": max(apart[kind]),
            "seconds": taken,
        }
    for contestant in contestants.values():
        contestant.stop()
    return {"best_batch_size": size, "batch_sizes": speeds, "sentences": rounds * size_of_round, "contestants": rows}


def growth(kind: str, run: Path, texts: list[str], repetitions: int) -> dict[str, Any]:
    """Time some sentences and ten copies of them, in turn."""
    contestant = Contestant(kind, run)
    few, many = [], []
    for _ in range(repetitions):
        few.append(contestant(texts)[0])
        many.append(contestant(texts * 10)[0])
        few.append(contestant(texts)[0])
    contestant.stop()
    # The times of the few before and after the many: a machine that is busy for a while slows both.
    ratios = [ten / ((before + after) / 2) for ten, before, after in zip(many, few[::2], few[1::2], strict=True)]
    return {"rows": len(texts), "ratio": statistics.median(ratios), "ratios": ratios}


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="where mr.csv, trec_train.csv and trec_test.csv are")
    parser.add_argument("--run", type=Path, default=None, help="a run of MiniLM on TREC")
    parser.add_argument("--textcnn", type=Path, default=None, help="a run of TextCNN on TREC")
    parser.add_argument("--rounds", type=int, default=10, help="how many rounds")
    parser.add_argument("--round", type=int, default=SENTENCES // 10, help="sentences of a round")
    options = parser.parse_args()
    texts = sentences(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        run = options.run or train(options.data, "minilm", 1, Path(temporary) / "minilm")
        textcnn = options.textcnn or train(options.data, "textcnn", 5, Path(temporary) / "textcnn")
        for target, flags in (("onnx", []), ("onnx-int8", ["--int8"])):
            export = [sys.executable, "-m", "textmix", "export", str(run), *flags]
            subprocess.run([*export, "--output_dir", str(run / target)], check=True)
        record = compare(run, texts, options.rounds, options.round)
        record["growth"] = {
            "MiniLM, fp32": growth("textmix fp32", run, texts[:500], 5),
            "TextCNN, fp32": growth("textmix fp32", textcnn, texts[:2000], 5),
        }

    print("\n| | sentences a second | × defaults | × best batch size | same labels | largest difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, row in record["contestants"].items():
        ratios = f"{row['times_pipeline_defaults']:.2f} | {row['times_pipeline_best']:.2f}"
        parity = f"{row['same_labels']:.2%} | {row['largest_difference']:.1e}"
        print(f"| {kind} | {row['sentences_per_second']:.0f} | {ratios} | {parity} |")
    for kind, row in record["growth"].items():
        print(f"{kind}: {10 * row['rows']} rows take {row['ratio']:.2f} times as long as {row['rows']}")
    for kind, goals in GOALS.items():
        row = record["contestants"][kind]
        reached = (row["times_pipeline_defaults"], row["times_pipeline_best"])
        print(f"{kind}: asked {goals}, reached {reached[0]:.2f} and {reached[1]:.2f}")
    from textmix.runs.environment import environment

    record["environment"] = environment("bf16")
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
