"""Strategies that replace a span of a row by a span of its partner. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textmix.mixing.strategies.base import EMBEDDINGS, TOKENS, Strategy, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from textmix.mixing.batch import MixBatch
    from textmix.mixing.plan import MixPlan


class Cut(Strategy):
    """A span of a row is replaced; λ is the share of its content tokens that it keeps. Its mask stays its own."""

    joins_masks = False
    needs_special_ids = True
    new_tokens = False

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The token ids."""
        return (TOKENS,)

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Choose where the spans start, as numbers of content tokens.

        Args:
            batch: What is known of the batch.
            partner: Partner of each row, shape (B,).
            lengths: Length of each row's span, shape (B,).
            generator: CPU generator that is advanced.

        Returns:
            Start in the row itself and in its partner, each of shape (B,).
        """
        raise NotImplementedError

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw λ and partners, cut spans of about 1 - λ, and take as λ what was really kept.

        A row that found no partner is not cut: a span of its own would only shuffle it.
        """
        from textmix.mixing import sampling, spans
        from textmix.mixing.plan import MixPlan

        lam = sampling.draw_weights(batch, 2, self.config, generator)[:, 0]
        rows = sampling.draw_rows(batch, 2, self.config, generator)
        partner = rows[:, 1]
        counts = batch.content.sum(dim=1)
        lengths = spans.span_lengths(lam, counts, counts[partner]).masked_fill(partner == rows[:, 0], 0)
        own, other = self.starts(batch, partner, lengths, generator)
        span = spans.place_span(batch.content, partner, lengths, own, other, self.config.keep)
        kept = 1 - (1 - span.keep) * lengths / counts.clamp(min=1)
        return MixPlan(self, site, rows, sampling.stack_pair(kept.float()), span=span)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Put the partner's span into each row."""
        from textmix.mixing.spans import cut

        assert plan.span is not None
        return cut(hidden, plan.rows[:, 1], plan.span)

    def token_targets(self, plan: MixPlan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Take the label of each token from where the token came from."""
        from textmix.mixing.spans import span_targets

        assert plan.span is not None
        return span_targets(labels, plan.rows[:, 1], plan.span)


@register
class CutMix(Cut):
    """The spans lie anywhere."""

    name = "cutmix"
    summary = "replace a random span by a span of the partner; λ is the share of tokens kept"
    paper = "CutMix, Yun et al. 2019, on text"
    options = ("level", "keep")

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The token ids or the embeddings, as `level` says."""
        return (EMBEDDINGS if self.config.level == "embeddings" else TOKENS,)

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw both uniformly."""
        from textmix.mixing.spans import random_starts

        counts = batch.content.sum(dim=1)
        return random_starts(lengths, counts, generator), random_starts(lengths, counts[partner], generator)


@register
class SSMix(Cut):
    """The least salient span of a row gives way to the most salient one of its partner."""

    name = "ssmix"
    summary = "replace the least salient span by the partner's most salient one; costs another forward and backward"
    paper = "SSMix, Yoon et al. 2021"

    def starts(
        self, batch: MixBatch, partner: Tensor, lengths: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Take the extremes of the summed saliency."""
        from textmix.mixing.spans import extreme_start

        saliency, content = batch.saliency, batch.content
        own = extreme_start(saliency, content, lengths, most=False)
        return own, extreme_start(saliency[partner], content[partner], lengths, most=True)
