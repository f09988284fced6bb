"""Fill in the options of a MixConfig that come from the training data and the tokenizer."""

from collections.abc import Callable
from dataclasses import replace

from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.registry import build_strategy


def complete(
    mix: MixConfig,
    loss: LossConfig,
    special_ids: Callable[[], list[int]],
    class_counts: Callable[[], list[int]],
) -> MixConfig:
    """Fill in special tokens and class counts if they are needed and not given.

    Args:
        mix: How to mix.
        loss: How to score.
        special_ids: Returns the ids of the special tokens; called only when they are needed.
        class_counts: Returns the number of training rows of each class; called only when they are needed. Counts of
            validation or test rows would leak into training.
    """
    if mix.special_ids is None and needs_special_ids(mix):
        mix = replace(mix, special_ids=special_ids())
    if mix.class_counts is None and needs_class_counts(mix, loss):
        mix = replace(mix, class_counts=class_counts())
    return mix


def needs_special_ids(mix: MixConfig) -> bool:
    """Return whether a strategy must know the special tokens."""
    return any(member.needs_special_ids for member, _ in build_strategy(mix).members)


def needs_class_counts(mix: MixConfig, loss: LossConfig) -> bool:
    """Return whether the number of training rows of each class must be known."""
    return mix.targets == "remix" or loss.class_weights == "balanced"
