"""Strategies that replace a row by a weighted sum of rows."""

import torch
from torch import Tensor

from textmix.errors import ConfigError
from textmix.mixing.batch import MixBatch
from textmix.mixing.functional import blend
from textmix.mixing.plan import MixPlan
from textmix.mixing.sampling import all_rows, draw_blend, draw_lam, draw_rows, draw_softmax, stack_pair, warp_weights
from textmix.mixing.site_names import EMBEDDINGS, POOLED, layer
from textmix.mixing.strategy import Strategy


class Unmixed(Strategy):
    """Trains on the rows unchanged."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """None."""
        return ()


class Word(Strategy):
    """Blends the embeddings of two rows."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The embeddings."""
        return (EMBEDDINGS,)


class Sentence(Strategy):
    """Blends the sentence vectors of two rows."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The input of the last linear map."""
        return (POOLED,)


class Manifold(Strategy):
    """Blends two rows at the embeddings or at the output of a block."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The embeddings and the chosen blocks."""
        chosen = self.config.manifold.layers
        return (EMBEDDINGS, *map(layer, range(1, num_blocks + 1) if chosen is None else chosen))


class Nonlinear(Word):
    """Blends two rows with a separate λ for each dimension of the embeddings."""

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw one λ for each dimension, shape (B, H) or (1, H).

        Raises:
            ConfigError: If the size of the hidden states is not known.
        """
        size = batch.hidden_size
        if size is None:
            raise ConfigError("strategy 'nonlinear' must know the size of the hidden states: set config.hidden_size")
        count = batch.size if self.config.per_sample else 1
        dims = draw_lam(count * size, self.config, batch.alpha, generator)
        dims = dims.view(count, size).to(batch.device, non_blocking=True)
        rows = draw_rows(batch, 2, self.config, generator)
        dims = warp_weights(batch, rows, stack_pair(dims), self.config)[:, 0]
        lam = dims.mean(dim=1).expand(batch.size)
        return MixPlan(self, site, rows, stack_pair(lam), dims=dims)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Blend each dimension with its own λ."""
        assert plan.dims is not None
        return blend(hidden, plan.rows, stack_pair(plan.dims), mask, self.config.padding)


class Multi(Word):
    """Blends the embeddings of several rows."""

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw Dirichlet weights and the same number of distinct rows."""
        count = min(self.config.multi.rows, batch.size)
        return MixPlan(self, site, *draw_blend(batch, count, self.config, generator))


class Batch(Sentence):
    """Replaces every sentence vector by a blend of the whole batch."""

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw softmax weights of each row over all rows, shape (B, B)."""
        weights = draw_softmax(batch.size, self.config.batch.temperature, generator)
        return MixPlan(self, site, all_rows(batch), weights.to(batch.device, non_blocking=True))
