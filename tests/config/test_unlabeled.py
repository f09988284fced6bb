"""The options of training on rows without labels."""

from typing import Any

import pytest

from textmix.config.unlabeled import UnlabeledConfig
from textmix.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "unlabeled.steps must be at least 0, not -1"),
        ({"views": -1}, "unlabeled.views must be at least 0, not -1"),
        ({"max_rows": 0}, "unlabeled.max_rows must be at least 1, not 0"),
        ({"batch_size": 0}, "unlabeled.batch_size must be at least 1, not 0"),
        ({"labeled_batch_size": 0}, "unlabeled.labeled_batch_size must be at least 1, not 0"),
        ({"neighbours": 1}, "unlabeled.neighbours must be at least 2, not 1"),
        ({"learning_rate": 0.0}, "unlabeled.learning_rate must be above 0, not 0.0"),
        ({"sharpening": 0.0}, "unlabeled.sharpening must be above 0, not 0.0"),
        ({"sharpening": float("nan")}, "unlabeled.sharpening must be above 0, not nan"),
        ({"warmup_ratio": 2.0}, "unlabeled.warmup_ratio must lie in [0, 1], not 2.0"),
        ({"threshold": 1.5}, "unlabeled.threshold must lie in [0, 1], not 1.5"),
        ({"ramp": -0.1}, "unlabeled.ramp must lie in [0, 1], not -0.1"),
        ({"view_rate": 0.0}, "unlabeled.view_rate must lie between 0 and 1, not 0.0"),
        ({"ema_decay": 1.0}, "unlabeled.ema_decay must lie between 0 and 1, not 1.0"),
        ({"spread_alpha": 1.0}, "unlabeled.spread_alpha must lie between 0 and 1, not 1.0"),
        ({"weight": -1.0}, "unlabeled.weight must not be below 0, but is -1.0"),
        ({"weight": float("nan")}, "unlabeled.weight must not be below 0, but is nan"),
        ({"guesses": []}, "unlabeled.guesses must name at least one guess"),
        ({"guesses": ["model", "model"]}, "none of them twice"),
        ({"guesses": ["model"], "fit_head": True}, "add spread to unlabeled.guesses"),
        ({"steps": -1, "ramp": 2.0}, "not -1; unlabeled.ramp must lie"),
    ],
)
def test_what_is_out_of_range_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UnlabeledConfig(**options)
    assert message in str(caught.value)


def test_ends_of_ranges_are_taken() -> None:
    UnlabeledConfig(steps=1, threshold=1.0, ramp=1.0, weight=0.0, warmup_ratio=0.0, guesses=["spread"], fit_head=True)
