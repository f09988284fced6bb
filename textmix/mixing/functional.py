"""Pure functions that blend rows and masks."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Padding = Literal["zero", "copy"]


# From this many rows on, one matrix product is cheaper than one pass over the batch for each of them.
_MANY = 5


def blend(
    hidden: Tensor, rows: Tensor, weights: Tensor, mask: Tensor | None = None, padding: Padding = "zero"
) -> Tensor:
    """Blend rows: row i becomes `sum_k weights[i, k] * hidden[rows[i, k]]`.

    Args:
        hidden: Rows, shape (B, ...); with a mask (B, L, ...). Every number is finite, also at padding.
        rows: The rows that each row is blended from, shape (B, K), K at least 2; first the row itself.
        weights: Their weights, shape (B, K), or (B, K, H) or (1, K, H) with separate weights for each dimension of a
            hidden state (B, L, H); they sum to 1 over K.
        mask: Real positions of each row before blending, shape (B, L), bool; None when every position is real.
        padding: How a position is blended where only some rows are real: `zero` blends them with zero vectors, `copy`
            scales the weights of the real ones to sum to 1. Where none is real the result is zero.

    Returns:
        Blended rows, shape and dtype of `hidden`.
    """
    if mask is None and rows.shape[1] == 2 and weights.dim() == 2:
        # Sentence vectors, in most cases: for tensors so small the autograd function below costs more than it saves.
        lam = weights[:, 0].to(hidden.dtype).view(-1, *[1] * (hidden.dim() - 1))
        return torch.lerp(hidden.index_select(0, rows[:, 1]), hidden, lam)
    if mask is not None and padding == "copy":
        # Where no other row is real, a row of weight 0 is taken whole.
        weights = weights.clamp(min=torch.finfo(weights.dtype).tiny)
    if rows.shape[1] >= _MANY and weights.dim() == 2:
        return _blend_many(hidden, rows, weights, mask, padding)
    shares = weights.view(*weights.shape[:2], *[1] * (hidden.dim() + 1 - weights.dim()), *weights.shape[2:])
    if mask is not None:
        shares = shares * mask[rows].view(*rows.shape, -1, *[1] * (hidden.dim() - 2))
        if padding == "copy":
            shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    blended: Tensor = _WeightedSum.apply(hidden, rows, *shares.to(hidden.dtype).unbind(dim=1))  # type: ignore[no-untyped-call]
    return blended


class _WeightedSum(torch.autograd.Function):
    """`sum_k shares[k] * hidden[rows[:, k]]`, where shares are of shapes that broadcast to `hidden`.

    For a small model on a CPU the cost of mixing is passes over the batch and new memory for its copies. This function
    needs the fewest of both, forward and backward.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, rows: Tensor, *shares: Tensor) -> Tensor:
        ctx.save_for_backward(rows, *shares)
        own, first, *others = shares
        blended = hidden.index_select(0, rows[:, 1]).mul_(first).addcmul_(hidden, own)
        for number, share in enumerate(others, start=2):
            blended.addcmul_(hidden.index_select(0, rows[:, number]), share)
        return blended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (rows, own, *others) = grads, ctx.saved_tensors
        collected = grad * own
        for number, share in enumerate(others, start=1):
            collected.index_add_(0, rows[:, number], grad * share)
        return collected, None, *[None] * (1 + len(others))


def _blend_many(hidden: Tensor, rows: Tensor, weights: Tensor, mask: Tensor | None, padding: Padding) -> Tensor:
    """Blend by one matrix product; entry (i, j) is the total weight of row j in row i."""
    size = hidden.shape[0]
    if mask is not None:
        hidden = hidden * _expand(mask, hidden)
    matrix = torch.zeros(size, size, dtype=weights.dtype, device=hidden.device).scatter_add(1, rows, weights)
    # Autocast would round the product to half precision; blends of few rows are not rounded either.
    with torch.autocast(hidden.device.type, enabled=False):
        blended = (matrix.to(hidden.dtype) @ hidden.reshape(size, -1)).view_as(hidden)
        if mask is not None and padding == "copy":
            present = (matrix @ mask.to(matrix.dtype)).to(hidden.dtype)
            blended = blended / _expand(torch.where(present > 0, present, 1), hidden)
    return blended


