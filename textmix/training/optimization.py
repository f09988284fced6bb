"""The optimizer, its parameter groups, its schedule, and the precision of the arithmetic."""

from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from textmix.config.train import TrainConfig
from textmix.errors import ConfigError
from textmix.training.cpu.embedding import compact_embeddings


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
    """Build a fused AdamW over the trained parameters of a model; compact embeddings decay as a whole."""
    optimizer = AdamW(parameter_groups(model, weight_decay), lr=learning_rate, fused=True)
    for embedding in compact_embeddings(model):
        optimizer.register_step_post_hook(embedding.decay)
    return optimizer


def clip_gradients(accelerator: Accelerator, model: nn.Module, optimizer: AcceleratedOptimizer, most: float) -> None:
    """Scale the gradients of a model down to a norm, at the latest when the optimizer makes its step.

    A fused AdamW can divide the gradients by a number on its way through them, as it does for a loss scaler; that saves
    a pass over all of them. Where there is a scaler, or gradients are sharded, accelerate scales them at once.

    Args:
        accelerator: What prepared the model.
        model: Its gradients are complete.
        optimizer: From `build_optimizer`, prepared.
        most: The norm.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if accelerator.scaler is not None or any(type(gradient) is not Tensor for gradient in gradients):
        accelerator.clip_grad_norm_(model.parameters(), most)
        return
    # The same small number as in torch.nn.utils.clip_grad_norm_.
    norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
    optimizer.optimizer.grad_scale = ((norm + 1e-6) / most).clamp(min=1).float()  # as the fused step wants it


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
