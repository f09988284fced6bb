"""Strategies that replace a row by a weighted sum of rows. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textmix.errors import ConfigError
from textmix.mixing.strategies.base import EMBEDDINGS, POOLED, Strategy, layer, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from textmix.mixing.batch import MixBatch
    from textmix.mixing.plan import MixPlan


@register
class Unmixed(Strategy):
    """Trains on the rows as they are."""

    name = "none"
    summary = "no mixing"

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """None."""
        return ()


@register
class Word(Strategy):
    """Blends the embeddings of two rows."""

    name = "word"
    summary = "blend the token embeddings (wordMixup)"
    paper = "Guo et al. 2019"

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The embeddings."""
        return (EMBEDDINGS,)


@register
class Sentence(Strategy):
    """Blends the sentence vectors of two rows."""

    name = "sentence"
    summary = "blend the pooled sentence vectors (senMixup)"
    paper = "Guo et al. 2019"

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The input of the last linear map."""
        return (POOLED,)


@register
class Manifold(Strategy):
    """Blends two rows at the embeddings or behind a block."""

    name = "manifold"
    summary = "blend at a site drawn anew each step: the embeddings or the output of a block"
    paper = "Verma et al. 2019"
    options = ("layers",)

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The embeddings and the chosen blocks."""
        chosen = range(1, num_blocks + 1) if self.config.layers is None else self.config.layers
        return (EMBEDDINGS, *(layer(number) for number in chosen))


@register
class Nonlinear(Word):
    """Blends two rows with a λ of its own for each dimension of the embeddings."""

    name = "nonlinear"
    summary = "blend the token embeddings with a λ for each dimension; the target takes their mean"
    paper = "Guo 2020"

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw one λ a dimension, shape (B, H) or (1, H).

        Raises:
            ConfigError: If the width of the hidden states is not known.
        """
        from textmix.mixing import sampling
        from textmix.mixing.plan import MixPlan

        if batch.width is None:
            raise ConfigError("strategy 'nonlinear' must know the width of the hidden states: set config.hidden_size")
        count = batch.size if self.config.per_sample else 1
        dims = sampling.draw_lam(count * batch.width, self.config, batch.alpha, generator)
        dims = dims.view(count, batch.width).to(batch.device, non_blocking=True)
        lam = dims.mean(dim=1).expand(batch.size)
        rows = sampling.draw_rows(batch, 2, self.config, generator)
        return MixPlan(self, site, rows, sampling.stack_pair(lam), dims=dims)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Blend each dimension with its own λ."""
        from textmix.mixing.functional import blend
        from textmix.mixing.sampling import stack_pair

        assert plan.dims is not None
        return blend(hidden, plan.rows, stack_pair(plan.dims), mask, self.config.padding)


@register
class Multi(Word):
    """Blends the embeddings of several rows."""

    name = "multi"
    summary = "blend the token embeddings of several rows with Dirichlet weights; two rows are mixup"
    paper = "mixup with K partners, Zhang et al. 2018, section 2"
    options = ("rows",)

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw Dirichlet weights and as many distinct rows."""
        from textmix.mixing import sampling
        from textmix.mixing.plan import MixPlan

        count = min(self.config.rows, batch.size)
        weights = sampling.draw_weights(batch, count, self.config, generator)
        return MixPlan(self, site, sampling.draw_rows(batch, count, self.config, generator), weights)


@register
class Batch(Sentence):
    """Replaces every sentence vector by a blend of the whole batch."""

    name = "batch"
    summary = "blend every sentence vector with the whole batch, weights by softmax"
    paper = "BatchMixup, Yin et al. 2021"
    options = ("temperature",)

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw softmax weights of each row over all rows, shape (B, B)."""
        from textmix.mixing import sampling
        from textmix.mixing.plan import MixPlan

        weights = sampling.draw_softmax(batch.size, self.config.temperature, generator)
        return MixPlan(self, site, sampling.all_rows(batch), weights.to(batch.device, non_blocking=True))
