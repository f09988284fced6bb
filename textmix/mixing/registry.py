"""The table of strategies: name, summary, paper, and the class, which is imported at its first use. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from textmix.errors import ConfigError

if TYPE_CHECKING:
    from textmix.mixing.config import MixConfig
    from textmix.mixing.strategy import Strategy


@dataclass(frozen=True)
class StrategyEntry:
    """A registered strategy.

    Args:
        name: Its name in code, YAML and on the command line. The section of `MixConfig` with this name, if there is
            one, holds its own options.
        summary: One line for `textmix strategies`.
        paper: The publication that introduced it.
        load: Returns its class.
    """

    name: str
    summary: str
    paper: str
    load: Callable[[], type[Strategy]]


STRATEGIES: dict[str, StrategyEntry] = {}


def register(name: str, summary: str, paper: str = "") -> Callable[[type[Strategy]], type[Strategy]]:
    """Register a strategy: a decorator for its class.

    Args:
        name: Its name; must not be registered yet.
        summary: One line for `textmix strategies`.
        paper: The publication that introduced it.

    Raises:
        ConfigError: If the name is taken.
    """

    def add(strategy: type[Strategy]) -> type[Strategy]:
        _add(StrategyEntry(name, summary, paper, lambda: strategy))
        return strategy

    return add


def build_strategy(config: MixConfig) -> Strategy:
    """Build the strategy that a configuration names."""
    return STRATEGIES[config.strategy].load()(config)


def _add(entry: StrategyEntry) -> None:
    if entry.name in STRATEGIES:
        raise ConfigError(f"a strategy '{entry.name}' is already registered; choose another name")
    STRATEGIES[entry.name] = entry


def _builtin(name: str, path: str, summary: str, paper: str = "") -> None:
    module, _, attribute = path.rpartition(".")

    def load() -> type[Strategy]:
        strategy: type[Strategy] = getattr(import_module(f"textmix.mixing.strategies.{module}"), attribute)
        return strategy

    _add(StrategyEntry(name, summary, paper, load))


_builtin("none", "blending.Unmixed", "no mixing")
_builtin("word", "blending.Word", "blend the token embeddings (wordMixup)", "Guo et al. 2019")
_builtin("sentence", "blending.Sentence", "blend the pooled sentence vectors (senMixup)", "Guo et al. 2019")
_builtin(
    "manifold",
    "blending.Manifold",
    "blend at a site drawn for each step: the embeddings or the output of a block",
    "Verma et al. 2019",
)
_builtin(
    "nonlinear",
    "blending.Nonlinear",
    "blend the token embeddings with a λ for each dimension; the target takes their mean",
    "Guo 2020",
)
_builtin(
    "multi",
    "blending.Multi",
    "blend the token embeddings of several rows with Dirichlet weights; two rows are mixup",
    "mixup with K partners, Zhang et al. 2018, section 2",
)
_builtin(
    "batch",
    "blending.Batch",
    "blend every sentence vector with the whole batch, weights by softmax",
    "BatchMixup, Yin et al. 2021",
)
_builtin("any", "choosing.AnyOf", "draw one of several strategies for each step (mix.any.choices)")
_builtin(
    "cutmix",
    "cutting.CutMix",
    "replace a random span by a span of the partner; λ is the share of tokens kept",
    "CutMix, Yun et al. 2019, on text",
)
_builtin(
    "ssmix",
    "cutting.SSMix",
    "replace the least salient span by the partner's most salient one; costs another forward and backward pass",
    "SSMix, Yoon et al. 2021",
)
