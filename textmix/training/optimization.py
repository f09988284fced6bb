"""The optimizer, its parameter groups, its schedule, and the precision of the arithmetic."""

from typing import Any, Literal

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from textmix.errors import ConfigError
from textmix.training.config import TrainConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Divide the trained parameters into those that decay and those that do not.

    Biases and the scales of normalisations do not: both have one dimension, in every architecture.

    Args:
        model: Any model.
        weight_decay: Decay of the first group.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() <= 1], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """Build a fused AdamW over the trained parameters of a model."""
    return AdamW(parameter_groups(model, weight_decay), lr=learning_rate, fused=True)


def build_schedule(optimizer: AdamW, config: TrainConfig, total_steps: int) -> LRScheduler:
    """Build the schedule of the learning rate: warm-up, then `config.schedule` over the rest of `total_steps`."""
    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    warmup = round(config.warmup_ratio * total_steps)
    schedule: LRScheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total_steps)
    return schedule


def choose_precision(asked: Literal["auto", "fp32", "bf16", "fp16"]) -> Literal["fp32", "bf16", "fp16"]:
    """Choose the precision for this machine.

    bf16 on a CPU that has to emulate it is several times slower than fp32, so `auto` takes it only where there are
    instructions for it.

    Raises:
        ConfigError: If fp16 is asked for without a GPU.
    """
    if asked == "fp16" and not torch.cuda.is_available():
        raise ConfigError("train.precision fp16 needs a GPU; use bf16 or fp32")
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "fp32"
