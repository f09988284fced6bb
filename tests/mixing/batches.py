"""Batches for the tests of mixing: any mask, holes and padding on either side among them."""

import torch
from torch import Tensor

from textmix.mixing.batch import MixBatch
from textmix.mixing.config import MixConfig
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import build_strategy

SPECIAL_IDS = [0, 1, 2]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mask(size: int, length: int, source: torch.Generator) -> Tensor:
    """Padding on the right, on the left, with holes, or a row that is nothing but padding; one kind for each row."""
    lengths = torch.randint(0, length + 1, (size, 1), generator=source)
    positions = torch.arange(length).expand(size, -1)
    kinds = torch.stack(
        [positions < lengths, positions >= length - lengths, torch.rand(size, length, generator=source) < 0.6]
    )
    return kinds[torch.randint(3, (size,), generator=source), torch.arange(size)]


def blending(size: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw rows to blend, and their weights, both (B, K)."""
    source = generator(seed + 1)
    rows = torch.randint(size, (size, count), generator=source)
    return rows, torch.rand(size, count, dtype=torch.float64, generator=source).softmax(dim=1)


def probabilities(size: int, seed: int) -> Tensor:
    """Draw probabilities of three classes."""
    return (2 * torch.randn(size, 3, generator=generator(seed))).softmax(dim=1)


def random_batch(size: int = 5, length: int = 7, seed: int = 0, hidden_size: int = 3, alpha: float = 0.4) -> MixBatch:
    """Draw a batch of integer classes with everything that a strategy may ask for."""
    source = generator(seed)
    return MixBatch(
        size,
        torch.device("cpu"),
        alpha,
        labels=torch.randint(3, (size,), generator=source),
        hidden_size=hidden_size,
        input_ids=torch.randint(0, 30, (size, length), generator=source),
        mask=random_mask(size, length, source),
        special_ids=torch.tensor(SPECIAL_IDS),
        find_means=lambda: torch.randn(size, hidden_size, generator=generator(seed + 1)),
        find_saliency=lambda: torch.rand(size, length, generator=generator(seed + 2)),
        find_probabilities=lambda: probabilities(size, seed + 3),
    )


def a_plan(strategy: str = "word", rows: list[list[int]] | None = None, **fields: object) -> MixPlan:
    """Make a plan by hand; without weights all rows weigh alike."""
    config = MixConfig(strategy=strategy)
    numbers = torch.tensor(rows or [[0, 1], [1, 0]])
    fields.setdefault("weights", torch.full(numbers.shape, 1 / numbers.shape[1]))
    return MixPlan(build_strategy(config), "embeddings", numbers, **fields)
