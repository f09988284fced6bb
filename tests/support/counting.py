"""Count what mixing leaves behind at a model, and how often it runs the blocks."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

from textmix.hooks.sites import find_sites


def hooks(model: nn.Module) -> int:
    """Count the hooks of a model."""
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
