"""The strategies under test, and what each must be told beside its name."""

from typing import Any

from textmix.mixing.config import MixConfig
from textmix.mixing.registry import STRATEGIES

MIXING = [name for name in STRATEGIES if name != "none"]

# The ids 0, 1 and 2 are special; words begin at 5.
SPECIAL_IDS = [0, 1, 2]
NEEDS: dict[str, dict[str, Any]] = {
    "cutmix": {"special_ids": SPECIAL_IDS},
    "ssmix": {"special_ids": SPECIAL_IDS},
    "any": {"any": {"choices": {"word": 1.0, "cutmix": 1.0, "multi": 1.0}}, "special_ids": SPECIAL_IDS},
}


def mix(strategy: str, **options: Any) -> MixConfig:
    """Make a configuration of mixed rows alone, with what the strategy must be told."""
    return MixConfig(strategy=strategy, **{"regmix": None, **NEEDS.get(strategy, {}), **options})
