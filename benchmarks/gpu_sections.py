"""The sections of benchmarks/gpu.py. Each prints its rows as JSON, one at a time, so that a cut-off run keeps them."""

import csv
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    pipeline,
)

from benchmarks.shared import Shuffle, median_ratio
from textmix.config.train import TrainConfig
from textmix.hooks.attach import attach
from textmix.inference.predictor import Predictor
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.registry import STRATEGIES
from textmix.models.words.textcnn import TextCNN, TextCNNConfig
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.single_label import Classes
from textmix.training.batches import EpochBatches, padded_loader, row_lengths
from textmix.training.optimization import build_optimizer
from textmix.training.trainer import MixupTrainer, TrainingData

ROOT = Path(__file__).resolve().parent.parent
# Dense bfloat16 operations per second, from the data sheets of the cards.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}
CLASSES = 6


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder; the defaults are those of BERT-base (Devlin et al. 2019)."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072


BASE, MINILM, TINY = Shape(), Shape(384, 6, 12, 1536), Shape(32, 2, 2, 64)


def report(section: str, figure: str, value: float | str, unit: str = "", goal: str = "") -> None:
    """Print a row for the parent process."""
    row = {"section": section, "figure": figure, "value": value, "unit": unit, "goal": goal}
    print(f"ROW {json.dumps(row)}", flush=True)


def device_of(rehearse: bool) -> torch.device:
    """Return the device to measure."""
    return torch.device("cpu" if rehearse else "cuda")


def wait(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def make_encoder(shape: Shape, vocabulary: int) -> BertForSequenceClassification:
    """Build a BERT with random weights."""
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(vocab_size=vocabulary, num_labels=CLASSES, problem_type="single_label_classification", **vars(shape))
    )


def make_texts(count: int, lengths: Callable[[random.Random], int]) -> tuple[list[str], list[int]]:
    """Make up texts, whose first word depends on the class."""
    source = random.Random(0)
    words = [f"word{number}" for number in range(5000)]
    labels = [source.randrange(CLASSES) for _ in range(count)]
    texts = [" ".join([f"class{label}", *source.choices(words, k=lengths(source) - 1)]) for label in labels]
    return texts, labels


