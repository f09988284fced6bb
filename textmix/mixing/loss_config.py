"""LossConfig: how logits are scored against targets, mixed or not. No torch, so that `--help` stays fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from textmix.errors import ConfigError
from textmix.mixing.options import check_names


@dataclass(frozen=True)
class LossConfig:
    """How logits are scored against targets, mixed or not.

    Args:
        label_smoothing: ε: a target becomes (1 - ε) · target + ε / C (Szegedy et al. 2016); for multi-label
            (1 - ε) · target + ε / 2.
        class_weights: Weight of the rows of each class, or `balanced`: rows / (classes · rows of the class) of the
            training split; classes without rows are not counted. Weighted losses are divided by the number of rows, not
            by the sum of weights, so that accumulated batches add up to one large batch. For multi-label the weight of
            the presence of each label, as `pos_weight` of torch; `balanced` is rows without the label / rows with it.
        focal_gamma: γ of the focal loss (Lin et al. 2017): each log-probability is scaled by (1 - p)^γ; 0 turns it off.
    """

    label_smoothing: float = 0.0
    class_weights: list[float] | Literal["balanced"] | None = None
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        """Check every field and report all errors at once.

        Raises:
            ConfigError: If a value is out of range.
        """
        wrong = []
        if not 0 <= self.label_smoothing < 1:
            wrong.append(f"loss.label_smoothing must lie in [0, 1), not {self.label_smoothing}")
        if not 0 <= self.focal_gamma < float("inf"):
            wrong.append(f"loss.focal_gamma must not be below 0, but is {self.focal_gamma}")
        weights = self.class_weights
        if isinstance(weights, str) and weights != "balanced":
            wrong.append(f"loss.class_weights must be numbers or 'balanced', not '{weights}'")
        if isinstance(weights, list) and (not weights or not all(0 <= weight < float("inf") for weight in weights)):
            wrong.append(f"loss.class_weights must not be below 0, but are {weights}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def is_plain(self) -> bool:
        """Whether it is the plain cross-entropy, binary cross-entropy or squared error."""
        return self == LossConfig()


def loss_config(given: LossConfig | Mapping[str, Any] | None) -> LossConfig:
    """Return the configuration, or build one from its fields; None means the plain loss.

    Raises:
        ConfigError: If a field is unknown.
    """
    if isinstance(given, LossConfig):
        return given
    fields = dict(given or {})
    check_names("option of the loss", fields, LossConfig)
    return LossConfig(**fields)
