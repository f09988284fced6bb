"""MixPlan: the frozen outcome of one draw."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class MixPlan:
    """What was drawn for one batch of B rows.

    Args:
        lam: Weight of each row itself, shape (B,), float32, in [0, 1]; its partner weighs `1 - lam`.
        partner: Row that each row is blended with, shape (B,), int64; a permutation without fixed points.
        site: Where the rows are blended: `embeddings`, `layer:k` or `pooled`.
    """

    lam: torch.Tensor
    partner: torch.Tensor
    site: str

    def to(self, device: torch.device) -> "MixPlan":
        """Return the plan with its tensors on `device`."""
        return MixPlan(self.lam.to(device, non_blocking=True), self.partner.to(device, non_blocking=True), self.site)
