"""The strategy `any`: one of several strategies is drawn for each step."""

from dataclasses import replace

from textmix.mixing.config import SECTIONS, MixConfig
from textmix.mixing.registry import build_strategy
from textmix.mixing.strategy import Strategy


class AnyOf(Strategy):
    """Several strategies with probabilities; the mixer draws one of `members` for each batch."""

    def __init__(self, config: MixConfig) -> None:
        super().__init__(config)
        choices = config.any.choices or {}
        total = sum(choices.values())
        self.members = [(build_strategy(_only(config, name)), chance / total) for name, chance in choices.items()]

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        """The sites of its members."""
        return tuple(dict.fromkeys(site for member, _ in self.members for site in member.sites(num_blocks)))


def _only(config: MixConfig, name: str) -> MixConfig:
    """Return the configuration of one member, without the sections of the other strategies."""
    others = {section: kind() for section, kind in SECTIONS.items() if section != name}
    return replace(config, strategy=name, **others)
