"""Pure functions that blend rows and masks."""

from typing import Literal

import torch
from torch import Tensor

Padding = Literal["zero", "copy"]


def blend(
    hidden: Tensor, rows: Tensor, weights: Tensor, mask: Tensor | None = None, padding: Padding = "zero"
) -> Tensor:
    """Blend rows: row i becomes `sum_k weights[i, k] * hidden[rows[i, k]]`.

    Args:
        hidden: Rows, shape (B, ...); with a mask (B, L, ...).
        rows: Which rows each is blended from, shape (B, K); first the row itself.
        weights: Their weights, shape (B, K), each row summing to 1; cast to the dtype of `hidden`.
        mask: Real positions of each row before blending, shape (B, L), bool; None when every position is real.
        padding: What a position holds where only some rows are real: `zero` blends them with zero vectors, `copy`
            scales the weights of those that are real to sum to 1. Where none is real, or none of several that has
            a weight, the result is zero.

    Returns:
        Blended rows, shape and dtype of `hidden`.
    """
    if rows.shape[1] == 2:
        return _blend_pairs(hidden, rows[:, 1], weights[:, 0].view(-1, *[1] * (hidden.dim() - 1)), mask, padding)
    if mask is not None:
        hidden = hidden.masked_fill(~_expand(mask, hidden), 0)
    # One matrix product: its entry (i, j) is the weight of row j in row i; a row named twice counts twice.
    size = hidden.shape[0]
    matrix = torch.zeros(size, size, dtype=weights.dtype, device=hidden.device).scatter_add(1, rows, weights)
    # Autocast would round the product to half precision, which pairs are not.
    with torch.autocast(hidden.device.type, enabled=False):
        blended = (matrix.to(hidden.dtype) @ hidden.reshape(size, -1)).view_as(hidden)
        if mask is not None and padding == "copy":
            present = (matrix @ mask.to(matrix.dtype)).to(hidden.dtype)
            blended = blended / _expand(torch.where(present > 0, present, 1), hidden)
    return blended


def blend_dimensions(
    hidden: Tensor, rows: Tensor, dims: Tensor, mask: Tensor | None = None, padding: Padding = "zero"
) -> Tensor:
    """Blend each row with its partner, with a weight of its own in each dimension.

    Args:
        hidden: Rows, shape (B, L, H).
        rows: Each row itself and its partner, shape (B, 2).
        dims: Weight of the row itself in each dimension, shape (B, H) or (1, H); cast to the dtype of `hidden`.
        mask: As in `blend`.
        padding: As in `blend`.

    Returns:
        Blended rows, shape and dtype of `hidden`.
    """
    return _blend_pairs(hidden, rows[:, 1], dims.unsqueeze(1), mask, padding)


def _blend_pairs(hidden: Tensor, partner: Tensor, weight: Tensor, mask: Tensor | None, padding: Padding) -> Tensor:
    """Blend each row with its partner; the weight of the row itself is of a shape that broadcasts to `hidden`."""
    weight = weight.to(hidden.dtype)
    if mask is not None:
        hidden = hidden.masked_fill(~_expand(mask, hidden), 0)
        if padding == "copy":
            weight = torch.where(_expand(mask & mask[partner], hidden), weight, _expand(mask, hidden))
    # Not hidden[partner], whose gradient is summed up element by element.
    return torch.lerp(hidden.index_select(0, partner), hidden, weight)


def _expand(mask: Tensor, hidden: Tensor) -> Tensor:
    """Give a mask the trailing dimensions of size 1 that it lacks beside the hidden states."""
    return mask.view(*mask.shape, *[1] * (hidden.dim() - mask.dim()))


def union_mask(mask: Tensor, rows: Tensor, dim: int = 0) -> Tensor:
    """Unite the masks of the rows that each row is blended from.

    Works for every mask in which a larger value attends to more: 0/1 integers, booleans, and additive floats (0 for
    real, very negative for padding).

    Args:
        mask: Masks; a dimension of size 1 at `dim` means that all rows share one.
        rows: Which rows each is blended from, shape (B, K).
        dim: Dimension of the batch.

    Returns:
        United masks, shape and dtype of `mask`.
    """
    if mask.shape[dim] == 1:
        return mask
    if mask.dim() == 4 and not mask.is_floating_point() and mask.dtype != torch.bool:
        return _union_product(mask, rows)
    united = mask
    for others in rows.T[1:]:
        united = torch.maximum(united, mask.index_select(dim, others))
    return united


def _union_product(mask: Tensor, rows: Tensor) -> Tensor:
    """Unite masks (B, 1, L, L) that are products of a row's mask with itself, as DeBERTa's are.

    The maximum of two such products is not the product of the united masks: a token of the one row would not attend
    to one of the other where both have padding between.
    """
    own = mask.diagonal(dim1=-2, dim2=-1)
    united = union_mask(own.bool(), rows).to(mask.dtype)
    return united.unsqueeze(-1) * united.unsqueeze(-2)
