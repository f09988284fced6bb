"""The options of the contrastive warm-up."""

from typing import Any

import pytest

from textmix.config.contrastive import ContrastiveConfig
from textmix.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "contrastive.steps must not be below 0, but is -1"),
        ({"batch_size": 1}, "contrastive.batch_size must be at least 2, not 1"),
        ({"learning_rate": 0.0}, "contrastive.learning_rate must be above 0, not 0.0"),
        ({"temperature": -0.1}, "contrastive.temperature must be above 0, not -0.1"),
        ({"head_strength": float("inf")}, "contrastive.head_strength must be above 0, not inf"),
        ({"learning_rate": float("nan")}, "contrastive.learning_rate must be above 0, not nan"),
        ({"warmup_ratio": 1.1}, "contrastive.warmup_ratio must lie in [0, 1], not 1.1"),
        ({"interpolation": -0.5}, "contrastive.interpolation must lie in [0, 1], not -0.5"),
        ({"steps": -1, "batch_size": 0}, "but is -1; contrastive.batch_size must be at least 2"),
    ],
)
def test_what_is_out_of_range_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ContrastiveConfig(**options)
    assert message in str(caught.value)


def test_ends_of_ranges_are_taken() -> None:
    ContrastiveConfig(steps=0, batch_size=2, warmup_ratio=1.0, interpolation=0.0)


@pytest.mark.parametrize(("rows", "steps"), [(1, 50), (120, 50), (121, 51), (240, 100), (360, 150), (5000, 150)])
def test_steps_follow_from_the_rows(rows: int, steps: int) -> None:
    assert ContrastiveConfig(steps="auto").for_rows(rows).steps == steps
    assert ContrastiveConfig(steps=7).for_rows(rows).steps == 7
