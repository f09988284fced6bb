"""Find the sites of a model from its structure."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from textmix.errors import ModelError
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS, layer

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Layout:
    """Layout of the arguments of a model's blocks.

    Args:
        batch: Dimension of the batch in the hidden state.
        mask: Name of the argument that masks attention.
        mask_batch: Dimension of the batch in that mask.
        masked_is_one: Whether 1 in the mask means that a position is not attended to.
    """

    batch: int = 0
    mask: str = "attention_mask"
    mask_batch: int = 0
    masked_is_one: bool = False


# Maps the name of a block's first argument, the hidden state, to the layout; with other names it may differ.
_LAYOUTS = {
    "hidden_states": Layout(),
    "hidden": Layout(),
    "x": Layout(),
    "output_h": Layout(batch=1, mask="attn_mask_h", mask_batch=2, masked_is_one=True),  # XLNet
}
_MPT_ARGUMENTS = ("hidden_states", "position_bias", "attention_mask")


@dataclass(frozen=True)
class Block:
    """One block of the encoder.

    Args:
        module: The block; its first argument is the hidden state.
        arguments: Names of the arguments of its forward, in order.
        layout: Layout of its arguments.
    """

    module: nn.Module
    arguments: tuple[str, ...]
    layout: Layout

    def replace(
        self, name: str, function: Callable[[Tensor], Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        """Apply a function to one argument, positional or keyword; an absent argument or None stays unchanged."""
        index = self.arguments.index(name)
        if kwargs.get(name) is not None:
            return args, {**kwargs, name: function(kwargs[name])}
        if index < len(args) and args[index] is not None:
            return (*args[:index], function(args[index]), *args[index + 1 :]), kwargs
        return args, kwargs


@dataclass(frozen=True)
class Sites:
    """The sites of a model.

    Args:
        blocks: The encoder's blocks in the order they run, a shared block once for each run; empty if none were found.
        embeddings: The module whose output (B, L, H) is the embeddings, if no blocks were found.
        siblings: Sibling modules of the list of blocks, which may also read a block's input (DeBERTa's convolution).
        classifier: The last linear map, whose input is the sentence vector; None if none was found.
        tokens: Whether the model takes token ids.
    """

    blocks: tuple[Block, ...] = ()
    embeddings: nn.Module | None = None
    siblings: tuple[nn.Module, ...] = ()
    classifier: nn.Module | None = None
    tokens: bool = False
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = [TOKENS] if self.tokens else []
        if self.blocks or self.embeddings is not None:
            names.append(EMBEDDINGS)
        names += [layer(number) for number in range(1, len(self.blocks) + 1)]
        if self.classifier is not None:
            names.append(POOLED)
        object.__setattr__(self, "names", tuple(names))


def find_sites(model: nn.Module) -> Sites:
    """Find the sites of a classifier.

    The blocks are the first `ModuleList` of equal modules whose length is the number of layers, or of groups of shared
    layers, in the encoder's configuration. The classifier is the last linear map with one output for each label. An
    encoder-decoder is mixed only at its token ids and its sentence vector, because its decoder reads the tokens again.

    Args:
        model: A Hugging Face classifier, or a model with the same attributes (`config`, `base_model`).

    Raises:
        ModelError: If the model offers no site at all.
    """
    config = getattr(model, "config", None)
    if config is None and isinstance(getattr(model, "module", None), nn.Module):
        raise ModelError(
            f"{type(model).__name__} wraps a model: attach to the model itself (.module) before wrapping it"
        )
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise ModelError(f"{type(model).__name__} is compiled: attach to the model itself before compiling it")
    inner = _without_adapters(model)
    encoder = getattr(inner, "base_model", inner)
    blocks: tuple[Block, ...] = ()
    siblings: tuple[nn.Module, ...] = ()
    embeddings = None
    if not getattr(config, "is_encoder_decoder", False):
        blocks, siblings = _find_blocks(encoder, getattr(encoder, "config", config))
        embeddings = getattr(encoder, "embeddings", None) if not blocks else None
    classifier = _find_classifier(model, blocks, getattr(config, "num_labels", None))
    if classifier is None and not blocks:
        raise ModelError(
            f"{type(model).__name__} offers no site for mixing: neither a list of equal blocks nor a last linear map"
            " with config.num_labels outputs was found"
        )
    return Sites(blocks, embeddings, siblings, classifier, "input_ids" in forward_arguments(model))


def _find_blocks(encoder: nn.Module, config: object) -> tuple[tuple[Block, ...], tuple[nn.Module, ...]]:
    """Find the blocks, in the order they run, and the sibling modules of their list."""
    count = getattr(config, "num_hidden_layers", None)
    groups = getattr(config, "num_hidden_groups", None)
    for parent in encoder.modules():
        for module in parent.children():
            if not isinstance(module, nn.ModuleList) or len(module) not in (count, groups):
                continue
            arguments = [forward_arguments(item) for item in module]
            known = [_layout(names) for names in arguments]
            if len({type(item) for item in module}) != 1 or known[0] is None or not isinstance(count, int):
                continue
            blocks = [Block(item, names, known[0]) for item, names in zip(module, arguments, strict=True)]
            # Layers of a group share their weights and run one after another (ALBERT).
            running = tuple(blocks[number * len(blocks) // count] for number in range(count))
            return running, tuple(child for child in parent.children() if child is not module)
    return (), ()


def _layout(arguments: tuple[str, ...]) -> Layout | None:
    """Return the layout of a block with these arguments; None if it is not known."""
    if arguments[:3] == _MPT_ARGUMENTS:
        return Layout(masked_is_one=True)
    return _LAYOUTS.get(arguments[0]) if arguments else None


def _find_classifier(model: nn.Module, blocks: tuple[Block, ...], num_labels: int | None) -> nn.Module | None:
    """Find the last linear map with one output for each label, or the adapter that wraps it."""
    inside = {module for block in blocks for module in block.module.modules()}
    found = [
        module
        for module in model.modules()
        if num_labels is not None and getattr(module, "out_features", None) == num_labels and module not in inside
    ]
    within = {inner for module in found for inner in module.modules() if inner is not module}
    outermost = [module for module in found if module not in within]
    return outermost[-1] if outermost else None


def _without_adapters(model: nn.Module) -> nn.Module:
    """Return the base model of a PEFT model, any other model unchanged."""
    get_base_model = getattr(model, "get_base_model", None)
    return get_base_model() if callable(get_base_model) else model


def check_sites(name: str, sites: Sites, wanted: Iterable[str], strategy: str) -> None:
    """Check that a model has the sites that a strategy needs.

    Args:
        name: Name of the model, for the message.
        sites: Its sites.
        wanted: Names of the needed sites.
        strategy: Name of the strategy.

    Raises:
        ModelError: If a site is missing; lists the sites of the model.
    """
    missing = [site for site in wanted if site not in sites.names]
    if missing:
        offered = ", ".join(sites.names)
        raise ModelError(f"{name} has no site {', '.join(missing)} for strategy '{strategy}'; it offers {offered}")


def forward_arguments(module: nn.Module) -> tuple[str, ...]:
    """Return the argument names of a module's forward, in order, without `self`."""
    names = tuple(inspect.signature(type(module).forward).parameters)[1:]
    inner = _without_adapters(module)
    return names if inner is module or "input_ids" in names else forward_arguments(inner)


def hidden_size(model: nn.Module) -> int | None:
    """Return the hidden size in a model's configuration; None if it has none."""
    encoder = getattr(getattr(model, "config", None), "encoder", None)
    size = getattr(_text_config(model), "hidden_size", None) or getattr(encoder, "hidden_size", None)
    return size if isinstance(size, int) else None


def pad_token_id(model: nn.Module) -> int | None:
    """Return the id of the padding token in a model's configuration; None if it has none."""
    return getattr(_text_config(model), "pad_token_id", None)


def _text_config(model: nn.Module) -> Any:
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def hidden_of(output: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Return the hidden state of a block's output: the output itself or its first element."""
    return output[0] if isinstance(output, tuple | list) else output


def problem_type(model: nn.Module) -> str | None:
    """Return `config.problem_type` of a model; None if it declares none."""
    return getattr(getattr(model, "config", None), "problem_type", None)
