"""Keep the lowest blocks of an encoder as they are."""

from itertools import takewhile
from typing import Literal

from transformers import PreTrainedModel

from textmix.errors import ModelError
from textmix.hooks.sites import find_sites


def freeze_lowest(model: PreTrainedModel, count: int | Literal["encoder"]) -> None:
    """Stop training the embeddings and the lowest blocks of a model's encoder.

    Args:
        model: A classifier.
        count: Number of blocks; 0 freezes nothing, not even the embeddings; `encoder` freezes the whole encoder.

    Raises:
        ModelError: If the encoder has fewer blocks, or shares them.
    """
    if count == 0:
        return
    if count == "encoder":
        model.base_model.requires_grad_(False)
        return
    blocks = [block.module for block in find_sites(model).blocks]
    if count > len(blocks):
        raise ModelError(f"model.freeze {count} exceeds the {len(blocks)} blocks of {type(model).__name__}")
    if any(block in blocks[count:] for block in blocks[:count]):
        raise ModelError(
            f"{type(model).__name__} shares its blocks, so none can be frozen separately; leave out model.freeze"
        )
    for module in (model.get_input_embeddings(), *blocks[:count]):
        module.requires_grad_(False)
    # Also freeze everything else before the blocks: positions, projections, norms. If one of them were trained, the
    # backward pass would go through all frozen blocks.
    first = next(blocks[0].parameters())
    for parameter in takewhile(lambda parameter: parameter is not first, model.base_model.parameters()):
        parameter.requires_grad_(False)
