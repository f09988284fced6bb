"""Pool the hidden states of each row into one vector; padding is ignored."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

PoolingName = Literal["cls", "mean", "max", "attention", "last"]
POOLINGS: tuple[PoolingName, ...] = get_args(PoolingName)


class Pooling(nn.Module):
    """Pool hidden states over the real positions of each row.

    Args:
        name: `cls` (first real position), `last` (last real position, for causal decoders), `mean`, `max`, or
            `attention` (a learned weight for each position).
        hidden_size: H, the size of the hidden states.

    Shapes:
        hidden (B, L, H) and mask (B, L), nonzero at real positions, to (B, H). A row without real positions gives
        zeros.
    """

    def __init__(self, name: PoolingName, hidden_size: int) -> None:
        super().__init__()
        self.name = name
        self.score = nn.Linear(hidden_size, 1) if name == "attention" else None

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool `hidden` (B, L, H) under `attention_mask` (B, L) into (B, H)."""
        real = attention_mask.bool()
        if self.score is not None:
            scores = self.score(hidden).squeeze(-1).float().masked_fill(~real, torch.finfo(torch.float32).min)
            weights = scores.softmax(dim=-1).masked_fill(~real, 0)
            return torch.einsum("bl,blh->bh", weights.to(hidden.dtype), hidden)
        if self.name == "mean":
            return masked_mean(hidden, real)
        if self.name == "max":
            return masked_max(hidden, real)
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        if self.name == "cls":
            index = torch.where(real, positions, hidden.shape[1]).amin(dim=1).clamp(max=hidden.shape[1] - 1)
        else:
            index = torch.where(real, positions, 0).amax(dim=1)
        chosen = hidden[torch.arange(hidden.shape[0], device=hidden.device), index]
        return chosen.masked_fill(~real.any(dim=1, keepdim=True), 0)


def masked_mean(hidden: Tensor, real: Tensor) -> Tensor:
    """Average over real positions.

    Args:
        hidden: Shape (B, L, H).
        real: Shape (B, L), bool.

    Returns:
        Shape (B, H); zeros for a row without real positions.
    """
    count = real.sum(dim=1, keepdim=True).clamp(min=1)
    return hidden.masked_fill(~real.unsqueeze(-1), 0).sum(dim=1) / count.to(hidden.dtype)


def masked_max(hidden: Tensor, real: Tensor) -> Tensor:
    """Take the maximum over real positions.

    Args:
        hidden: Shape (B, L, H).
        real: Shape (B, L), bool.

    Returns:
        Shape (B, H); zeros for a row without real positions.
    """
    lowest = torch.finfo(hidden.dtype).min
    pooled = hidden.masked_fill(~real.unsqueeze(-1), lowest).amax(dim=1)
    return pooled.masked_fill(~real.any(dim=1, keepdim=True), 0)
