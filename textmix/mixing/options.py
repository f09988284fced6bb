"""Options that belong to one strategy: a section of `MixConfig` for each. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from textmix.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class ManifoldOptions:
    """Options of `manifold`.

    Args:
        layers: Numbers of the blocks, from 1, whose output may be blended, in addition to the embeddings; null means
            every block, as Verma et al. 2019 draw uniformly from all eligible layers.
    """

    layers: list[int] | None = None

    def problems(self) -> list[str]:
        """List what is wrong with the values, each as `<option> <reason>`."""
        layers = self.layers
        if layers is not None and (not layers or min(layers) < 1 or len(set(layers)) < len(layers)):
            return [f"layers must be distinct block numbers from 1 on, not {layers}"]
        return []


@dataclass(frozen=True)
class CutMixOptions:
    """Options of `cutmix`.

    Args:
        level: Where spans are cut: `tokens` (ids; works for every model) or `embeddings`.
        keep: Weight of the row's own vectors in the span at level `embeddings`: keep · own + (1 - keep) · partner.
            Default: 0, the span is replaced.
    """

    level: Literal["tokens", "embeddings"] = "tokens"
    keep: float = 0.0

    def problems(self) -> list[str]:
        """List what is wrong with the values, each as `<option> <reason>`."""
        wrong = []
        if self.level not in ("tokens", "embeddings"):
            wrong.append(f"level must be one of tokens, embeddings, not '{self.level}'")
        if not 0 <= self.keep <= 1:
            wrong.append(f"keep must lie in [0, 1], not {self.keep}")
        return wrong


@dataclass(frozen=True)
class MultiOptions:
    """Options of `multi`.

    Args:
        rows: Rows that are blended, the row itself included; 2 is mixup. Default: 3.
    """

    rows: int = 3

    def problems(self) -> list[str]:
        """List what is wrong with the values, each as `<option> <reason>`."""
        return [] if 2 <= self.rows < float("inf") else [f"rows must be at least 2, not {self.rows}"]


@dataclass(frozen=True)
class BatchOptions:
    """Options of `batch`.

    Args:
        temperature: Divides the standard normal logits before their softmax; with larger temperatures blends are closer
            to the mean of the batch.
    """

    temperature: float = 1.0

    def problems(self) -> list[str]:
        """List what is wrong with the values, each as `<option> <reason>`."""
        wrong = f"temperature must be a number above 0, not {self.temperature}"
        return [] if 0 < self.temperature < float("inf") else [wrong]


@dataclass(frozen=True)
class AnyOptions:
    """Options of `any`.

    Args:
        choices: Strategies and their probabilities, which are scaled to sum to 1.
    """

    choices: dict[str, float] | None = None

    def problems(self) -> list[str]:
        """List what is wrong with the values, each as `<option> <reason>`; `MixConfig` checks the choices."""
        return []


def check_names(what: str, given: Iterable[str], kind: Any) -> None:
    """Check that options are fields of a dataclass.

    Raises:
        ConfigError: If one is not; suggests the nearest name.
    """
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown {what} '{name}'{did_you_mean(name, known)}")