def question_texts(count: int, data: Path | None) -> tuple[list[str], list[int]]:
    """Return questions of TREC, repeated as needed, or made-up texts of their lengths (3 to 37 words, mean 10)."""
    if data is None:
        return make_texts(count, lambda source: min(max(round(source.lognormvariate(2.2, 0.38)), 3), 37))
    with (data / "trec_train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})
    rows = (rows * (count // len(rows) + 1))[:count]
    return [row["text"] for row in rows], [names.index(row["label"]) for row in rows]


def run_tests(section: str, rehearse: bool, *paths: str) -> None:
    """Run tests marked gpu, and report how many passed."""
    device = "cpu" if rehearse else "cuda"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--device", device, *paths]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout[-4000:], file=sys.stderr)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    for word in ("passed", "failed", "error", "skipped"):
        report(section, f"tests {word}", counts.get(word, 0), goal="0" if word in ("failed", "error") else "")


def right(rehearse: bool, data: Path | None) -> None:
    """Check mixing, training and prediction on the device against the CPU."""
    names = ("test_mixing", "test_compiled", "test_training")
    run_tests("right", rehearse, *(f"tests/gpu/{name}.py" for name in names))


def waits(rehearse: bool, data: Path | None) -> None:
    """Check that neither a training step nor a batch of prediction waits for the device."""
    run_tests("waits", rehearse, "tests/gpu/test_waits.py")


@contextmanager
def timed_steps(device: torch.device, warm_up: int, steps: int) -> Iterator[list[float]]:
    """Record the times of the optimizer step after the warm-up and of the last one; yields the list of both."""
    times: list[float] = []
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1
        if count in (warm_up, warm_up + steps):
            wait(device)
            times.append(time.perf_counter())

    handle = register_optimizer_step_post_hook(note)
    try:
        yield times
    finally:
        handle.remove()


@dataclass(frozen=True)
class Task:
    """A training to measure.

    Args:
        name: Its name in the table.
        rows: Tokenised rows with `labels`.
        tokenizer: Pads the batches.
        batch_size: Rows of a step.
        shape: Sizes of the encoder.
        warm_up: Optimizer steps before the measurement.
        steps: Optimizer steps of the measurement.
    """

    name: str
    rows: Dataset
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    shape: Shape
    warm_up: int
    steps: int


def train_stock(task: Task, compiled: bool, cpu: bool, directory: Path) -> float:
    """Train with the Trainer of transformers, batches of similar lengths, in bf16; returns the mean of the loss."""
    arguments = TrainingArguments(
        str(directory),
        max_steps=task.warm_up + task.steps,
        per_device_train_batch_size=task.batch_size,
        train_sampling_strategy="group_by_length",
        learning_rate=5e-5,
        bf16=True,
        use_cpu=cpu,
        torch_compile=compiled,
        logging_steps=task.warm_up + task.steps,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = make_encoder(task.shape, len(task.tokenizer))
    trainer = Trainer(model=model, args=arguments, train_dataset=task.rows, processing_class=task.tokenizer)
    return float(trainer.train().training_loss)


def train_textmix(task: Task, compiled: bool, cpu: bool, directory: Path) -> float:
    """Train with MixupTrainer as `textmix train` does, without mixing; returns the mean of the loss."""
    config = TrainConfig(
        max_steps=task.warm_up + task.steps,
        batch_size=task.batch_size,
        learning_rate=5e-5,
        weight_decay=0.0,
        warmup_ratio=0.0,
        precision="bf16",
        log_steps=task.warm_up + task.steps,
        save_steps=None,
    )
    model = make_encoder(task.shape, len(task.tokenizer))
    if compiled:
        model.compile()
    data = TrainingData(task.rows, None, Classes([str(number) for number in range(CLASSES)]))
    MixupTrainer(model, task.tokenizer, data, config, MixConfig(strategy="none"), LossConfig(), directory).train()
    line = json.loads((directory / "history.jsonl").read_text().splitlines()[0])
    return float(line["loss"])


CONTESTANTS = {"Trainer": train_stock, "textmix": train_textmix}


def measure(task: Task, contestant: str, compiled: bool, device: torch.device) -> dict[str, float]:
    """Train once; returns samples per second, peak memory in GiB, and the mean of the loss."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as name, timed_steps(device, task.warm_up, task.steps) as times:
        loss = CONTESTANTS[contestant](task, compiled, device.type == "cpu", Path(name))
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"speed": task.batch_size * task.steps / (times[1] - times[0]), "memory": peak, "loss": loss}


def utilization(task: Task, length: int, samples_per_second: float) -> float | None:
    """Return the share of the card's peak that full rows of this length use; None for an unknown card.

    Six operations for each weight outside of the embeddings and each token, and 12 · layers · length · hidden size for
    attention (Narayanan et al. 2021, without recomputation).
    """
    name = torch.cuda.get_device_name()
    peak = next((value for card, value in PEAKS.items() if card in name), None)
    if peak is None:
        return None
    model = make_encoder(task.shape, 10)
    weights = sum(p.numel() for key, p in model.named_parameters() if "embeddings" not in key)
    attention = 12 * task.shape.num_hidden_layers * length * task.shape.hidden_size
    return samples_per_second * length * (6 * weights + attention) / peak


def tokenised(texts: list[str], labels: list[int], tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Tokenise texts."""
    encoded = tokenizer(texts)
    columns = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    return Dataset.from_dict({**columns, "labels": labels})


def training(rehearse: bool, data: Path | None) -> None:
    """Compare training with the stock Trainer."""
    device, shape = device_of(rehearse), TINY if rehearse else BASE
    warm_up, steps, long = (2, 3, 24) if rehearse else (15, 60, 256)
    questions, labels = question_texts(200 if rehearse else 10_000, data)
    tokenizer = train_tokenizer(questions)
    short = tokenised(questions, labels, tokenizer)
    texts, classes = make_texts(200 if rehearse else 3000, lambda source: long)
    wide_tokenizer = train_tokenizer(texts)
    wide = tokenised(texts, classes, wide_tokenizer)
    tasks = [
        Task("questions, batch 32", short, tokenizer, 32, shape, warm_up, steps),
        Task("questions, batch 128", short, tokenizer, 128, shape, warm_up, steps),
        Task(f"{long} tokens, batch 32", wide, wide_tokenizer, 32, shape, warm_up, steps),
    ]
    for compiled in (False, True):
        for task in tasks if not compiled else tasks[2:]:
            compare_training(task, compiled, device, rounds=1 if compiled or rehearse else 3, length=long)


def compare_training(task: Task, compiled: bool, device: torch.device, rounds: int, length: int) -> None:
    """Measure the contestants alternately and report their medians."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for number in range(rounds):
        for name in list(runs) if number % 2 == 0 else list(runs)[::-1]:
            runs[name].append(measure(task, name, compiled, device))
    label = f"{task.name}{', compiled' if compiled else ''}"
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    for name, found in medians.items():
        report("training", f"{label}: {name}", found["speed"], "samples/s")
        report("training", f"{label}: {name}, peak memory", found["memory"], "GiB")
        report("training", f"{label}: {name}, mean loss", found["loss"])
    ratio = median_ratio([run["speed"] for run in runs["textmix"]], [run["speed"] for run in runs["Trainer"]])
    report("training", f"{label}: textmix over Trainer", ratio, "×", "≥ 1.2" if "tokens" in task.name else "≥ 2")
    if "tokens" in task.name and device.type == "cuda":
        share = utilization(task, length, medians["textmix"]["speed"])
        if share is not None:
            report("training", f"{label}: textmix, MFU", 100 * share, "%", "≥ 45")


def mixing(rehearse: bool, data: Path | None) -> None:
    """Measure what a strategy adds to a training step."""
    device, shape = device_of(rehearse), TINY if rehearse else BASE
    length, rounds, repeats = (16, 2, 1) if rehearse else (128, 15, 4)
    strategies = [name for name in STRATEGIES if name not in ("none", "any")]
    compare_strategies(shape, device, strategies, (length, rounds, repeats), None)
    backend = "aot_eager" if rehearse else "inductor"
    compare_strategies(shape, device, ["word", "sentence", "cutmix", "manifold"], (length, rounds, repeats), backend)


def compare_strategies(
    shape: Shape, device: torch.device, strategies: list[str], sizes: tuple[int, int, int], backend: str | None
) -> None:
    """Time steps of all strategies in shuffled rounds beside the step without a mixer.

    Args:
        shape: Sizes of the encoder.
        device: Where it runs.
        strategies: What to measure.
        sizes: Tokens of a row, rounds, and steps of each strategy in a round.
        backend: Backend of torch.compile; None runs eagerly.
    """
    length, rounds, repeats = sizes
    torch.compiler.reset()
    model = make_encoder(shape, 5000).to(device).train()
    run = model if backend is None else torch.compile(model, backend=backend)
    optimizer = build_optimizer(model, 1e-5, 0.01)
    source = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 5000, (32, length), generator=source)
    labels = torch.randint(CLASSES, (32,), generator=source)
    batch = {
        name: value.to(device)
        for name, value in (("input_ids", ids), ("attention_mask", torch.ones_like(ids)), ("labels", labels))
    }
    mixers = {}
    for name in strategies:
        # Compiled, each layer is a separate graph: one of them is enough.
        layers = {"manifold": {"layers": [shape.num_hidden_layers // 2]}} if backend and name == "manifold" else {}
        mixers[name] = attach(model, MixConfig(strategy=name, special_ids=[0, 1, 2], **layers))
        mixers[name].detach()

    def steps(name: str, count: int) -> float:
        if name in mixers:
            mixers[name].attach()
        wait(device)
        started = time.perf_counter()
        for _ in range(count):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                loss = run(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        wait(device)
        elapsed = time.perf_counter() - started
        if name in mixers:
            mixers[name].detach()
        return elapsed

    order = Shuffle(["bare", *strategies])
    for name in ["bare", *strategies]:
        steps(name, 3)
    times: dict[str, list[float]] = {name: [] for name in ["bare", *strategies]}
    for _ in range(rounds):
        for name in order.round():
            times[name].append(steps(name, repeats))
    suffix = "" if backend is None else ", compiled"
    for name in strategies:
        goal = "" if name == "ssmix" else "≤ 1.03"
        report(
            "mixing", f"{name}{suffix}: step over the unmixed step", median_ratio(times[name], times["bare"]), "×", goal
        )
    if backend is not None:
        breaks = torch._dynamo.utils.counters["graph_break"]
        report("mixing", "graph breaks", float(sum(breaks.values())), goal="0")


def prediction(rehearse: bool, data: Path | None) -> None:
    """Compare prediction with the pipeline of transformers."""
    device, shape = device_of(rehearse), TINY if rehearse else MINILM
    texts, _ = question_texts(64 if rehearse else 20_000, data)
    tokenizer = train_tokenizer(texts)
    tokenizer.model_max_length = 128
    model = make_encoder(shape, len(tokenizer)).to(device).eval()
    sizes = (8, 16) if rehearse else (64, 128, 256, 512)
    speeds = {}
    for size in sizes:
        pipe = pipeline("text-classification", model=model, tokenizer=tokenizer, device=device, batch_size=size)
        pipe(texts[:size])
        part = texts[: len(texts) // 4]
        speeds[size] = len(part) / timed(lambda pipe=pipe, part=part: pipe(part), device)
    best = max(speeds, key=lambda size: speeds[size])
    report("prediction", f"pipeline, batches of {best}", speeds[best], "texts/s")
    for precision in ("fp32", "bf16"):
        predictor = Predictor(make_encoder(shape, len(tokenizer)).to(device).eval(), tokenizer, 256)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            predictor(texts[:256])
            speed = len(texts) / timed(lambda predictor=predictor: predictor(texts), device)
            single = [timed(lambda predictor=predictor: predictor(texts[:1]), device) for _ in range(30)]
        report("prediction", f"textmix, {precision}", speed, "texts/s")
        goal = "≥ 3" if precision == "fp32" else ""
        report("prediction", f"textmix, {precision}, over the best pipeline", speed / speeds[best], "×", goal)
        report("prediction", f"textmix, {precision}: a single text", 1000 * statistics.median(single), "ms")


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of an action."""
    wait(device)
    started = time.perf_counter()
    action()
    wait(device)
    return time.perf_counter() - started


def textcnn(rehearse: bool, data: Path | None) -> None:
    """Train a TextCNN on many rows, and measure the share of data loading."""
    device = device_of(rehearse)
    count, warm_up, steps, size = (2000, 3, 10, 64) if rehearse else (1_000_000, 50, 1000, 256)
    source = np.random.default_rng(0)
    lengths = source.integers(5, 40, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = source.integers(5, 30_000, offsets[-1]).astype(np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))
    labels = pa.array(source.integers(0, CLASSES, count))
    rows = Dataset(pa.table({"input_ids": column, "labels": labels}))
    tokenizer = train_tokenizer([f"word{number}" for number in range(100)])
    model = TextCNN(TextCNNConfig(vocab_size=30_000, num_labels=CLASSES))
    config = TrainConfig(max_steps=warm_up + steps, batch_size=size, learning_rate=1e-3, log_steps=100, save_steps=None)
    names = [str(number) for number in range(CLASSES)]
    with tempfile.TemporaryDirectory() as name, timed_steps(device, warm_up, steps) as times:
        mix = MixConfig(strategy="word")
        MixupTrainer(
            model, tokenizer, TrainingData(rows, None, Classes(names)), config, mix, LossConfig(), Path(name)
        ).train()
    seconds = (times[1] - times[0]) / steps
    report("textcnn", f"{count} rows, batch {size}", size / seconds, "samples/s")
    batches = EpochBatches(count, size, 0, 1, 0, row_lengths(rows), 1)
    loader = padded_loader(rows, tokenizer, batches)
    started = time.perf_counter()
    loaded = sum(1 for _ in islice(loader, steps // 4))
    share = (time.perf_counter() - started) / loaded / seconds
    report("textcnn", "data loading, share of a step's time", 100 * share, "%")


SECTIONS: dict[str, Callable[[bool, Path | None], None]] = {
    "right": right,
    "waits": waits,
    "training": training,
    "mixing": mixing,
    "prediction": prediction,
    "textcnn": textcnn,
}
