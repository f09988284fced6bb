"""Strategies that replace a span of a row by a span of its partner."""

import torch
from torch import Tensor

from textmix.mixing.batch import MixBatch
from textmix.mixing.plan import MixPlan
from textmix.mixing.sampling import draw_blend, stack_pair
from textmix.mixing.site_names import EMBEDDINGS, TOKENS
from textmix.mixing.spans import cut, extreme_start, place_span, random_starts, span_lengths, span_targets
from textmix.mixing.strategy import Strategy


class Cut(Strategy):
    """Replaces a span of a row; λ is the share of content tokens that the row keeps. Its mask does not change."""

    joins_masks = False
    needs_special_ids = True
    new_tokens = False

    @property
    def keep(self) -> float:
        """Weight of the row's own vector at a replaced position."""
        return 0.0

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The token ids."""
        return (TOKENS,)

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Choose the starts of the spans, as numbers of content tokens.

        Args:
            batch: The batch.
            partner: Partner of each row, shape (B,).
            lengths: Length of each row's span, shape (B,).
            generator: CPU generator that is advanced.

        Returns:
            Start in the row itself and start in its partner, each of shape (B,).
        """
        raise NotImplementedError

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw λ and partners, choose spans of about 1 - λ, and set λ to the share that is kept.

        A row without a partner is not cut: its own span would only shuffle it.
        """
        rows, weights = draw_blend(batch, 2, self.config, generator)
        lam, partner = weights[:, 0], rows[:, 1]
        counts = batch.content.sum(dim=1)
        lengths = span_lengths(lam, counts, counts[partner]).masked_fill(partner == rows[:, 0], 0)
        own, other = self.starts(batch, partner, lengths, generator)
        span = place_span(batch.content, partner, lengths, own, other, self.keep)
        kept = 1 - (1 - span.keep) * lengths / counts.clamp(min=1)
        return MixPlan(self, site, rows, stack_pair(kept.float()), span=span)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Replace the span of each row by its partner's."""
        assert plan.span is not None
        return cut(hidden, plan.rows[:, 1], plan.span)

    def token_targets(self, plan: MixPlan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Take the label of each token from the row that the token comes from."""
        assert plan.span is not None
        return span_targets(labels, plan.rows[:, 1], plan.span)


class CutMix(Cut):
    """Replaces random spans."""

    @property
    def keep(self) -> float:
        """The option `cutmix.keep`."""
        return self.config.cutmix.keep

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The token ids or the embeddings, depending on `cutmix.level`."""
        return (EMBEDDINGS if self.config.cutmix.level == "embeddings" else TOKENS,)

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw both starts uniformly."""
        counts = batch.content.sum(dim=1)
        return random_starts(lengths, counts, generator), random_starts(lengths, counts[partner], generator)


class SSMix(Cut):
    """Replaces the least salient span of a row by the most salient span of its partner."""

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Choose the spans with the smallest and the largest total saliency."""
        saliency, content = batch.saliency, batch.content
        own = extreme_start(saliency, content, lengths, most=False)
        return own, extreme_start(saliency[partner], content[partner], lengths, most=True)
