"""The model's probabilities for the unmixed batch, which some partners and targets need."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def class_probabilities(model: nn.Module, kwargs: dict[str, Any], find_logits: Callable[[Any], Tensor]) -> Tensor:
    """Run the model once more, on the unmixed batch, without gradient and without dropout.

    This costs a forward pass: beside saliency it is the only reason to run the network twice in a step. No random
    number is drawn, and every module is put back into the mode that it had.

    Args:
        model: A Hugging Face model whose mixer is paused.
        kwargs: Arguments of its forward, without labels.
        find_logits: Returns the logits of the model's output, shape (B, C).

    Returns:
        Probabilities of the classes, shape (B, C), float32 (float64 for float64 logits).
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            logits = find_logits(model(**kwargs))
    finally:
        for module in training:
            module.training = True
        # Autocast of older versions of torch keeps weights that it cast here, without a gradient, for the next pass.
        torch.clear_autocast_cache()
    return (logits if logits.dtype == torch.float64 else logits.float()).softmax(dim=-1)
