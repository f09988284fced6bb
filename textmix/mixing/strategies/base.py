"""What a strategy is, and the table of all of them. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textmix.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from textmix.mixing.batch import MixBatch
    from textmix.mixing.config import MixConfig
    from textmix.mixing.plan import MixPlan

TOKENS = "tokens"
EMBEDDINGS = "embeddings"
POOLED = "pooled"


def layer(number: int) -> str:
    """Name the site behind block `number`, counted from 1."""
    return f"layer:{number}"


class Strategy:
    """A way of mixing: at which sites, what is drawn for a batch, how it is applied.

    To add one, derive a class, give it a `name`, a `summary` and `sites`, override `draw`, and `apply` if it is not a
    weighted sum of rows, and put `@register` on it.

    Args:
        config: How to mix.

    Attributes:
        name: What users call it, in code, YAML and on the command line.
        summary: One line for `textmix strategies`.
        paper: Where it comes from.
        options: Fields of `MixConfig` that mean something only to it and a few others.
        joins_masks: Whether, from the site on, a row attends wherever one of its rows has a token.
        needs_special_ids: Whether it must know the special tokens.
        new_tokens: Whether, at the site `tokens`, it may put in a token that no row of the batch has.
        members: The strategies of which one is drawn for each batch, with their chances: itself, but for `any`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str] = ""
    options: ClassVar[tuple[str, ...]] = ()
    joins_masks: ClassVar[bool] = True
    needs_special_ids: ClassVar[bool] = False
    new_tokens: ClassVar[bool] = True

    def __init__(self, config: MixConfig) -> None:
        self.config = config
        self.members: list[tuple[Strategy, float]] = [(self, 1.0)]

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """List the sites, of which one is drawn each step, for a model of so many blocks."""
        raise NotImplementedError

    def draw(self, batch: MixBatch, site: str, generator: torch.Generator) -> MixPlan:
        """Draw a plan for a batch of at least two rows.

        Args:
            batch: What is known of it.
            site: Where it will be mixed.
            generator: CPU generator that is advanced; the only source of chance.
        """
        from textmix.mixing import sampling
        from textmix.mixing.plan import MixPlan

        lam = sampling.draw_weights(batch, 2, self.config, generator)
        return MixPlan(self, site, sampling.draw_rows(batch, 2, self.config, generator), lam)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mix a batch at the site of its plan.

        Args:
            plan: What was drawn.
            hidden: The batch there: token ids (B, L), hidden states (B, L, H), or sentence vectors (B, H).
            mask: Real positions of each row, shape (B, L), bool; None where every position is real.
        """
        from textmix.mixing.functional import blend

        return blend(hidden, plan.rows, plan.weights, mask, self.config.padding)

    def token_targets(self, plan: MixPlan, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Lay out the labels of tokens beside their weights.

        Args:
            plan: What was drawn.
            labels: Labels before mixing, shape (B, L).

        Returns:
            Labels (B, K, L) and their weights (B, K, L) or (B, K, 1).
        """
        return labels[plan.rows], plan.targets.unsqueeze(-1)


STRATEGIES: dict[str, type[Strategy]] = {}


def register(strategy: type[Strategy]) -> type[Strategy]:
    """Put a strategy into the table, under its name.

    Raises:
        ConfigError: If the name is taken.
    """
    if strategy.name in STRATEGIES:
        raise ConfigError(f"a strategy '{strategy.name}' is registered already; choose another name")
    STRATEGIES[strategy.name] = strategy
    return strategy


def build_strategy(config: Any) -> Strategy:
    """Make the strategy that a `MixConfig` names."""
    return STRATEGIES[config.strategy](config)
