"""Fold temperatures into the last linear map of a classifier: all who read its logits have calibrated ones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from textmix.errors import ModelError
from textmix.hooks.sites import find_sites


def fold_temperatures(model: Any, temperatures: Sequence[float]) -> None:
    """Divide the logits of a classifier by temperatures, by dividing the weights and biases of its last linear map.

    The temperatures are noted in `config.temperatures`; predicted classes do not change.

    Args:
        model: A classifier in float32.
        temperatures: One for each of the C outputs, above 0. Those of classes are all the same.

    Raises:
        ModelError: If the last linear map is not found, or its outputs are not the logits.
    """
    classifier = find_sites(model).classifier
    if not isinstance(classifier, nn.Linear):
        raise ModelError(f"the last linear map of {type(model).__name__} was not found")
    outputs: list[torch.Tensor] = []
    handle = classifier.register_forward_hook(lambda module, args, output: outputs.append(output))
    ids = torch.ones(1, 4, dtype=torch.long, device=model.device)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        handle.remove()
        if not torch.equal(outputs[-1].reshape(-1, logits.shape[-1])[-1], logits.reshape(-1, logits.shape[-1])[-1]):
            raise ModelError(f"the logits of {type(model).__name__} are not the outputs of its last linear map")
        factors = torch.tensor(temperatures, device=classifier.weight.device, dtype=torch.float64)
        classifier.weight.copy_(classifier.weight.double() / factors.unsqueeze(1))
        if classifier.bias is not None:
            classifier.bias.copy_(classifier.bias.double() / factors)
    model.config.temperatures = [float(temperature) for temperature in temperatures]
