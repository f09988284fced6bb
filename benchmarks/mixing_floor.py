"""Measure the least that mixing embeddings can cost: python benchmarks/mixing_floor.py [--steps 50].

`word` on TextCNN, batches of 32, taken apart into operations of torch's eager mode: draw λ and partners, unite two
masks, weigh rows by λ and mask, gather the partners' rows and add them, the same backward, and score a second label.
Gathering, weighing and adding may be one operation (`embedding_bag`), so that the cheaper way counts, there and
backward. Each operation is timed right after a training step of the bare model, whose optimizer has emptied the caches,
as it would be in training; no Python, hooks or autograd between them is counted. Their sum over the time of the bare
step is a floor for what `benchmarks/mixing_overhead.py` measures. The table goes to standard output, everything to
benchmarks/results/mixing_floor.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mixing_overhead import BATCH, CLASSES, LENGTHS, make_batch, textcnn

from textmix.runs.environment import environment
from textmix.training.cpu.memory import keep_memory
from textmix.training.optimization import build_optimizer, choose_precision

RESULTS = Path(__file__).resolve().parent / "results" / "mixing_floor.json"
ALPHA = 0.4
FORWARD, BACKWARD = ("gather rows", "weigh rows", "add rows"), ("weigh gradients", "add gradients")
IN_ONE = "gather, weigh and add in one"


def operations(hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Name the operations, each on operands that are ready.

    Args:
        hidden: Embeddings, shape (B, L, H).
        mask: Real positions, shape (B, L), bool.
    """
    generator = torch.Generator().manual_seed(0)
    partner, (_, length, width) = torch.randperm(BATCH, generator=generator), hidden.shape
    gathered, gradient, taken = hidden[partner], torch.randn_like(hidden), torch.randn_like(hidden)
    own, other = 0.7 * mask.unsqueeze(-1), 0.3 * mask[partner].unsqueeze(-1)
    costs = torch.randn(BATCH, CLASSES)
    labels = torch.randint(CLASSES, (BATCH,))
    rows = torch.stack([torch.arange(BATCH), partner], dim=1).unsqueeze(1)
    bags = (rows * length + torch.arange(length).view(1, -1, 1)).view(-1, 2)
    shares = torch.cat([own, other], dim=2).view(-1, 2).contiguous()
    table = hidden.view(-1, width)
    return {
        "draw λ": lambda: torch._sample_dirichlet(torch.full((1, 2), ALPHA), generator=generator),
        "draw partners": lambda: torch.randperm(BATCH, generator=generator),
        "partners' masks": lambda: mask.index_select(0, partner),
        "unite masks": lambda: mask | mask,
        "weigh positions": lambda: mask * 0.7,
        "gather rows": lambda: hidden.index_select(0, partner),
        "weigh rows": lambda: gathered.mul_(other),
        "add rows": lambda: gathered.addcmul_(hidden, own),
        "partners' labels": lambda: costs.gather(1, labels.index_select(0, partner).unsqueeze(1)),
        "weigh gradients": lambda: torch.mul(gradient, own, out=taken),
        "add gradients": lambda: taken.index_add_(0, partner, gradient),
        IN_ONE: lambda: F.embedding_bag(bags, table, mode="sum", per_sample_weights=shares),
    }


def measure(length: int, precision: str, steps: int) -> dict[str, Any]:
    """Time one operation after each step, in turn, and the steps themselves."""
    torch.manual_seed(0)
    model = textcnn().train()
    optimizer = build_optimizer(model, 1e-5, 0.01)
    batch = make_batch(length)
    mask = batch["attention_mask"].bool()
    with torch.no_grad():
        todo = operations(model.get_input_embeddings()(batch["input_ids"]), mask)
    times: dict[str, list[float]] = {name: [] for name in todo}
    bare: list[float] = []
    for number in range(-2, steps):
        for name, operation in todo.items():
            started = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            between = time.perf_counter()
            with torch.no_grad():
                operation()
            ended = time.perf_counter()
            if number >= 0:  # the first steps of a process are slow
                bare.append(between - started)
                times[name].append(ended - between)
    step = statistics.median(bare)
    parts = {name: statistics.median(values) for name, values in times.items()}
    several = (*FORWARD, *BACKWARD, IN_ONE)
    blend = sum(min(parts[IN_ONE], sum(parts[name] for name in way)) for way in (FORWARD, BACKWARD))
    least = blend + sum(seconds for name, seconds in parts.items() if name not in several)
    return {"length": length, "bare_step_seconds": step, "seconds": parts, "floor": 1 + least / step}


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="how often each operation is timed")
    options = parser.parse_args()
    keep_memory()
    precision = choose_precision("auto")
    cells = [measure(length, precision, options.steps) for length in LENGTHS]
    rows = [
        ("operation", [f"{cell['length']} tokens, ms" for cell in cells]),
        ("---", ["---"] * len(cells)),
        *((name, [f"{1000 * cell['seconds'][name]:.3f}" for cell in cells]) for name in cells[0]["seconds"]),
        ("bare step", [f"{1000 * cell['bare_step_seconds']:.1f}" for cell in cells]),
        ("floor of the ratio", [f"{cell['floor']:.3f}" for cell in cells]),
    ]
    for name, values in rows:
        print(f"| {name} | {' | '.join(values)} |")
    record = {"batch_size": BATCH, "environment": environment(precision), "cells": cells}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
