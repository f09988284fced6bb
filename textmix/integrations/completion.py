"""Fill in what the Trainer knows and a MixConfig leaves open."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer

from textmix.data.tokenization import special_ids
from textmix.errors import ConfigError
from textmix.mixing.config import LossConfig, MixConfig
from textmix.mixing.losses import IGNORED
from textmix.mixing.strategies.base import STRATEGIES

_HOW = "; count the training rows of each class yourself and give class_counts=[...]"


def complete(mix: MixConfig, loss: LossConfig, trainer: Trainer) -> MixConfig:
    """Fill in special tokens and class counts, where they are needed and not given.

    Args:
        mix: How to mix.
        loss: How to score.
        trainer: Has the tokenizer and the training data.

    Raises:
        ConfigError: If the Trainer has no tokenizer, or the classes cannot be counted.
    """
    if mix.special_ids is None and any(STRATEGIES[name].needs_special_ids for name in mix.names):
        mix = replace(mix, special_ids=special_ids(_tokenizer(trainer)))
    if mix.class_counts is None and (mix.targets == "remix" or loss.class_weights == "balanced"):
        mix = replace(mix, class_counts=_count_classes(trainer))
    return mix


def _tokenizer(trainer: Trainer) -> PreTrainedTokenizerBase:
    """Return the Trainer's tokenizer, its processor's, or the one that pads its batches."""
    holders = [trainer.processing_class, trainer.data_collator]
    for found in [*holders, *(getattr(holder, "tokenizer", None) for holder in holders)]:
        if isinstance(found, PreTrainedTokenizerBase):
            return found
    raise ConfigError(
        "the special tokens, which mixing never cuts, are not known: give the Trainer processing_class=tokenizer, or"
        " MixupCallback special_ids=special_ids(tokenizer)"
    )


def _count_classes(trainer: Trainer) -> list[int]:
    model: Any = trainer.model
    num_labels, problem_type = model.config.num_labels, model.config.problem_type
    labels = np.concatenate([np.ravel(np.asarray(label)) for label in _labels(trainer)])
    classes = problem_type in (None, "single_label_classification")
    if not classes or not np.issubdtype(labels.dtype, np.integer):
        kind = f"{problem_type or 'of type'} {labels.dtype}"
        raise ConfigError(f"only integer classes are counted for remix and balanced weights, not labels {kind}{_HOW}")
    counts = np.bincount(labels[labels != IGNORED], minlength=num_labels)
    if len(counts) > num_labels:
        raise ConfigError(f"the training data has a label {len(counts) - 1}, but the model has {num_labels} classes")
    return [int(count) for count in counts]


def _labels(trainer: Trainer) -> Iterable[Any]:
    """Return the labels of the training rows: a number each, or one for each token."""
    data: Any = trainer.train_dataset
    names: Sequence[str] = [*trainer.label_names, "label", "label_ids"]  # as the Trainer's collators rename them
    if isinstance(data, Dataset):
        for name in names:
            if name in data.column_names:
                values: list[Any] = data.with_format(None)[name][:]
                return values
    elif hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data):
        for name in names:
            if name in data[0]:
                return [data[number][name] for number in range(len(data))]
    raise ConfigError(
        "remix and balanced class weights need the training rows of each class, which cannot be counted: the training"
        f" data is a stream, or has no column {', '.join(names)}{_HOW}"
    )
