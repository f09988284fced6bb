"""One of two processes of a distributed training run; started by test_distributed, writes what it saw as JSON."""

import json
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from tests.support.families import build
from tests.support.family_configs import VOCAB
from tests.support.strategies import mix
from textmix.hooks.attach import attach


def batch_of(rank: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(10 + rank)
    mask = (torch.arange(8)[None] < torch.randint(2, 9, (6, 1), generator=generator)).long()
    ids = torch.randint(5, VOCAB, mask.shape, generator=generator) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(3, (6,), generator=generator)}


def train(rank: int) -> dict[str, list[float]]:
    """Three steps; returns λ, partners and the gradient of the classifier."""
    model = build("BERT", "integer")
    model.zero_grad()
    mixer = attach(model, mix("manifold", per_sample=True), seed=4)
    parallel = DistributedDataParallel(model)
    seen: dict[str, list[float]] = {"lam": [], "partner": [], "gradient": []}
    for _ in range(3):
        parallel(**batch_of(rank)).loss.backward()
        assert mixer.plan is not None
        seen["lam"] += mixer.plan.lam.tolist()
        seen["partner"] += mixer.plan.partner.tolist()
    seen["gradient"] = model.classifier.weight.grad.flatten().tolist()
    mixer.detach()
    return seen


def alone(rank: int) -> list[float]:
    """The gradient that this process would have by itself."""
    model = build("BERT", "integer")
    model.zero_grad()
    mixer = attach(model, mix("manifold", per_sample=True), seed=4)
    for _ in range(3):
        model(**batch_of(rank)).loss.backward()
    mixer.detach()
    return model.classifier.weight.grad.flatten().tolist()


def main(rank: int, meeting_place: str, result: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting_place}", rank=rank, world_size=2)
    found = {"first": train(rank), "again": train(rank), "alone": alone(rank)}
    distributed.destroy_process_group()
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
