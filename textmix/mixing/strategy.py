"""What a strategy is: at which sites it mixes, what it draws for a batch, and how it applies that."""

from typing import ClassVar

import torch
from torch import Tensor

from textmix.mixing.batch import MixBatch
from textmix.mixing.config import MixConfig
from textmix.mixing.functional import blend
from textmix.mixing.plan import MixPlan
from textmix.mixing.sampling import draw_rows, draw_weights


class Strategy:
    """A way of mixing.

    To add one, derive a class, override `sites` and `draw`, and `apply` if it is not a weighted sum of rows, and
    decorate it with `@register(name, summary)`.

    Args:
        config: How to mix.

    Attributes:
        joins_masks: Whether, from the site on, a row attends wherever one of its rows has a token.
        needs_special_ids: Whether it must know the special tokens.
        new_tokens: Whether, at the site `tokens`, it may put in a token that no row of the batch has.
        members: The strategies of which one is drawn for each batch, with their probabilities: itself, except for
            `any`.
    """

    joins_masks: ClassVar[bool] = True
    needs_special_ids: ClassVar[bool] = False
    new_tokens: ClassVar[bool] = True

    def __init__(self, config: MixConfig) -> None:
        self.config = config
        self.members: list[tuple[Strategy, float]] = [(self, 1.0)]

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return self.config.strategy

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """List the sites, one of which is drawn for each step, for a model with so many blocks."""
        raise NotImplementedError

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw a plan for a batch of at least two rows.

        Args:
            batch: The batch, as far as it is known.
            site: Where it will be mixed.
            generator: CPU generator that is advanced; the only source of randomness.
        """
        weights = draw_weights(batch, 2, self.config, generator)
        return MixPlan(self, site, draw_rows(batch, 2, self.config, generator), weights)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mix a batch at the site of its plan.

        Args:
            plan: What was drawn.
            hidden: The batch at the site: token ids (B, L), hidden states (B, L, H), or sentence vectors (B, H).
            mask: Real positions of each row, shape (B, L), bool; None where every position is real.
        """
        return blend(hidden, plan.rows, plan.weights, mask, self.config.padding)

    def token_targets(self, plan: MixPlan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels that each token is scored against, and their weights.

        Args:
            plan: What was drawn.
            labels: Labels before mixing, shape (B, L).

        Returns:
            Labels (B, K, L) and their weights (B, K, L) or (B, K, 1).
        """
        return labels[plan.rows], plan.targets.unsqueeze(-1)
