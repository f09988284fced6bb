"""Batches of token ids as a data loader makes them."""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

Build = Callable[[str], PreTrainedModel]
Batch = dict[str, torch.Tensor]


def unlabelled(batch: Batch) -> Batch:
    """Leave the labels out."""
    return {name: value for name, value in batch.items() if name != "labels"}
