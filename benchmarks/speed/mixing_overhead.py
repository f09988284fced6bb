"""Measure the cost of mixing: python -m benchmarks.speed.mixing_overhead [--quick] [--models …] [--allocator …].

For MiniLM and TextCNN at several sequence lengths, the benchmark compares the time of a training step (forward,
backward, clipping, fused AdamW) with each strategy and without a mixer. Steps alternate in one process, in a new random
order for each round. A ratio compares two steps of one round; the table has its median over the rounds. Results:
benchmarks/results/mixing_overhead.json.

The process keeps freed memory like `textmix train`. With `--allocator default` it does not: a step of TextCNN then
spends up to half of its time on page faults, whose number varies by chance.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.shared import (
    Shuffle,
    keep_memory,
    machine,
    make_parser,
    median_ratio,
    print_header,
    print_row,
    result_file,
    write_results,
)
from textmix.hooks.attach import attach
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.mixing.completion import complete
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.models.config import ModelConfig
from textmix.models.loading import build_model
from textmix.models.words.textcnn import TextCNN, TextCNNConfig
from textmix.tasks.single_label import Classes
from textmix.training.optimization import build_optimizer, choose_precision

LENGTHS = (16, 64, 256)
BATCH, CLASSES, VOCABULARY = 32, 5, 30_000
BARE = "bare"
LIMIT = 1.03
# Not ssmix, which runs the network a second time, nor any, which draws one of the others.
LIMITED = ("word", "sentence", "manifold", "cutmix", "nonlinear", "multi", "batch")
MEASURED = (*LIMITED, "ssmix")


def minilm() -> PreTrainedModel:
    """Build MiniLM with a classifier; without dropout in the encoder its step is faster, and mixing more visible."""
    config = ModelConfig(name="minilm", encoder_dropout=0.0)
    return build_model(config, Classes([str(number) for number in range(CLASSES)]).to_config(), []).model


def textcnn() -> PreTrainedModel:
    """Build a TextCNN of the default size."""
    return TextCNN(TextCNNConfig(vocab_size=VOCABULARY, num_labels=CLASSES))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {"minilm": minilm, "textcnn": textcnn}


def make_batch(length: int) -> dict[str, torch.Tensor]:
    """Make a batch of rows of half to full length, one of them of full length."""
    lengths = torch.randint(length // 2, length + 1, (BATCH,))
    lengths[0] = length
    mask = (torch.arange(length) < lengths.unsqueeze(1)).long()
    ids = torch.randint(1000, VOCABULARY, (BATCH, length)) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(CLASSES, (BATCH,))}


def time_steps(step: Callable[[str], float], least: int, seconds: float) -> dict[str, list[float]]:
    """Time the steps of the bare model and of all strategies, in rounds; `step` returns the seconds of one."""
    shuffle = Shuffle([BARE, *MEASURED])
    for strategy in shuffle.round():  # the first steps of a process are slow
        step(strategy)
    times: dict[str, list[float]] = {strategy: [] for strategy in (BARE, *MEASURED)}
    started = time.perf_counter()
    while len(times[BARE]) < least or time.perf_counter() - started < seconds:
        for strategy in shuffle.round():
            times[strategy].append(step(strategy))
    return times


def measure(name: str, length: int, precision: str, least: int, seconds: float) -> dict[str, Any]:
    """Time all strategies on one model at one length, for at least `least` rounds and `seconds` seconds."""
    torch.manual_seed(0)
    model = MODELS[name]().train()
    optimizer = build_optimizer(model, 1e-5, 0.01)
    batch = make_batch(length)
    mixers: dict[str, AttachedMixer] = {}
    for strategy in MEASURED:
        mixers[strategy] = attach(model, complete(MixConfig(strategy=strategy), LossConfig(), lambda: [0], list))
        mixers[strategy].detach()

    def step(strategy: str) -> float:
        mixer = mixers.get(strategy)  # none for the bare model
        if mixer is not None:
            mixer.attach()
        started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        elapsed = time.perf_counter() - started
        if mixer is not None:
            mixer.detach()
        return elapsed

    times = time_steps(step, least, seconds)
    ratios = {
        strategy: [mine / bare for mine, bare in zip(times[strategy], times[BARE], strict=True)]
        for strategy in MEASURED
    }
    return {
        "model": name,
        "length": length,
        "pairs": len(times[BARE]),
        "bare_step_seconds": statistics.median(times[BARE]),
        "ratios": {strategy: median_ratio(times[strategy], times[BARE]) for strategy in MEASURED},
        "quartiles": {strategy: statistics.quantiles(values, n=4) for strategy, values in ratios.items()},
    }


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="30 pairs each, and no file")
    parser.add_argument("--allocator", choices=["kept", "default"], default="kept", help="kept: as in `textmix train`")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="measure only these models")
    options = parser.parse_args()
    options.no_file |= options.quick
    if options.allocator == "kept":
        keep_memory()
    precision = choose_precision("auto")
    print_header("model", "length", *MEASURED, "pairs")
    cells = []
    for name in options.models:
        for length in LENGTHS:
            cell = {"allocator": options.allocator, **measure(name, length, precision, 30, 0 if options.quick else 60)}
            print_row([name, length, *(f"{cell['ratios'][strategy]:.3f}" for strategy in MEASURED), cell["pairs"]])
            cells.append(cell)
    above = [
        f"{strategy} {cell['ratios'][strategy]:.3f} ({cell['model']}, {cell['length']})"
        for cell in cells
        for strategy in LIMITED
        if cell["ratios"][strategy] > LIMIT
    ]
    print(f"\nabove {LIMIT}: {', '.join(above) or 'none'}")
    file = result_file("mixing_overhead", options)
    old = json.loads(file.read_text())["cells"] if file.exists() else []
    now = [(name, options.allocator) for name in options.models]
    cells = [cell for cell in old if (cell["model"], cell.get("allocator")) not in now] + cells
    record = {"batch_size": BATCH, "limit": LIMIT, "environment": machine(precision), "cells": cells}
    write_results("mixing_overhead", record, options)


if __name__ == "__main__":
    main()
