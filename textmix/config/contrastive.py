"""ContrastiveConfig: the contrastive warm-up before training. Imports no torch, so that `--help` stays fast."""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from textmix.errors import ConfigError

_PASSES, _FEWEST, _MOST = 10, 50, 150
# Vectors of each row in a step: two dropout masks (Gao et al. 2021, SimCSE), so that a class with one row has a pair.
VIEWS = 2


@dataclass(frozen=True)
class ContrastiveConfig:
    """A contrastive warm-up of the encoder, for few labels: before the other training, on the labelled rows.

    The supervised contrastive loss (Khosla et al. 2020) brings the sentence vectors of a class together; then a
    logistic regression on these vectors becomes the head. Rows are mixed as the section `mix` says.

    Args:
        steps: Number of optimizer steps; 0 means no warm-up. `auto` means as many as make 10 passes over the labelled
            rows, at least 50 and at most 150 (docs/few_labels.md).
        batch_size: Sentence vectors of a step: each row has two, with different dropout masks.
        learning_rate: Highest learning rate.
        temperature: τ of the loss. Default: 0.1 (Khosla et al. 2020).
        warmup_ratio: Share of the steps over which the learning rate rises from zero.
        interpolation: Share of the trained weights in their average with the weights before, which is kept: 1 keeps the
            trained weights, 0.5 the mean (Wortsman et al. 2022).
        cross_fit: Number of folds of the labelled rows: a model is also trained without each of them, and predicts it.
            That estimates how good the model is, with an interval, in metrics.json, and fits a temperature; it takes
            this many times as long. 0 means neither.
        head_strength: Inverse strength of the penalty of the logistic regression, `C` of scikit-learn.
    """

    steps: int | Literal["auto"] = 0
    batch_size: int = 48
    learning_rate: float = 1e-4
    temperature: float = 0.1
    warmup_ratio: float = 0.1
    interpolation: float = 1.0
    head_strength: float = 10.0
    cross_fit: int = 0

    def __post_init__(self) -> None:
        """Check all fields and report all errors at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = []
        if self.steps != "auto" and not 0 <= self.steps < 2**31:
            wrong.append(f"contrastive.steps must not be below 0, but is {self.steps}")
        if self.cross_fit < 0 or self.cross_fit == 1:
            wrong.append(f"contrastive.cross_fit must be at least 2 folds, or 0, not {self.cross_fit}")
        if self.batch_size < 2:
            wrong.append(f"contrastive.batch_size must be at least 2, not {self.batch_size}")
        for name in ("learning_rate", "temperature", "head_strength"):
            if not 0 < getattr(self, name) < float("inf"):
                wrong.append(f"contrastive.{name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup_ratio", "interpolation"):
            if not 0 <= getattr(self, name) <= 1:
                wrong.append(f"contrastive.{name} must lie in [0, 1], not {getattr(self, name)}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def for_rows(self, rows: int) -> Self:
        """Fill in `steps` where it is `auto`.

        Args:
            rows: Number of labelled rows.
        """
        if self.steps != "auto":
            return self
        passes = math.ceil(_PASSES * rows * VIEWS / self.batch_size)
        return replace(self, steps=min(max(passes, _FEWEST), _MOST))
