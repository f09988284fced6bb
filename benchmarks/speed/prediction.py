"""Measure the speed of prediction: python -m benchmarks.speed.prediction --data DIRECTORY [--run RUN] [--textcnn RUN].

DIRECTORY holds the sentences of MR and TREC (mr.csv, trec_train.csv, trec_test.csv, each with a column `text`); they
are shuffled and repeated up to 20 000. RUN is a run of MiniLM on TREC; by default it is trained first, for one epoch.
The run of TextCNN is trained likewise.

Each contestant is a separate process that keeps its model. In each round every contestant predicts the same sentences,
one contestant after the other in a new random order. A ratio compares the times of one round; the table has its median
over the rounds. Labels and probabilities are compared with the pipeline at its defaults, over all sentences. Finally
some sentences and ten copies of them are predicted in turn, to see whether the time grows linearly. Results:
benchmarks/results/prediction.json.
"""

import csv
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.shared import (
    Shuffle,
    keep_memory,
    machine,
    make_parser,
    median_ratio,
    print_table,
    run_textmix,
    write_results,
)

SENTENCES = 20_000
BATCH_SIZES = (8, 16, 32, 64, 128)
DEFAULT, BATCHED = "pipeline, defaults", "pipeline, batches of"
OURS = ("textmix fp32", "textmix bf16", "textmix onnx", "textmix onnx int8")
# Goals: speed over the speed of the pipeline at its defaults, and at its best batch size.
GOALS = {"textmix fp32": (4.0, 1.3), "textmix bf16": (8.0, 2.5)}

# Maps texts to a label and the probabilities of some labels for each text.
Predict = Callable[[list[str]], list[tuple[str, dict[str, float]]]]


def pipeline_predict(run: Path, batch_size: int | None) -> Predict:
    """Make the pipeline of transformers; None leaves the batch size at its default."""
    from transformers import pipeline

    import textmix.models.auto  # noqa: F401  # registers the model classes

    options = {} if batch_size is None else {"batch_size": batch_size}
    pipe = pipeline("text-classification", model=str(run / "model"), **options)
    return lambda texts: [(row["label"], {row["label"]: row["score"]}) for row in pipe(texts)]


def textmix_predict(run: Path, kind: str) -> Predict:
    """Make a Predictor, in a process that is configured like `textmix predict`."""
    from textmix import Predictor

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
    """Predict the received texts until None is received."""
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
        other.close()  # so that recv raises EOFError if the process dies
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
    sources = [
        "--data.source",
        str(directory / "trec_train.csv"),
        "--data.test_source",
        str(directory / "trec_test.csv"),
    ]
    run_textmix("train", *sources, "--model.name", model, "--train.epochs", str(epochs), "--output_dir", str(target))
    return target


def best_batch_size(run: Path, texts: list[str]) -> tuple[int, dict[int, float]]:
    """Try the batch sizes of the pipeline in turn, twice; returns the best, and sentences per second of each."""
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
    """Time all contestants, and compare their predictions."""
    size, speeds = best_batch_size(run, texts[:size_of_round])
    tried = {key: round(value) for key, value in speeds.items()}
    print(f"best batch size of the pipeline: {size} of {tried}", flush=True)
    best = f"{BATCHED} {size}"
    contestants = {DEFAULT: Contestant(DEFAULT, run), best: Contestant(BATCHED, run, size)}
    contestants |= {kind: Contestant(kind, run) for kind in OURS}
    seconds: dict[str, list[float]] = {kind: [] for kind in contestants}
    same: dict[str, list[bool]] = {kind: [] for kind in contestants}
    apart: dict[str, list[float]] = {kind: [] for kind in contestants}
    shuffle = Shuffle(contestants)
    for number in range(rounds):
        part = texts[number * size_of_round : (number + 1) * size_of_round]
        predicted = {}
        for kind in shuffle.round():
            taken, predicted[kind] = contestants[kind](part)
            seconds[kind].append(taken)
        for kind, rows in predicted.items():
            for (label, reference), (mine, probabilities) in zip(predicted[DEFAULT], rows, strict=True):
                same[kind].append(label == mine)
                # A pipeline returns only the probability of its label.
                apart[kind].append(abs(reference[label] - probabilities.get(label, reference[label])))
        now = {kind: round(size_of_round / taken[-1]) for kind, taken in seconds.items()}
        print(f"round {number + 1}: {now}", flush=True)
    rows = {}
    for kind, taken in seconds.items():
        rows[kind] = {
            "sentences_per_second": size_of_round / statistics.median(taken),
            "times_pipeline_defaults": median_ratio(seconds[DEFAULT], taken),
            "times_pipeline_best": median_ratio(seconds[best], taken),
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
    # Compare with the mean of the times before and after: a machine that is busy for a while slows both.
    ratios = [ten / ((before + after) / 2) for ten, before, after in zip(many, few[::2], few[1::2], strict=True)]
    return {"rows": len(texts), "ratio": statistics.median(ratios), "ratios": ratios}


def print_record(record: dict[str, Any]) -> None:
    """Print the table, the growth and the goals."""
    names = ["", "sentences/s", "× defaults", "× best batch size", "same labels", "largest difference"]
    rows = [
        (
            kind,
            f"{row['sentences_per_second']:.0f}",
            f"{row['times_pipeline_defaults']:.2f}",
            f"{row['times_pipeline_best']:.2f}",
            f"{row['same_labels']:.2%}",
            f"{row['largest_difference']:.1e}",
        )
        for kind, row in record["contestants"].items()
    ]
    print_table(names, rows)
    for kind, row in record["growth"].items():
        print(f"{kind}: {10 * row['rows']} rows take {row['ratio']:.2f} times as long as {row['rows']}")
    for kind, goals in GOALS.items():
        row = record["contestants"][kind]
        reached = (row["times_pipeline_defaults"], row["times_pipeline_best"])
        print(f"{kind}: goals {goals}, measured {reached[0]:.2f} and {reached[1]:.2f}")


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of mr.csv, trec_train.csv, trec_test.csv")
    parser.add_argument("--run", type=Path, default=None, help="a run of MiniLM on TREC")
    parser.add_argument("--textcnn", type=Path, default=None, help="a run of TextCNN on TREC")
    parser.add_argument("--rounds", type=int, default=10, help="number of rounds")
    parser.add_argument("--round", type=int, default=SENTENCES // 10, help="sentences of a round")
    options = parser.parse_args()
    texts = sentences(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        run = options.run or train(options.data, "minilm", 1, Path(temporary) / "minilm")
        textcnn = options.textcnn or train(options.data, "textcnn", 5, Path(temporary) / "textcnn")
        for target, flags in (("onnx", []), ("onnx-int8", ["--int8"])):
            run_textmix("export", str(run), *flags, "--output_dir", str(run / target))
        record = compare(run, texts, options.rounds, options.round)
        record["growth"] = {
            "MiniLM, fp32": growth("textmix fp32", run, texts[:500], 5),
            "TextCNN, fp32": growth("textmix fp32", textcnn, texts[:2000], 5),
        }
    print_record(record)
    write_results("prediction", {**record, "environment": machine("bf16")}, options)


if __name__ == "__main__":
    main()
