"""Low-rank adapters (Hu et al. 2021) by peft: added to a classifier, merged into it, saved, and loaded."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from textmix.errors import ModelError, listed
from textmix.hooks.sites import find_sites
from textmix.io.files import read_json, replacing
from textmix.models.config import LoraOptions

# Names that peft gives: to the files of an adapter, to the only adapter of a model, and to the model inside of its own.
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_ONLY, _INNER, _SIDES = "default", "base_model.model.", ("lora_A", "lora_B")

logger = logging.getLogger(__name__)


def import_peft() -> Any:
    """Import peft.

    Raises:
        ModelError: If it is not installed.
    """
    try:
        import peft
    except ImportError:
        raise ModelError("adapters need peft: pip install 'textmix[lora]'") from None
    return peft


def add_adapters(model: PreTrainedModel, options: LoraOptions, base: str) -> None:
    """Freeze the encoder of a classifier and put adapters on its linear maps; only they and the head are trained.

    The classifier keeps its class. New adapters do not change its outputs.

    Args:
        model: A classifier.
        options: The adapters; their rank is set.
        base: Name of the model whose encoder it is, which is saved with the adapters.

    Raises:
        ModelError: If peft is not installed, or a target is not among the linear maps.
    """
    peft, rank = import_peft(), options.rank
    assert rank is not None
    head = _head(model)
    targets = _targets(model, head, options.targets)
    config = peft.LoraConfig(  # without task_type, by which peft would also save everything named `score`
        base_model_name_or_path=base,
        r=rank,
        lora_alpha=2 * rank if options.alpha is None else options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in targets),
    )
    peft.inject_adapter_in_model(config, model)
    # Only now: peft would wrap the head, whose last linear map calibration divides and mixing reads.
    config.modules_to_save = head
    config.target_modules = sorted(config.target_modules)  # a set, which would be saved in any order
    for name in head:
        model.get_submodule(name).requires_grad_(True)
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    share = sum(count for count, trained in counts if trained) / sum(count for count, _ in counts)
    logger.info(f"adapters of rank {rank} on {len(targets)} linear maps: {share:.1%} of the weights are trained")


def _head(model: PreTrainedModel) -> list[str]:
    """Name the modules with weights outside of the encoder, and the linear maps inside of it behind its blocks.

    Those inside are BERT's pooler, and the classifier of a model that does not say which part is its encoder.
    """
    encoder, sites = model.base_model, find_sites(model)
    children = [] if encoder is model else [*model.named_children()]
    outside = [name for name, child in children if child is not encoder and any(True for _ in child.parameters())]
    within = {module for block in sites.blocks for module in block.module.modules()}
    named = [(name, module) for name, module in model.named_modules() if name.partition(".")[0] not in outside]
    last = max((number for number, (_, module) in enumerate(named) if module in within), default=len(named))
    behind = [name for name, module in named[last + 1 :] if _is_linear(module)]
    return [*outside, *(behind or [name for name, module in named if module is sites.classifier])]


def _targets(model: PreTrainedModel, head: list[str], asked: list[str] | None) -> list[str]:
    """Name the linear maps that get adapters.

    Raises:
        ModelError: If a name fits none of those outside of the head.
    """
    in_head = tuple(f"{name}." for name in head)
    named = [(name, module) for name, module in model.named_modules() if not f"{name}.".startswith(in_head)]
    linear = [name for name, module in named if _is_linear(module)]
    if asked is None:
        within = {module for block in find_sites(model).blocks for module in block.module.modules()}
        found = [name for name, module in named if name in linear and module in within] or linear
    else:
        ends = tuple(f".{target}" for target in asked)
        found = [name for name in linear if f".{name}".endswith(ends)]
        missing = [target for target in asked if not any(f".{name}".endswith(f".{target}") for name in found)]
        if missing:
            known = dict.fromkeys(name.rpartition(".")[2] for name in linear)
            raise ModelError(
                f"model.lora.targets: no linear map of {type(model).__name__} is named {', '.join(missing)}; there are"
                f" {listed(known)}"
            )
    if not found:
        raise ModelError(f"{type(model).__name__} has no linear maps that adapters fit on; leave out model.lora")
    return found


def _is_linear(module: nn.Module) -> bool:
    # Not derived classes: that of MultiheadAttention is not called as a module.
    return type(module) in (nn.Linear, Conv1D)


def _adapted(model: nn.Module) -> list[tuple[str, Any]]:
    """Return the layers with an adapter, with their names."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "lora_A")]


