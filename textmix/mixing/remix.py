"""Targets of unbalanced classes, by the rule of Remix."""

import torch
from torch import Tensor

from textmix.mixing.losses import IGNORED


def remix(weights: Tensor, rows: Tensor, labels: Tensor, counts: Tensor, kappa: float, tau: float) -> Tensor:
    """Weigh targets by the rule of Remix (Chou et al. 2020, equation 5) for unbalanced classes.

    Row i has n_i training rows in its class, its partner n_j: the partner's target takes all when n_i / n_j ≥ κ and
    λ < τ; the row's own when n_i / n_j ≤ 1 / κ and 1 - λ < τ; else they share it as λ says. With several partners the
    weight of the row itself is divided among them in proportion to theirs, and the rule is applied to each pair.

    Args:
        weights: Weights of the blended rows, shape (B, K), each row summing to 1; first the row itself.
        rows: Which rows they are, shape (B, K).
        labels: Integer class of each row, shape (B,); -100 for an ignored row.
        counts: Training rows of each class, shape (C,).
        kappa: κ.
        tau: τ.

    Returns:
        Weights of the targets, shape (B, K), each row summing to 1.
    """
    classes = labels[rows]
    sizes = counts.to(weights.dtype)[classes.clamp(min=0)]
    ratio = sizes[:, :1] / sizes[:, 1:].clamp(min=1)
    # If one of the two is ignored there is no ratio: NaN fails both comparisons, and λ stays.
    ratio = ratio.masked_fill((classes[:, :1] == IGNORED) | (classes[:, 1:] == IGNORED), torch.nan)
    lam, others = weights[:, :1], weights[:, 1:]
    own = lam.expand_as(others)
    own = torch.where((ratio <= 1 / kappa) & (1 - lam < tau), 1.0, own)
    own = torch.where((ratio >= kappa) & (lam < tau), 0.0, own)
    total, tiny = others.sum(dim=1, keepdim=True), torch.finfo(weights.dtype).tiny
    # Partners whose weights are nearly 0 have no proportion: they share equally.
    share = torch.where(total >= tiny, others / total.clamp(min=tiny), 1 / others.shape[1])
    return torch.cat([(share * own).sum(dim=1, keepdim=True), share * (1 - own)], dim=1)
