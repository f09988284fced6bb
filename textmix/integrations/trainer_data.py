"""Find special tokens and class counts in the tokenizer and the training data of a Trainer."""

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
    """Return the special tokens of the tokenizer of the Trainer, its processor or its collator.

    Args:
        processing_class: `processing_class` of the Trainer.
        loader: Its training DataLoader.

    Raises:
        ConfigError: If there is no tokenizer.
    """
    collator = getattr(loader, "collate_fn", None)
    # The Trainer wraps its collator in one that drops unused columns.
    holders = [processing_class, collator, getattr(collator, "data_collator", None)]
    for found in [*holders, *(getattr(holder, "tokenizer", None) for holder in holders)]:
        if isinstance(found, PreTrainedTokenizerBase):
            return special_ids(found)
    raise ConfigError(
        "the special tokens, which mixing never cuts, are unknown: pass processing_class=tokenizer to the Trainer, or"
        " special_ids=special_ids(tokenizer) to MixupCallback"
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
        raise ConfigError(f"remix and balanced class weights need integer classes, not labels {kind}{_HOW}")
    counts = np.bincount(labels[labels != IGNORED], minlength=config.num_labels)
    if len(counts) > config.num_labels:
        last = len(counts) - 1
        raise ConfigError(f"the training data has the label {last}, but the model has {config.num_labels} classes")
    return [int(count) for count in counts]


def _labels(data: Any, label_names: Sequence[str]) -> Iterable[Any]:
    """Return the labels of the training rows: a number, or a list with a number for each token."""
    names = [*label_names, "label", "label_ids"]  # names that the Trainer's collators rename
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data):
        columns = getattr(data, "column_names", None)  # only data sets of the library datasets have it
        for name in names:
            if columns is not None and name in columns:
                values: list[Any] = data.with_format(None)[name][:]
                return values
            if columns is None and name in data[0]:
                return [data[number][name] for number in range(len(data))]
    raise ConfigError(
        "remix and balanced class weights need class counts, but the classes cannot be counted: the training data is a"
        f" stream, or has no column {', '.join(names)}{_HOW}"
    )
