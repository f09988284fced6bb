"""Training under FSDP and DeepSpeed, which divide the weights among processes: what does not work there, and saving."""

import os
from typing import Any

from accelerate import Accelerator, DistributedType
from torch import Tensor, nn

from textmix.config.train import TrainConfig
from textmix.errors import ConfigError
from textmix.hooks.sites import find_sites
from textmix.mixing.config import MixConfig

_SHARDED = {DistributedType.FSDP: "FSDP", DistributedType.DEEPSPEED: "DeepSpeed"}
_BY_MEANING = ("nearest", "farthest")


def sharded_by(accelerator: Accelerator) -> str | None:
    """Say what divides the weights among the processes; None where each has them whole."""
    return _SHARDED.get(accelerator.distributed_type)


def prepare_sharding(accelerator: Accelerator, model: nn.Module, config: TrainConfig, mix: MixConfig) -> None:
    """Refuse what cannot work with divided weights, and tell FSDP and DeepSpeed what they must know beforehand.

    Raises:
        ConfigError: If something is asked for that needs them whole; names all of it.
    """
    sharder = sharded_by(accelerator)
    asked = [name for name in _SHARDED.values() if os.environ.get(f"ACCELERATE_USE_{name.upper()}") == "true"]
    if sharder is None and asked:
        raise ConfigError(f"{asked[0]} needs GPUs: without them accelerate would leave it out in silence")
    if sharder is None:
        return
    wrong = []
    if sharder == "FSDP":
        plugin = accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            wrong.append("its first version flattens weights so that biases would decay: set fsdp_version: 2")
        # Blocks are gathered one at a time. By default accelerate takes what transformers names, with BERT the
        # embeddings too, and then fails to divide their table again.
        plugin.transformer_cls_names_to_wrap = sorted(
            {type(block.module).__name__ for block in find_sites(model).blocks}
        )
        if not plugin.transformer_cls_names_to_wrap:
            plugin.auto_wrap_policy = None
    if isinstance(config.save_steps, int):
        wrong.append("checkpoints to go on from are not supported: set train.save_steps to null")
    if config.ema_decay is not None:
        wrong.append("weights cannot be averaged: set train.ema_decay to null")
    if "ssmix" in mix.names:
        wrong.append("strategy ssmix needs gradients of a pass of its own")
    if mix.partner in _BY_MEANING:
        wrong.append(f"partner {mix.partner} needs the embedding table whole")
    if sharder == "DeepSpeed":
        if config.accumulation_steps > 1:
            wrong.append("it counts batches itself: set train.accumulation_steps to 1 and enlarge train.batch_size")
        options = accelerator.state.deepspeed_plugin.deepspeed_config
        options["train_micro_batch_size_per_gpu"] = config.batch_size
        options["gradient_clipping"] = config.max_grad_norm
    if wrong:
        raise ConfigError(f"under {sharder}, {'; and '.join(wrong)}")


def whole_weights(accelerator: Accelerator, model: nn.Module) -> dict[str, Tensor] | None:
    """Collect divided weights; every process must take part. None where each process has them whole anyway."""
    if sharded_by(accelerator) is None:
        return None
    weights: dict[str, Any] = accelerator.get_state_dict(model)
    return weights
