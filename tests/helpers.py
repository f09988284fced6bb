"""What several tests do with a model: strip labels, count hooks, count the calls of its blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from textmix.hooks.sites import find_sites
from textmix.mixing.registry import STRATEGIES

Build = Callable[[str], PreTrainedModel]
Batch = dict[str, torch.Tensor]
MIXING = [name for name in STRATEGIES if name != "none"]


def unlabelled(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "labels"}


def hooks(model: nn.Module) -> int:
    return sum(
        len(getattr(module, name))
        for module in model.modules()
        for name in vars(module)
        if name.endswith("_hooks") or name.endswith("_hooks_with_kwargs")
    )


@contextmanager
def counting_blocks(model: PreTrainedModel) -> Iterator[list[int]]:
    """Count how often each block runs, or the embeddings of a model without blocks."""
    sites = find_sites(model)
    blocks = [sites.embeddings] if sites.embeddings is not None else [block.module for block in sites.blocks]
    counts = [0] * len(blocks)
    originals = [block.forward for block in blocks]
    for number, block in enumerate(blocks):

        def counted(*args: object, number: int = number, **kwargs: object) -> object:
            counts[number] += 1
            return originals[number](*args, **kwargs)

        block.forward = counted
    yield counts
    for block, original in zip(blocks, originals, strict=True):
        block.forward = original
