"""Find the sites of a model from its structure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from textmix.errors import ModelError
from textmix.hooks.blocks import MEMORY, Block, find_blocks, forward_arguments, modules_with_mask, without_adapters
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS, layer


@dataclass(frozen=True)
class Decoder:
    """The decoder of an encoder-decoder, which reads the tokens again and ends at the sentence vector.

    Args:
        first: Number of its first block, counted from 0; those before are the encoder's.
        model: The encoder-decoder, whose output begins with the last hidden state (B, L, H) of the decoder.
        head: The classifier's outermost module, whose input (B, H) is the hidden state at the last end-of-sequence
            token.
        eos: Id of that token.
    """

    first: int
    model: nn.Module
    head: nn.Module
    eos: int


@dataclass(frozen=True)
class Sites:
    """The sites of a model.

    Args:
        blocks: The blocks in the order they run, a shared block once for each run; empty if none were found. Those of a
            decoder follow those of its encoder.
        decoder: The decoder, if its blocks are among them.
        embeddings: The module whose output (B, L, H) is the embeddings, if no blocks were found.
        siblings: Sibling modules of the list of blocks, which may also read a block's input (DeBERTa's convolution).
        masked: Modules outside the blocks that take the attention mask.
        classifier: The last linear map, whose input is the sentence vector; None if none was found.
        averages: Whether a model that pools after its classifier averages its real positions; else it takes the last.
        tokens: Whether the model takes token ids.
    """

    blocks: tuple[Block, ...] = ()
    decoder: Decoder | None = None
    embeddings: nn.Module | None = None
    siblings: tuple[nn.Module, ...] = ()
    masked: tuple[Block, ...] = ()
    classifier: nn.Module | None = None
    averages: bool = False
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
    layers, in the encoder's configuration. The classifier is the last linear map with one output for each label. In an
    encoder-decoder the blocks of the decoder follow those of the encoder.

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
    inner = without_adapters(model)
    encoder = getattr(inner, "base_model", inner)
    if getattr(config, "is_encoder_decoder", False):
        sites = _find_encoder_decoder(inner, encoder)
    else:
        sites = _find_encoder(encoder, getattr(encoder, "config", config))
    classifier = _find_classifier(model, sites.blocks)
    if classifier is None and not sites.blocks:
        raise ModelError(
            f"{type(model).__name__} offers no site for mixing: neither a list of equal blocks nor a last linear map"
            " with config.num_labels outputs was found"
        )
    # The one field in which a configuration says so (EuroBERT); the first forward pass checks it.
    averages = getattr(config, "classifier_pooling", None) == "late"
    tokens = "input_ids" in forward_arguments(model)
    return replace(sites, classifier=classifier, averages=averages, tokens=tokens)


def _find_encoder(encoder: nn.Module, config: object) -> Sites:
    """Find the sites of an encoder, or of a decoder without one."""
    count = getattr(config, "num_hidden_layers", None)
    blocks, siblings = find_blocks(encoder, (count, getattr(config, "num_hidden_groups", None)))
    if not blocks or not isinstance(count, int):
        return Sites(embeddings=getattr(encoder, "embeddings", None))
    # Layers of a group share their weights and run one after another (ALBERT).
    running = tuple(blocks[number * len(blocks) // count] for number in range(count))
    return Sites(running, siblings=siblings, masked=modules_with_mask(encoder, blocks))


def _find_encoder_decoder(model: nn.Module, base: nn.Module) -> Sites:
    """Find the blocks of an encoder-decoder; none if it is not known how it pools."""
    stacks = [getattr(base, name, None) for name in ("encoder", "decoder")]
    classifier = _find_classifier(model, ())
    heads = (child for child in model.children() if child is not base and classifier in [*child.modules()])
    head = next(heads, None)
    eos = getattr(getattr(model, "config", None), "eos_token_id", None)
    if head is None or not isinstance(eos, int) or not all(isinstance(stack, nn.Module) for stack in stacks):
        return Sites()
    (encoder, siblings), (decoder, _) = (find_blocks(stack) for stack in stacks if stack is not None)
    if not encoder or not decoder or MEMORY not in decoder[0].arguments:
        return Sites()
    return Sites((*encoder, *decoder), Decoder(len(encoder), base, head, eos), siblings=siblings)


def _find_classifier(model: nn.Module, blocks: tuple[Block, ...]) -> nn.Module | None:
    """Find the last linear map with one output for each label, or the adapter that wraps it."""
    num_labels = getattr(getattr(model, "config", None), "num_labels", None)
    inside = {module for block in blocks for module in block.module.modules()}
    found = [
        module
        for module in model.modules()
        if num_labels is not None and getattr(module, "out_features", None) == num_labels and module not in inside
    ]
    within = {inner for module in found for inner in module.modules() if inner is not module}
    outermost = [module for module in found if module not in within]
    return outermost[-1] if outermost else None


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


def hidden_size(model: nn.Module) -> int | None:
    """Return the hidden size in a model's configuration; None if it has none."""
    size = getattr(_text_config(model), "hidden_size", None)
    return size if isinstance(size, int) else None


def pad_token_id(model: nn.Module) -> int | None:
    """Return the id of the padding token in a model's configuration; None if it has none."""
    return getattr(_text_config(model), "pad_token_id", None)


def _text_config(model: nn.Module) -> Any:
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def problem_type(model: nn.Module) -> str | None:
    """Return `config.problem_type` of a model; None if it declares none."""
    return getattr(getattr(model, "config", None), "problem_type", None)
