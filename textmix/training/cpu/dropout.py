"""Dropout of hidden states and attention weights with masks that are fast to draw on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from textmix.io.compat import registered_sdpa, stock_sdpa

# Options of attention that change the scores.
_CHANGES_SCORES = ("position_bias", "softcap", "s_aux")

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def draw_noise(size: int, keep: float, dtype: torch.dtype) -> Tensor:
    """Draw independent variates that are 1 / keep with probability `keep`, else 0.

    A variate is kept if a random byte is below `256 * keep`. For the one byte value that contains the threshold, a
    second draw decides, so that the probability is exactly `keep`. The bytes come from a fast generator (SFC64), which
    torch's global generator seeds. The noise is the bit pattern of 1 / keep, as an integer, times 0 or 1. 170 000
    variates take a fifth of the time of `torch.dropout`.

    Args:
        size: Number of variates.
        keep: Probability that a variate is kept.
        dtype: A floating-point type.

    Returns:
        Shape (size,), on the CPU.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_())
    generator = np.random.Generator(source := np.random.SFC64(seed))
    drawn = source.random_raw(-(-size // 8)).view(np.uint8)[:size]
    whole = int(256 * keep)
    mask = drawn < whole
    tied = np.flatnonzero(drawn == whole)
    mask[tied] = generator.random(len(tied)) < 256 * keep - whole
    scale = torch.ones((), dtype=dtype).div_(keep).view(_INTEGERS[dtype.itemsize]).numpy()
    return torch.from_numpy(np.multiply(mask.view(np.uint8), scale, dtype=scale.dtype)).view(dtype)


class ByteDropout(nn.Dropout):
    """`nn.Dropout` that draws by `draw_noise` on a CPU; on other devices and in eval mode it is `nn.Dropout`."""

    @classmethod
    def sharing(cls, module: nn.Dropout) -> Self:
        """Return a module that shares the attributes of another: its rate, mode and hooks."""
        shared = cls.__new__(cls)
        shared.__dict__ = module.__dict__
        return shared

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Dropout
        """Apply dropout as `nn.Dropout` does."""
        if not self.training or input.device.type != "cpu" or not 0 < self.p < 1:
            return super().forward(input)
        return input * draw_noise(input.numel(), 1 - self.p, input.dtype).view(input.shape)


def byte_dropout_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Compute attention as the `sdpa` of transformers, with dropout masks from `draw_noise` on a CPU.

    With dropout torch computes attention on a CPU step by step and in float32, as this function does; most of the time
    goes into drawing the mask. Forward and backward pass of 32 rows with 12 heads take 0.85 of torch's time at 14
    tokens, and 0.5 to 0.7 at 32 and 64 tokens (medians, two cores with AMX).

    Args:
        module: The attention module.
        query: Shape (B, heads, L, head size).
        key: Shape (B, heads, K, head size).
        value: Shape (B, heads, K, head size).
        attention_mask: Broadcasts to (B, heads, L, K): True where keys are attended to, or floats added to the scores.
        dropout: Probability that a weight is dropped.
        scaling: Factor of the scores; None means 1 / sqrt(head size).
        **options: Options of `sdpa`, which is called for everything but plain attention with dropout on a CPU.

    Returns:
        The output, shape (B, L, heads, head size), and None for the weights, as transformers expects.
    """
    if query.device.type != "cpu" or not 0 < dropout < 1 or not _is_plain(module, query, key, attention_mask, options):
        return stock_sdpa()(module, query, key, value, attention_mask, dropout, scaling, **options)
    with torch.autocast("cpu", enabled=False):
        scaled = query.shape[3] ** -0.5 if scaling is None else scaling
        attended = _attend(query, key, value, attention_mask, dropout, scaled)
    return attended.transpose(1, 2).to(query.dtype, memory_format=torch.contiguous_format), None


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float) -> Tensor:
    wide = torch.promote_types(query.dtype, torch.float32)
    seen = mask if mask is not None and mask.dtype is torch.bool else None
    scores = query.to(wide) * scaling @ key.to(wide).mT
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.finfo(wide).min)
    elif mask is not None:
        scores = scores + mask
    weights = scores.softmax(dim=-1)
    kept = weights * draw_noise(weights.numel(), 1 - dropout, wide).view(weights.shape)
    attended = kept @ value.to(wide)
    # The output of a position that attends to nothing is zero.
    return attended if seen is None else attended * seen.any(dim=-1, keepdim=True)


def _is_plain(module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, options: dict[str, Any]) -> bool:
    """Return whether attention is a softmax of masked products with the same number of query and key heads."""
    asked = options.get("is_causal")
    causal = mask is None and (getattr(module, "is_causal", True) if asked is None else asked)
    changed = any(options.get(name) is not None for name in _CHANGES_SCORES)
    return query.shape[1] == key.shape[1] and not causal and not changed


@contextmanager
def byte_dropout(model: nn.Module) -> Iterator[None]:
    """Replace every `nn.Dropout` of a model and `sdpa` attention within a `with` block.

    Attention that was registered as `sdpa` by other code, or by an outer block, is not replaced.
    """
    # A module that occurs twice is replaced in both places; the model itself has no parent to be replaced in.
    replaced = [
        (name, child) for name, child in model.named_modules(remove_duplicate=False) if _is_plain_dropout(child)
    ]
    stock = registered_sdpa() is stock_sdpa()
    for name, child in replaced:
        _put(model, name, ByteDropout.sharing(child))
    if stock:
        # Keep the name: some models take another path for an unknown name.
        AttentionInterface.register("sdpa", byte_dropout_attention)
    try:
        yield
    finally:
        if stock:
            AttentionInterface.register("sdpa", stock_sdpa())
        for name, child in replaced:
            _put(model, name, child)


def _is_plain_dropout(module: nn.Module) -> TypeGuard[nn.Dropout]:
    return type(module) is nn.Dropout


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    if child:
        setattr(model.get_submodule(parent), child, module)
