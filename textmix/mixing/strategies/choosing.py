"""`any`: one of several strategies is drawn each step. Imports no torch."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from textmix.mixing.strategies.base import STRATEGIES, Strategy, build_strategy, register

if TYPE_CHECKING:
    from textmix.mixing.config import MixConfig


@register
class AnyOf(Strategy):
    """A list of strategies with probabilities; the mixer draws one of `members` for each batch."""

    name = "any"
    summary = "draw one of several strategies each step (mix.choices)"
    options = ("choices",)

    def __init__(self, config: MixConfig) -> None:
        super().__init__(config)
        choices = config.choices or {}
        total = sum(choices.values())
        self.members = [(build_strategy(_only(config, name)), weight / total) for name, weight in choices.items()]

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """Those of its members."""
        return tuple(dict.fromkeys(site for member, _ in self.members for site in member.sites(num_blocks)))


def _only(config: MixConfig, name: str) -> MixConfig:
    """Leave out the options that mean nothing to one of the members."""
    foreign = {option for other in STRATEGIES.values() for option in other.options} - set(STRATEGIES[name].options)
    defaults: dict[str, Any] = {field.name: field.default for field in fields(config) if field.name in foreign}
    return replace(config, strategy=name, **defaults)
