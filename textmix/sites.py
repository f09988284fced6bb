"""Find, by structure, the places of a model where rows can be blended."""

import inspect
from dataclasses import dataclass

import torch
from torch import nn

from textmix.errors import ModelError
from textmix.mixing.strategies import EMBEDDINGS, POOLED, layer


@dataclass(frozen=True)
class Block:
    """One block of the encoder.

    Args:
        module: The block; its first argument is the hidden state, shape (B, L, H).
        arguments: Names of the arguments of its forward, in order.
    """

    module: nn.Module
    arguments: tuple[str, ...]

    @property
    def takes_mask(self) -> bool:
        """Whether its forward has an argument `attention_mask`."""
        return "attention_mask" in self.arguments


@dataclass(frozen=True)
class Sites:
    """Where a model can be mixed.

    Args:
        blocks: The encoder's blocks in the order they run; empty if none were found.
        classifier: The last linear map, whose input is the sentence vector; None if none was found.
    """

    blocks: tuple[Block, ...]
    classifier: nn.Linear | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all sites: `embeddings`, `layer:1` …, `pooled`."""
        hidden = (EMBEDDINGS, *(layer(k) for k in range(1, len(self.blocks) + 1))) if self.blocks else ()
        return (*hidden, POOLED) if self.classifier is not None else hidden


def find_sites(model: nn.Module) -> Sites:
    """Find the sites of a classifier.

    The blocks are the first `ModuleList` of equal modules, as many as the encoder's config says it has layers; the
    classifier is the last linear map with one output for each label.

    Args:
        model: A Hugging Face sequence classifier, or a model built alike (`config`, `base_model`).

    Raises:
        ModelError: If the model offers no site at all, or has a decoder, which sees a row's own tokens again.
    """
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{type(model).__name__} has a decoder, which sees each row's own tokens: it cannot be mixed")
    if config is None and isinstance(getattr(model, "module", None), nn.Module):
        raise ModelError(
            f"{type(model).__name__} wraps a model: attach to the model itself (.module) before wrapping it"
        )
    encoder = getattr(model, "base_model", model)
    encoder_config = getattr(encoder, "config", config)
    blocks = _find_blocks(encoder, getattr(encoder_config, "num_hidden_layers", None))
    inside = {id(module) for block in blocks for module in block.module.modules()}
    num_labels = getattr(config, "num_labels", None)
    classifiers = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and module.out_features == num_labels and id(module) not in inside
    ]
    sites = Sites(blocks, classifiers[-1] if classifiers else None)
    if not sites.names:
        raise ModelError(
            f"{type(model).__name__} offers no site for mixing: neither a list of equal blocks nor a last linear map"
            " with config.num_labels outputs was found"
        )
    return sites


# What a block calls its input when it has the batch first; others (XLNet's `output_h`, say) may lay it out otherwise.
_HIDDEN_NAMES = (("hidden_states",), ("hidden",), ("x",))


def _find_blocks(encoder: nn.Module, count: int | None) -> tuple[Block, ...]:
    for module in encoder.modules():
        if not isinstance(module, nn.ModuleList) or len(module) != count or len({type(item) for item in module}) != 1:
            continue
        blocks = tuple(Block(item, forward_arguments(item)) for item in module)
        if blocks[0].arguments[:1] in _HIDDEN_NAMES:
            return blocks
    return ()


def forward_arguments(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the arguments of a module's forward, in order, without `self`."""
    return tuple(inspect.signature(type(module).forward).parameters)[1:]


def hidden_of(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the hidden state of a block's output, which is the output itself or its first element."""
    return output[0] if isinstance(output, tuple) else output
