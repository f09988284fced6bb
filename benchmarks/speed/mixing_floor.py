"""Measure the minimum cost of mixing embeddings: python -m benchmarks.speed.mixing_floor [--steps 50].

The benchmark splits `word` on TextCNN, batches of 32, into operations of torch's eager mode: draw λ and partners, unite
two masks, weigh rows by λ and mask, gather the partners' rows and add them, the same backward, and score a second
label. One operation (`embedding_bag`) can gather, weigh and add; the faster way counts, forward and backward. Each
operation is timed directly after a training step of the bare model, whose optimizer has emptied the caches, as in
training. Python, hooks and autograd between the operations are not counted. The sum over the time of the bare step is a
lower bound for the ratios of `benchmarks/speed/mixing_overhead.py`. Results: benchmarks/results/mixing_floor.json.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.shared import keep_memory, machine, make_parser, print_table, write_results
from benchmarks.speed.mixing_overhead import BATCH, CLASSES, LENGTHS, make_batch, textcnn
from textmix.training.optimization import build_optimizer, choose_precision

ALPHA = 0.4
FORWARD, BACKWARD = ("gather rows", "weigh rows", "add rows"), ("weigh gradients", "add gradients")
IN_ONE = "gather, weigh and add in one"


def operations(hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Return the operations by name, each on operands that are computed in advance.

    Args:
        hidden: Embeddings, shape (B, L, H).
        mask: Real positions, shape (B, L), bool.
    """
    generator = torch.Generator().manual_seed(0)
    partner, (_, length, hidden_size) = torch.randperm(BATCH, generator=generator), hidden.shape
    gathered, gradient, taken = hidden[partner], torch.randn_like(hidden), torch.randn_like(hidden)
    own, other = 0.7 * mask.unsqueeze(-1), 0.3 * mask[partner].unsqueeze(-1)
    costs = torch.randn(BATCH, CLASSES)
    labels = torch.randint(CLASSES, (BATCH,))
    rows = torch.stack([torch.arange(BATCH), partner], dim=1).unsqueeze(1)
    bags = (rows * length + torch.arange(length).view(1, -1, 1)).view(-1, 2)
    shares = torch.cat([own, other], dim=2).view(-1, 2).contiguous()
    table = hidden.view(-1, hidden_size)
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
    """Time the steps, and one operation after each step, in turn."""
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
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=50, help="number of measurements of each operation")
    options = parser.parse_args()
    keep_memory()
    precision = choose_precision("auto")
    cells = [measure(length, precision, options.steps) for length in LENGTHS]
    rows = [
        *([name, *(f"{1000 * cell['seconds'][name]:.3f}" for cell in cells)] for name in cells[0]["seconds"]),
        ["bare step", *(f"{1000 * cell['bare_step_seconds']:.1f}" for cell in cells)],
        ["floor of the ratio", *(f"{cell['floor']:.3f}" for cell in cells)],
    ]
    print_table(["operation", *(f"{cell['length']} tokens, ms" for cell in cells)], rows)
    write_results("mixing_floor", {"batch_size": BATCH, "environment": machine(precision), "cells": cells}, options)


if __name__ == "__main__":
    main()
