"""Find the blocks of an encoder or a decoder, and read and replace their arguments."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Mask:
    """An argument of a block that masks attention.

    Args:
        name: Name of the argument.
        batch: Dimension of the batch in it.
        masked_is_one: Whether 1 means that a position is not attended to.
        is_bias: Whether it is a bias of positions to which masks of keys were added, and that blocks pass on.
    """

    name: str = "attention_mask"
    batch: int = 0
    masked_is_one: bool = False
    is_bias: bool = False


@dataclass(frozen=True)
class Layout:
    """Layout of the arguments of a model's blocks.

    Args:
        batch: Dimension of the batch in the hidden state.
        masks: The arguments that mask attention; first the mask of self-attention.
    """

    batch: int = 0
    masks: tuple[Mask, ...] = (Mask(),)


# Name of the argument with the encoder's output in a block of a decoder.
MEMORY = "encoder_hidden_states"
# Maps the name of a block's first argument, the hidden state, to the layout; with other names it may differ.
_XLNET_MASKS = (Mask("attn_mask_h", 2, masked_is_one=True), Mask("attn_mask_g", 2, masked_is_one=True))
_LAYOUTS = {
    "hidden_states": Layout(),
    "hidden": Layout(),
    "x": Layout(),
    "output_h": Layout(batch=1, masks=_XLNET_MASKS),
}
_MPT_ARGUMENTS = ("hidden_states", "position_bias", "attention_mask")
# Masks that only some blocks have: of a decoder, of Longformer, and of ModernBERT and DistilBERT in transformers 4. T5
# adds its masks to the position biases there.
_OTHER_MASKS = (
    Mask("encoder_attention_mask"),
    Mask("is_index_masked", masked_is_one=True),
    Mask("is_index_global_attn"),
    Mask("sliding_window_mask"),
    Mask("attn_mask"),
)
_MASKED_BIASES = (Mask("position_bias", is_bias=True), Mask("encoder_decoder_position_bias", is_bias=True))


@dataclass(frozen=True)
class Block:
    """One block of an encoder or a decoder.

    Args:
        module: The block; its first argument is the hidden state.
        arguments: Names of the arguments of its forward, in order.
        layout: Layout of its arguments.
    """

    module: nn.Module
    arguments: tuple[str, ...]
    layout: Layout

    @property
    def unknown_masks(self) -> tuple[str, ...]:
        """Names of arguments that mask positions in a way that is not known, as block-sparse attention has them."""
        known = {mask.name for mask in self.layout.masks}
        return tuple(name for name in self.arguments if "mask" in name and "head" not in name and name not in known)

    def value(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the value of one argument; None if it is absent."""
        index = self.arguments.index(name) if name in self.arguments else len(args)
        return args[index] if index < len(args) else kwargs.get(name)

    def replace(
        self, name: str, function: Callable[[Tensor], Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        """Apply a function to one argument, positional or keyword; an absent argument or None stays unchanged."""
        if name not in self.arguments:
            return args, kwargs
        index = self.arguments.index(name)
        # The function is called on its own: torch.compile of torch 2.4 cannot leave the graph inside of a display.
        if kwargs.get(name) is not None:
            changed = function(kwargs[name])
            return args, {**kwargs, name: changed}
        if index < len(args) and args[index] is not None:
            changed = function(args[index])
            return (*args[:index], changed, *args[index + 1 :]), kwargs
        return args, kwargs


def find_blocks(
    stack: nn.Module, counts: Collection[int | None] | None = None
) -> tuple[tuple[Block, ...], tuple[nn.Module, ...]]:
    """Find the first list of equal blocks of which it is known how they are called.

    Args:
        stack: An encoder or a decoder.
        counts: Possible lengths of the list; None means any.

    Returns:
        The blocks in the order of the list, and the siblings of the list; empty if there is none.
    """
    for parent in stack.modules():
        for module in parent.children():
            if not isinstance(module, nn.ModuleList) or not len(module):
                continue
            if counts is not None and len(module) not in counts:
                continue
            arguments = [forward_arguments(item) for item in module]
            layout = _layout(arguments[0])
            if len({type(item) for item in module}) == 1 and layout is not None:
                blocks = (Block(item, names, layout) for item, names in zip(module, arguments, strict=True))
                return tuple(blocks), tuple(child for child in parent.children() if child is not module)
    return (), ()


def _layout(arguments: tuple[str, ...]) -> Layout | None:
    """Return the layout of a block with these arguments; None if it is not known."""
    if arguments[:3] == _MPT_ARGUMENTS:
        return Layout(masks=(Mask(masked_is_one=True),))
    layout = _LAYOUTS.get(arguments[0]) if arguments else None
    if layout is None:
        return None
    biases = _MASKED_BIASES if "encoder_decoder_position_bias" in arguments else ()
    masks = (mask for mask in (*_OTHER_MASKS, *biases) if mask.name in arguments)
    return Layout(layout.batch, (*layout.masks, *masks))


def modules_with_mask(stack: nn.Module, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Find modules outside the blocks that take an attention mask, such as the embeddings of ESM."""
    of_blocks = {module for block in blocks for module in block.module.modules()}
    outside = [module for module in stack.modules() if of_blocks.isdisjoint(module.modules())]
    called = [Block(module, forward_arguments(module), Layout()) for module in outside]
    return tuple(item for item in called if Mask().name in item.arguments)


def forward_arguments(module: nn.Module) -> tuple[str, ...]:
    """Return the argument names of a module's forward, in order, without `self`."""
    names = tuple(inspect.signature(type(module).forward).parameters)[1:]
    inner = without_adapters(module)
    return names if inner is module or "input_ids" in names else forward_arguments(inner)


def without_adapters(model: nn.Module) -> nn.Module:
    """Return the base model of a PEFT model, any other model unchanged."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if callable(get_base_model) else model


def hidden_of(output: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Return the hidden state of a block's output: the output itself or its first element."""
    return output[0] if isinstance(output, tuple | list) else output
