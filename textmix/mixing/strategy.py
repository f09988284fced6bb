"""Strategy, the base class of strategies: its sites, how it draws a plan, and how it applies the plan."""

from typing import ClassVar

import torch
from torch import Tensor

from textmix.mixing.batch import MixBatch
from textmix.mixing.config import MixConfig
from textmix.mixing.functional import blend
from textmix.mixing.plan import MixPlan
from textmix.mixing.sampling import draw_blend


class Strategy:
    """A way of mixing.

    To add one, derive a class, override `sites` and `draw`, and `apply` if it is not a weighted sum of rows, and
    decorate it with `@register(name, summary)`.

    Args:
        config: How to mix.

    Attributes:
        joins_masks: Whether, from the site on, the mask of a row is the union of the masks of its rows.
        needs_special_ids: Whether it needs the ids of special tokens.
        new_tokens: Whether, at the site `tokens`, it can add a token that no row of the batch has.
        members: The strategies, with their probabilities, of which one is drawn for each batch: the strategy itself,
            except for `any`.
    """

    joins_masks: ClassVar[bool] = True
    needs_special_ids: ClassVar[bool] = False
    new_tokens: ClassVar[bool] = True

    def __init__(self, config: MixConfig) -> None:
        self.config = config
        self.members: list[tuple[Strategy, float]] = [(self, 1.0)]

    @property
    def name(self) -> str:
        """Its registered name."""
        return self.config.strategy

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """Return the sites in a model with `num_blocks` blocks; one of them is drawn for each step."""
        raise NotImplementedError

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw a plan for a batch of at least two rows.

        Args:
            batch: The batch.
            site: The site where it will be mixed.
            generator: CPU generator that is advanced; the only source of randomness.
        """
        return MixPlan(self, site, *draw_blend(batch, 2, self.config, generator))

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mix a batch at the site of its plan.

        Args:
            plan: The plan.
            hidden: The batch at the site: token ids (B, L), hidden states (B, L, H), or sentence vectors (B, H).
            mask: Real positions of each row, shape (B, L), bool; None where every position is real.
        """
        return blend(hidden, plan.rows, plan.weights, mask, self.config.padding)

    def token_targets(self, plan: MixPlan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels that each token is scored against, and their weights.

        Args:
            plan: The plan.
            labels: Labels before mixing, shape (B, L).

        Returns:
            Labels (B, K, L) and their weights (B, K, L) or (B, K, 1).
        """
        return labels[plan.rows], plan.targets.unsqueeze(-1)
