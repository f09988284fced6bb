"""Fill in what only the training data and the tokenizer can tell of a MixConfig."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from textmix.data.labels import ClassIds
from textmix.errors import ConfigError
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig


def complete_mix(
    mix: MixConfig,
    loss: LossConfig,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[int] | ClassIds,
    class_names: Sequence[str],
) -> MixConfig:
    """Fill in the class counts and the special tokens where they are left open, and check what depends on the classes.

    Args:
        mix: How to mix.
        loss: How to score.
        tokenizer: Names the special tokens; the unknown token is an ordinary one.
        labels: Class ids of the training rows, and of no others: what is counted elsewhere leaks into training.
        class_names: Names of the classes, in the order of their ids.

    Raises:
        ConfigError: If class counts or class weights are not as many as there are classes.
    """
    given = {"mix.class_counts": mix.class_counts, "loss.class_weights": loss.class_weights}
    wrong = [
        f"{option} has {len(values)} numbers for the {len(class_names)} classes {', '.join(class_names)}"
        for option, values in given.items()
        if isinstance(values, list) and len(values) != len(class_names)
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))
    counts = mix.class_counts
    if counts is None:
        counts = np.bincount(labels, minlength=len(class_names)).tolist()
    ids = special_ids(tokenizer) if mix.special_ids is None else mix.special_ids
    return replace(mix, class_counts=counts, special_ids=ids)
