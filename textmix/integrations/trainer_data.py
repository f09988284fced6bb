"""What a Trainer's tokenizer and training data tell: special tokens and class counts."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import nn
from transformers import PreTrainedTokenizerBase

from textmix.errors import ConfigError
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.losses import IGNORED

_HOW = "; count the training rows of each class yourself and give class_counts=[...]"


def find_special_ids(processing_class: Any, loader: Any) -> list[int]:
    """Return the special tokens of the Trainer's tokenizer, its processor's, or the one that pads its batches.

    Args:
        processing_class: The Trainer's.
        loader: Its training DataLoader.

    Raises:
        ConfigError: If there is no tokenizer.
    """
    collator = getattr(loader, "collate_fn", None)
    # A collator that drops unused columns wraps the one that the Trainer was given.
    holders = [processing_class, collator, getattr(collator, "data_collator", None)]
    for found in [*holders, *(getattr(holder, "tokenizer", None) for holder in holders)]:
        if isinstance(found, PreTrainedTokenizerBase):
            return special_ids(found)
    raise ConfigError(
        "the special tokens, which mixing never cuts, are not known: give the Trainer processing_class=tokenizer, or"
        " MixupCallback special_ids=special_ids(tokenizer)"
    )


def count_classes(model: nn.Module, loader: Any, label_names: Sequence[str] | None) -> list[int]:
    """Count the training rows of each class.

    Args:
        model: The classifier.
        loader: The Trainer's training DataLoader.
        label_names: `TrainingArguments.label_names`.

    Raises:
        ConfigError: If the classes cannot be counted.
    """
    config: Any = model.config
    data = getattr(loader, "dataset", None)
    labels = np.concatenate([np.ravel(np.asarray(label)) for label in _labels(data, label_names or ["labels"])])
    classes = config.problem_type in (None, "single_label_classification")
    if not classes or not np.issubdtype(labels.dtype, np.integer):
        kind = f"{config.problem_type or 'of type'} {labels.dtype}"
        raise ConfigError(f"only integer classes are counted for remix and balanced weights, not labels {kind}{_HOW}")
    counts = np.bincount(labels[labels != IGNORED], minlength=config.num_labels)
    if len(counts) > config.num_labels:
        last = len(counts) - 1
        raise ConfigError(f"the training data has a label {last}, but the model has {config.num_labels} classes")
    return [int(count) for count in counts]


def _labels(data: Any, label_names: Sequence[str]) -> Iterable[Any]:
    """Return the labels of the training rows: a number each, or one for each token."""
    names = [*label_names, "label", "label_ids"]  # as the Trainer's collators rename them
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data):
        columns = getattr(data, "column_names", None)  # of a data set of datasets
        for name in names:
            if columns is not None and name in columns:
                values: list[Any] = data.with_format(None)[name][:]
                return values
            if columns is None and name in data[0]:
                return [data[number][name] for number in range(len(data))]
    raise ConfigError(
        "remix and balanced class weights need the training rows of each class, which cannot be counted: the training"
        f" data is a stream, or has no column {', '.join(names)}{_HOW}"
    )