def has_adapters(model: nn.Module) -> bool:
    """Return whether a model has adapters that are not merged."""
    return bool(_adapted(model))


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Merge the adapters of a model within a `with` block, in which it is the same as a model without adapters.

    After it, all weights are bit for bit what they were. A model without adapters stays as it is.
    """
    layers = _adapted(model)
    weights = [layer.get_base_layer().weight for _, layer in layers]
    try:
        _merge(model, layers)
        yield
    finally:
        for (name, layer), weight in zip(layers, weights, strict=True):
            layer.get_base_layer().weight = weight
            _put(model, name, layer)


def _merge(model: nn.Module, layers: list[tuple[str, Any]]) -> None:
    for name, layer in layers:
        linear = layer.get_base_layer()
        weight = linear.weight.detach() + layer.get_delta_weight(_ONLY).detach()
        linear.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
        _put(model, name, linear)


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def save_adapters(model: Any, directory: Path) -> None:
    """Write the adapters and the head of a model as peft does, so that `PeftModel.from_pretrained` loads them.

    Args:
        model: A model from `add_adapters`, or a copy of one.
        directory: Directory of the adapters, which is replaced.
    """
    config = model.peft_config[_ONLY]
    weights = {
        f"{_INNER}{name}.{side}.weight": getattr(layer, side)[_ONLY].weight
        for name, layer in _adapted(model)
        for side in _SIDES
    }
    with replacing(directory) as temporary:
        config.save_pretrained(str(temporary))
        _save_weights(weights | _head_weights(model, config.modules_to_save), temporary)


def finish_adapters(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Complete saved adapters: with the head of the finished model, which may be calibrated, and its configuration.

    Args:
        model: The finished model, with merged adapters.
        tokenizer: Its tokenizer.
        directory: Where `save_adapters` has written.
    """
    head = read_json(directory / _CONFIG, lambda content: list(content["modules_to_save"]))
    weights = load_file(directory / _WEIGHTS) | _head_weights(model, head)
    with replacing(directory) as temporary:
        temporary.mkdir()
        shutil.copy(directory / _CONFIG, temporary)
        _save_weights(weights, temporary)
        model.config.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def _head_weights(model: nn.Module, head: list[str]) -> dict[str, Tensor]:
    return {
        f"{_INNER}{name}.{key}": weight
        for name in head
        for key, weight in model.get_submodule(name).state_dict().items()
    }


def _save_weights(weights: dict[str, Tensor], directory: Path) -> None:
    save_file({name: weight.detach().contiguous() for name, weight in weights.items()}, directory / _WEIGHTS)


def is_adapter(path: str | Path) -> bool:
    """Test whether a path is the directory of an adapter."""
    return (Path(path) / _CONFIG).is_file()


def base_of(directory: Path) -> str:
    """Return the name of the model that an adapter was trained on.

    Raises:
        ModelError: If there are no weights that can be loaded.
        RunError: If the directory is damaged.
    """
    if not (directory / _WEIGHTS).is_file():
        raise ModelError(f"{directory} has no {_WEIGHTS}; pickled weights can run code and are not loaded")
    return read_json(directory / _CONFIG, lambda content: str(content["base_model_name_or_path"]))


def merge_saved(model: PreTrainedModel, directory: Path) -> None:
    """Load saved adapters and their head into the model that they were trained on, and merge them.

    Raises:
        ModelError: If peft is not installed, or the weights are those of another model.
    """
    peft = import_peft()
    config = peft.LoraConfig.from_pretrained(str(directory))
    head = tuple(f"{name}." for name in config.modules_to_save)
    config.modules_to_save = None  # peft would wrap the head
    peft.inject_adapter_in_model(config, model)
    saved = {_inside(name): weight for name, weight in load_file(directory / _WEIGHTS).items()}
    missing, unknown = model.load_state_dict(saved, strict=False)
    wrong = [*unknown, *(name for name in missing if ".lora_" in name or name.startswith(head))]
    if wrong:
        raise ModelError(f"its weights are of another model: {listed(wrong, 3)}")
    _merge(model, _adapted(model))
    del model.peft_config
    model.requires_grad_(True)


def _inside(name: str) -> str:
    """Return the name inside of a model of a weight that `save_adapters` has saved."""
    name = name.removeprefix(_INNER)
    for side in _SIDES:
        name = name.replace(f".{side}.", f".{side}.{_ONLY}.")
    return name
