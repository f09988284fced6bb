"""Measure what mixing costs: python benchmarks/mixing_overhead.py [--quick] [--models …] [--allocator …].

For MiniLM and TextCNN at several sequence lengths: the time of a training step (forward, backward, clipping, fused
AdamW) with each strategy over that of the bare model's step with its own loss. Steps alternate in one process, in an
order that is shuffled anew each round; a ratio compares the two steps of one round, and its median over the rounds is
reported. The table goes to standard output, everything else to benchmarks/results/mixing_overhead.json.

The process keeps freed memory, as that of `textmix train` does. `--allocator default` measures without: there a step
of TextCNN spends up to half of its time on page faults, and mixing on more or fewer of them by chance.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from textmix.hooks.attach import attach
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import STRATEGIES
from textmix.models.config import ModelConfig
from textmix.models.loading import build_model
from textmix.models.words.textcnn import TextCNN, TextCNNConfig
from textmix.runs.environment import environment
from textmix.training.cpu.memory import keep_memory
from textmix.training.optimization import build_optimizer, choose_precision

RESULTS = Path(__file__).resolve().parent / "results" / "mixing_overhead.json"
LENGTHS = (16, 64, 256)
BATCH, CLASSES, VOCABULARY = 32, 5, 30_000
BARE = "bare"
LIMIT = 1.03
# ssmix runs the network a second time for its saliency, and any is a draw among the others.
LIMITED = ("word", "sentence", "manifold", "cutmix", "nonlinear", "multi", "batch")
MEASURED = (*LIMITED, "ssmix")


def minilm() -> PreTrainedModel:
    """Build MiniLM with a classifier, without dropout in the encoder: the faster its step, the more mixing shows."""
    config = ModelConfig(name="minilm", encoder_dropout=0.0)
    return build_model(config, [str(number) for number in range(CLASSES)], []).model


def textcnn() -> PreTrainedModel:
    """Build a TextCNN of the default size."""
    return TextCNN(TextCNNConfig(vocab_size=VOCABULARY, num_labels=CLASSES))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {"minilm": minilm, "textcnn": textcnn}


def make_batch(length: int) -> dict[str, torch.Tensor]:
    """Make a batch of rows between half and the whole of the length, one of them full."""
    lengths = torch.randint(length // 2, length + 1, (BATCH,))
    lengths[0] = length
    mask = (torch.arange(length) < lengths.unsqueeze(1)).long()
    ids = torch.randint(1000, VOCABULARY, (BATCH, length)) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(CLASSES, (BATCH,))}


def measure(name: str, length: int, precision: str, least: int, seconds: float) -> dict[str, Any]:
    """Time all strategies on one model at one length."""
    torch.manual_seed(0)
    model = MODELS[name]().train()
    optimizer = build_optimizer(model, 1e-5, 0.01)
    batch = make_batch(length)
    mixers: dict[str, AttachedMixer] = {}
    for strategy in MEASURED:
        special = [0] if STRATEGIES[strategy].needs_special_ids else None
        mixers[strategy] = attach(model, MixConfig(strategy=strategy, special_ids=special))
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

    order, shuffler = [BARE, *MEASURED], random.Random(0)
    for strategy in order:  # the first steps of a process are slow
        step(strategy)
    times: dict[str, list[float]] = {strategy: [] for strategy in order}
    started = time.perf_counter()
    while len(times[BARE]) < least or time.perf_counter() - started < seconds:
        shuffler.shuffle(order)
        for strategy in order:
            times[strategy].append(step(strategy))
    ratios = {
        strategy: [mine / bare for mine, bare in zip(times[strategy], times[BARE], strict=True)]
        for strategy in MEASURED
    }
    return {
        "model": name,
        "length": length,
        "pairs": len(times[BARE]),
        "bare_step_seconds": statistics.median(times[BARE]),
        "ratios": {strategy: statistics.median(values) for strategy, values in ratios.items()},
        "quartiles": {strategy: statistics.quantiles(values, n=4) for strategy, values in ratios.items()},
    }


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30 pairs each, and no file")
    parser.add_argument("--allocator", choices=["kept", "default"], default="kept", help="kept is as `textmix train`")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="measure only these anew")
    options = parser.parse_args()
    quick = options.quick
    if options.allocator == "kept":
        keep_memory()
    precision = choose_precision("auto")
    print(f"| model | length | {' | '.join(MEASURED)} | pairs |\n| --- | --- | {'--- | ' * len(MEASURED)}--- |")
    cells = []
    for name in options.models:
        for length in LENGTHS:
            cell = {"allocator": options.allocator, **measure(name, length, precision, 30, 0 if quick else 60)}
            ratios = " | ".join(f"{cell['ratios'][strategy]:.3f}" for strategy in MEASURED)
            print(f"| {name} | {length} | {ratios} | {cell['pairs']} |", flush=True)
            cells.append(cell)
    above = [
        f"{strategy} {cell['ratios'][strategy]:.3f} ({cell['model']}, {cell['length']})"
        for cell in cells
        for strategy in LIMITED
        if cell["ratios"][strategy] > LIMIT
    ]
    print(f"\nabove {LIMIT}: {', '.join(above) or 'none'}")
    if not quick:
        old = json.loads(RESULTS.read_text())["cells"] if RESULTS.exists() else []
        now = [(name, options.allocator) for name in options.models]
        cells = [cell for cell in old if (cell["model"], cell.get("allocator")) not in now] + cells
        record = {"batch_size": BATCH, "limit": LIMIT, "environment": environment(precision), "cells": cells}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
