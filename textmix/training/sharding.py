"""Training with FSDP and DeepSpeed, which shard the weights: options that do not work with them, and saving."""

import os
from collections.abc import Iterator
from typing import Any

from accelerate import Accelerator, DistributedType
from torch import Tensor, nn

from textmix.config.train import TrainConfig
from textmix.errors import ConfigError
from textmix.hooks.sites import find_sites
from textmix.mixing.config import MixConfig
from textmix.models.lora import has_adapters

_SHARDED = {DistributedType.FSDP: "FSDP", DistributedType.DEEPSPEED: "DeepSpeed"}
_BY_MEANING = ("nearest", "farthest")


def sharded_by(accelerator: Accelerator) -> str | None:
    """Return `FSDP` or `DeepSpeed` if it shards the weights; None if each process has all of them."""
    return _SHARDED.get(accelerator.distributed_type)


def prepare_sharding(accelerator: Accelerator, model: nn.Module, config: TrainConfig, mix: MixConfig) -> None:
    """Configure FSDP or DeepSpeed, and refuse options that do not work with sharded weights.

    Raises:
        ConfigError: If there are such options; names all of them.
    """
    sharder = sharded_by(accelerator)
    asked = [name for name in _SHARDED.values() if os.environ.get(f"ACCELERATE_USE_{name.upper()}") == "true"]
    if sharder is None and asked:
        raise ConfigError(f"{asked[0]} needs GPUs; without them accelerate would silently ignore it")
    if sharder is None:
        return
    wrong = []
    if sharder == "FSDP":
        plugin = accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            wrong.append("version 1 flattens the weights, so that biases would decay: set fsdp_version: 2")
        # Shard by block. By default accelerate takes the classes that transformers names, with BERT also the
        # embeddings, and then fails to shard their table a second time.
        plugin.transformer_cls_names_to_wrap = sorted(
            {type(block.module).__name__ for block in find_sites(model).blocks}
        )
        if not plugin.transformer_cls_names_to_wrap:
            plugin.auto_wrap_policy = None
    if isinstance(config.save_steps, int):
        wrong.append("checkpoints are not supported: set train.save_steps to null")
    if config.ema_decay is not None:
        wrong.append("weights cannot be averaged: set train.ema_decay to null")
    if has_adapters(model):
        wrong.append("adapters are not supported: leave out model.lora")
    wrong += [f"{option} does not work: it needs {needed}" for option, needed in _needs(mix)]
    if sharder == "DeepSpeed":
        if config.accumulation_steps > 1:
            wrong.append("batches cannot be accumulated: set train.accumulation_steps to 1, enlarge train.batch_size")
        options = accelerator.state.deepspeed_plugin.deepspeed_config
        options["train_micro_batch_size_per_gpu"] = config.batch_size
        options["gradient_clipping"] = config.max_grad_norm
    if wrong:
        raise ConfigError(f"with {sharder}: {'; '.join(wrong)}")


def _needs(mix: MixConfig) -> Iterator[tuple[str, str]]:
    """Yield the options of mixing that do not work with sharded weights, each with what it needs."""
    table = "the whole embedding table"
    if "ssmix" in mix.names:
        yield "strategy ssmix", "gradients of a second pass"
    if mix.partner in _BY_MEANING:
        yield f"partner {mix.partner}", table
    if mix.lam == "similarity":
        yield "lam similarity", table
    if mix.partner == "easy_hard":
        yield "partner easy_hard", "a second pass"
    if mix.targets == "trust":
        yield "targets trust", "a second pass"


def whole_weights(accelerator: Accelerator, model: nn.Module) -> dict[str, Tensor] | None:
    """Gather sharded weights; every process must call it. None if the weights are not sharded."""
    if sharded_by(accelerator) is None:
        return None
    weights: dict[str, Any] = accelerator.get_state_dict(model)
    return weights
