"""Dropout whose masks are cheap to draw on a CPU, of hidden states and of attention."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_ATTENTION = "textmix_byte_dropout"
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def draw_noise(size: int, keep: float, dtype: torch.dtype) -> Tensor:
    """Draw independent variates that are 1 / keep with the chance `keep`, else 0, from torch's global generator.

    A random byte decides: below `256 * keep` it keeps. The one value that the threshold falls into is decided by
    another draw, so that the chance is exactly `keep`. That takes few random bits, from a generator (SFC64) that makes
    them fast; and the bits of 1 / keep, as an integer, times 0 or 1 are those of the noise. 170 000 numbers are dropped
    out in a fifth of the time that `torch.dropout` takes.

    Args:
        size: How many.
        keep: Chance of each to stay.
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
    return torch.from_numpy(mask.view(np.uint8) * scale).view(dtype)


class ByteDropout(nn.Dropout):
    """`nn.Dropout`, with `draw_noise` on a CPU; elsewhere, and in eval mode, just that."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that nn.Dropout gives it
        """Drop out, as `nn.Dropout` does."""
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
    """Attend as the `sdpa` of transformers does; weights of attention are dropped out with `draw_noise` on a CPU.

    With dropout torch computes attention there step by step, as is done here, and its masks take longer than its
    products.

    Args:
        module: The attention that asks.
        query: Shape (B, heads, L, width).
        key: Shape (B, heads, K, width).
        value: Shape (B, heads, K, width).
        attention_mask: Broadcasts to (B, heads, L, K): True where keys are attended to, or what is added to scores.
        dropout: Chance of each weight to be dropped.
        scaling: Factor of the scores; None means one over the root of the width.
        **options: For `sdpa`, to which all is left that is not plain attention, or is not dropped out on a CPU.

    Returns:
        Shape (B, L, heads, width), and None for the weights, as transformers wants it.
    """
    causal = attention_mask is None and options.get("is_causal", getattr(module, "is_causal", True)) is not False
    plain = query.shape[1] == key.shape[1] and options.get("position_bias") is None and not causal
    if not 0 < dropout < 1 or query.device.type != "cpu" or not plain:
        attended: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
        return attended
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        masked = attention_mask.dtype is torch.bool
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~attention_mask, lowest) if masked else scores + attention_mask
    weights = scores.softmax(dim=-1)
    kept = weights * draw_noise(weights.numel(), 1 - dropout, weights.dtype).view(weights.shape)
    return (kept.to(value.dtype) @ value).transpose(1, 2).contiguous(), None


@contextmanager
def byte_dropout(model: nn.Module) -> Iterator[None]:
    """Let every `nn.Dropout` of a model be a `ByteDropout`, and its attention alike, within a `with` block."""
    with ExitStack() as undo:
        for module in model.modules():
            if type(module) is nn.Dropout:
                module.__class__ = ByteDropout
                undo.callback(setattr, module, "__class__", nn.Dropout)
            elif isinstance(module, PreTrainedModel) and _attends_by_sdpa(module):
                AttentionInterface.register(_ATTENTION, byte_dropout_attention)
                AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
                undo.callback(module.set_attn_implementation, "sdpa")
                module.set_attn_implementation(_ATTENTION)
        yield


def _attends_by_sdpa(model: PreTrainedModel) -> bool:
    return model.config._attn_implementation == "sdpa" and bool(model._can_set_attn_implementation())
