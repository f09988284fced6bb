"""MixPlan: the frozen outcome of one draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from textmix.mixing.strategy import Strategy


@dataclass(frozen=True, eq=False)
class Span:
    """The positions of each row that come from its partner.

    Args:
        replaced: Positions that are replaced, shape (B, L), bool.
        source: Position in the partner that replaces each of them, shape (B, L), int64; 0 elsewhere.
        keep: Weight of the row's own vector at a replaced position.
    """

    replaced: Tensor
    source: Tensor
    keep: float = 0.0


@dataclass(frozen=True, eq=False)
class MixPlan:
    """The outcome of one draw, for a batch of B rows, each blended from K rows.

    Args:
        strategy: The strategy that drew it and applies it.
        site: Where the rows are mixed: `tokens`, `embeddings`, `layer:k` or `pooled`.
        rows: Rows that each row is blended from, shape (B, K), int64; first the row itself.
        weights: Their weights, shape (B, K), float32; each row sums to 1.
        target_weights: Weights of their targets, when these differ, shape (B, K); None means `weights`.
        dims: Weight of the row itself in each dimension, shape (B, H) or (1, H); None unless the strategy has one.
        span: Positions that come from the partner; None unless the strategy cuts.
        soft_labels: Soft labels of the rows before mixing and doubling, shape (B, C), which the loss takes for the
            given classes; None unless the targets are `trust`.
        mixed: For a doubled batch (`regmix`), whose first half stays unmixed, the plan of its second half; None for an
            ordinary batch.
    """

    strategy: Strategy
    site: str
    rows: Tensor
    weights: Tensor
    target_weights: Tensor | None = None
    dims: Tensor | None = None
    span: Span | None = None
    soft_labels: Tensor | None = None
    mixed: MixPlan | None = None

    @property
    def clean(self) -> int:
        """Number of rows at the front of a doubled batch that stay unmixed; 0 for an ordinary batch."""
        return 0 if self.mixed is None else self.mixed.rows.shape[0]

    @property
    def lam(self) -> Tensor:
        """λ, the weight of each row itself, including where it replaces a missing partner, shape (B,)."""
        return (self.weights * (self.rows == self.rows[:, :1])).sum(dim=1)

    @property
    def partner(self) -> Tensor:
        """The row that each row is blended with, shape (B,); (B, K - 1) when there are several."""
        return self.rows[:, 1] if self.rows.shape[1] == 2 else self.rows[:, 1:]

    @property
    def targets(self) -> Tensor:
        """Weights of the targets, shape (B, K); each row sums to 1."""
        return self.weights if self.target_weights is None else self.target_weights

    def __repr__(self) -> str:
        lam = [round(value, 4) for value in self.lam.tolist()]
        return f"MixPlan({self.strategy.name} at {self.site}, lam={lam}, partner={self.partner.tolist()})"


def with_clean_rows(plan: MixPlan) -> MixPlan:
    """Extend a plan of B rows to a batch of twice as many, of which the first B stay unmixed.

    Row B + i of the doubled batch is mixed as row i of the plan.
    """
    size = plan.rows.shape[0]
    own = torch.arange(size, device=plan.rows.device).unsqueeze(1).expand_as(plan.rows)
    alone = torch.zeros_like(plan.weights)
    alone[:, 0] = 1
    dims, span = plan.dims, plan.span
    if dims is not None:
        dims = torch.cat([torch.ones_like(dims).expand(size, -1), dims.expand(size, -1)])
    if span is not None:
        nothing = torch.zeros_like(span.replaced)
        span = Span(
            torch.cat([nothing, span.replaced]), torch.cat([torch.zeros_like(span.source), span.source]), span.keep
        )
    return replace(
        plan,
        rows=torch.cat([own, plan.rows + size]),
        weights=torch.cat([alone, plan.weights]),
        target_weights=torch.cat([alone, plan.targets]),
        dims=dims,
        span=span,
        mixed=plan,
    )