def _expand(mask: Tensor, hidden: Tensor) -> Tensor:
    """Add trailing dimensions of size 1 to a mask until it has as many as the hidden states."""
    return mask.view(*mask.shape, *[1] * (hidden.dim() - mask.dim()))


def union_mask(mask: Tensor, rows: Tensor, dim: int = 0) -> Tensor:
    """Unite the masks of the rows that each row is blended from.

    Works for every mask in which a larger value attends more: 0/1 integers, booleans, and additive floats (0 for real
    positions, very negative for padding).

    Args:
        mask: Masks; a dimension of size 1 at `dim` means that all rows share one.
        rows: The rows that each row is blended from, shape (B, K).
        dim: Dimension of the batch.

    Returns:
        United masks, shape and dtype of `mask`.
    """
    if mask.shape[dim] == 1:
        return mask
    if mask.dim() == 4 and not mask.is_floating_point() and mask.dtype != torch.bool:
        return _union_product(mask, rows)
    selected = mask.index_select(dim, rows.flatten())
    return selected.view(*mask.shape[:dim], *rows.shape, *mask.shape[dim + 1 :]).amax(dim=dim + 1)


def union_attention(mask: Tensor, rows: Tensor, real: Tensor) -> Tensor:
    """Unite attention masks of texts; a token that may attend to nothing is united as one, whatever its mask says.

    For torch before 2.5, and for some kernels, transformers lets such a token (padding in front of a text) attend to
    everything, so that its attention is not NaN. United as it is, that would let the token of the other text attend
    to its padding and to what follows it.

    Args:
        mask: Masks in which a larger value attends more, shape (B, 1, L, L), boolean or additive floats.
        rows: The rows that each row is blended from, shape (B, K).
        real: Real positions of each row, shape (B, L), bool.

    Returns:
        United masks, shape and dtype of `mask`; a token that attends to nothing in the union keeps its own mask.
    """
    lowest = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    # A token that attends to something does not attend to padding.
    nothing = (mask == mask[..., :1]).all(dim=-1, keepdim=True) & ~real.all(dim=-1).view(-1, 1, 1, 1)
    united = union_mask(mask.masked_fill(nothing, lowest), rows)
    return torch.where(union_mask(nothing.logical_not(), rows), united, mask)


def _union_product(mask: Tensor, rows: Tensor) -> Tensor:
    """Unite masks (B, 1, L, L) that are products of a row's mask with itself, as in DeBERTa.

    The maximum of two such products is not the product of the united masks: a token of one row would not attend to a
    token of the other.
    """
    own = mask.diagonal(dim1=-2, dim2=-1)
    united = union_mask(own.bool(), rows).to(mask.dtype)
    return united.unsqueeze(-1) * united.unsqueeze(-2)


def union_alibi(alibi: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
    """Compute the position biases of united rows: the slope of each head times the number of the position.

    The real positions of a row are numbered from 0, as BLOOM and Falcon do.

    Args:
        alibi: Biases of each row, shape (B · N, 1, L) or (B, N, 1, L) for N heads.
        mask: Real positions of each row, shape (B, L), bool.
        rows: The rows that each row is blended from, shape (B, K).

    Returns:
        Biases of the united rows, shape and dtype of `alibi`.
    """
    size, length = mask.shape
    slopes = alibi.reshape(size, -1, length).amax(dim=(0, 2)) / _numbers(mask).amax().clamp(min=1)
    return (slopes.unsqueeze(-1) * _numbers(union_mask(mask, rows)).unsqueeze(1)).view_as(alibi).to(alibi.dtype)


def _numbers(mask: Tensor) -> Tensor:
    """Number the real positions of each row from 0; 0 elsewhere."""
    return (mask.cumsum(dim=1) - 1) * mask


def average_windows(values: Tensor, counts: Tensor) -> Tensor:
    """Average the vectors or logits of the windows of each text.

    Args:
        values: Those of the windows of all texts, one text after the other, shape (N, ...).
        counts: Number of windows of each text, shape (B,), int64; they sum to N.

    Returns:
        Shape (B, ...), dtype of `values`.
    """
    return torch.segment_reduce(values, "mean", lengths=counts, axis=0, unsafe=True)  # checking would wait for a GPU
