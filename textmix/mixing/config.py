"""MixConfig: every choice about mixing, checked together. Imports no torch, so that `--help` stays fast."""

from dataclasses import dataclass
from typing import Literal

from textmix.errors import ConfigError, did_you_mean
from textmix.mixing.strategies import STRATEGIES


@dataclass(frozen=True)
class MixConfig:
    """How to mix.

    Args:
        strategy: Where rows are blended: `none`, `word` (embeddings), `sentence` (sentence vector) or `manifold` (a
            layer drawn anew each step); `textmix strategies` lists them. Default: manifold (Verma et al. 2019).
        alpha: λ is drawn from Beta(alpha, alpha). Default: 0.4, the upper end of the range [0.1, 0.4] that Zhang et
            al. 2018 recommend on ImageNet.
        lam: How λ is drawn: `beta`, `uniform` on [0, 1], or `fixed` at `lam_value`. Default: beta (Zhang et al. 2018).
        lam_value: The λ of `lam: fixed`. Default: 0.5, the value of Sun et al. 2020 (Mixup-Transformer).
        fold: Replace λ by max(λ, 1 - λ), so that a row always outweighs its partner (Berthelot et al. 2019, MixMatch).
            Default: false, as in Zhang et al. 2018. Alphas with and without folding are not comparable.
        per_sample: Draw one λ for each row instead of one for the batch. Default: false, as in the code of Zhang et
            al. 2018.
        probability: Share of training batches that are mixed; the others are trained on as they are. Default: 1.
        layers: Blocks after which `manifold` may blend, counted from 1, beside the embeddings; null means every
            block, as Verma et al. 2019 draw uniformly from all eligible layers.
        padding: At a position where only one of the two rows has a token: `zero` blends it with a zero vector (Guo et
            al. 2019, who pad sentences with zero vectors), `copy` takes it unscaled. Default: zero.
    """

    strategy: str = "manifold"
    alpha: float = 0.4
    lam: Literal["beta", "uniform", "fixed"] = "beta"
    lam_value: float = 0.5
    fold: bool = False
    per_sample: bool = False
    probability: float = 1.0
    layers: list[int] | None = None
    padding: Literal["zero", "copy"] = "zero"

    def __post_init__(self) -> None:
        """Check every field and report all that is wrong at once.

        Raises:
            ConfigError: If a value is out of its range or an option has no effect beside the others.
        """
        wrong: list[str] = []
        if self.strategy not in STRATEGIES:
            wrong.append(f"unknown mix.strategy '{self.strategy}'{did_you_mean(self.strategy, STRATEGIES)}")
        if self.lam not in ("beta", "uniform", "fixed"):
            wrong.append(f"mix.lam must be beta, uniform or fixed, not '{self.lam}'")
        if self.padding not in ("zero", "copy"):
            wrong.append(f"mix.padding must be zero or copy, not '{self.padding}'")
        if not 0 < self.alpha < float("inf"):
            wrong.append(f"mix.alpha must be a number above 0, not {self.alpha}")
        if not 0 <= self.lam_value <= 1:
            wrong.append(f"mix.lam_value must lie in [0, 1], not {self.lam_value}")
        if not 0 <= self.probability <= 1:
            wrong.append(f"mix.probability must lie in [0, 1], not {self.probability}")
        if self.layers is not None:
            if not self.layers or min(self.layers) < 1 or len(set(self.layers)) < len(self.layers):
                wrong.append(f"mix.layers must be distinct block numbers from 1 on, not {self.layers}")
            if self.strategy in STRATEGIES and not STRATEGIES[self.strategy].uses_layers:
                wrong.append(f"mix.layers has no effect with strategy '{self.strategy}'; it belongs to manifold")
        if wrong:
            raise ConfigError("; ".join(wrong))
