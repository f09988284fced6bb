"""Start training from a classifier that was trained before, perhaps for other classes."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from textmix.errors import ModelError, listed
from textmix.hooks.sites import find_sites

logger = logging.getLogger(__name__)


def keep_classes(model: Any, names: Mapping[int, str], where: str) -> None:
    """Give a classifier other classes: the rows of its last linear map are kept by name, and those of new ones drawn.

    Nothing changes if the names and their order are the same, or if there are as many classes that have only the names
    that transformers gives (LABEL_0).

    Args:
        model: A trained classifier of transformers or textmix.
        names: Names of the new classes by number.
        where: Name of the model, for messages.

    Raises:
        ModelError: If the model has no last linear map, or none of its classes is among the new ones.
    """
    before = {name: int(number) for number, name in (model.config.id2label or {}).items()}
    after = [names[number] for number in range(len(names))]
    if sorted(before, key=lambda name: before[name]) == after:
        return
    old = find_sites(model).classifier
    if not isinstance(old, nn.Linear):
        raise ModelError(f"the last linear map of {where} was not found, so that its classes cannot be changed")
    kept = [name for name in after if name in before]
    unnamed = all(re.fullmatch(r"LABEL_\d+", name) for name in before)
    if unnamed and len(before) == len(after):
        logger.info(f"{where} has no names for its classes: they are taken for {listed(after, 5)}, in this order")
        return
    if not kept and not unnamed:
        raise ModelError(
            f"{where} was trained for {listed(before, 5)}, and none of these is among {listed(after, 5)}: start from"
            " its encoder instead"
        )
    like = {"device": old.weight.device, "dtype": old.weight.dtype}
    new = nn.Linear(old.in_features, len(after), old.bias is not None, **like)
    with torch.no_grad():
        new.weight.normal_(std=getattr(model.config, "initializer_range", None) or 0.02)
        if new.bias is not None:
            new.bias.zero_()
        for number, name in enumerate(after):
            if name in before:
                new.weight[number] = old.weight[before[name]]
                if new.bias is not None:
                    new.bias[number] = old.bias[before[name]]
    path = next(name for name, module in model.named_modules() if module is old)
    parent, _, last = path.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
    model.num_labels = len(after)
    drawn = [name for name in after if name not in before]
    lost = [name for name in before if name not in after]
    logger.info(
        f"{where}: {len(kept)} classes keep their weights"
        + (f"; new: {listed(drawn, 5)}" if drawn else "")
        + (f"; left out: {listed(lost, 5)}" if lost else "")
    )


def check_continuable(model: Any, labels: Mapping[str, Any], of_tokens: bool, where: str) -> None:
    """Check that a trained classifier has outputs of the right kind.

    Raises:
        ModelError: If it was trained for another task.
    """
    was_of_tokens = type(model).__name__.endswith("ForTokenClassification")
    before, after = getattr(model.config, "problem_type", None), labels.get("problem_type")
    if was_of_tokens != of_tokens or (before is not None and before != after):
        had = "token_classification" if was_of_tokens else before
        raise ModelError(f"{where} was trained for {had}; it cannot go on with {after or 'token_classification'}")
