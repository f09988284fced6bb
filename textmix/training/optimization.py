"""The optimizer, its parameter groups, its schedule, and the precision."""

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
from textmix.io.compat import cpu_capabilities, gradient_norm
from textmix.training.cpu.embedding import compact_embeddings


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Divide the trained parameters into two groups, with and without weight decay.

    Biases and the scales of normalisations do not decay: in every architecture they have one dimension.

    Args:
        model: Any model.
        weight_decay: Weight decay of the first group.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.dim() > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() <= 1], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """Build a fused AdamW for the trained parameters of a model; unused rows of compact embeddings decay, too."""
    optimizer = AdamW(parameter_groups(model, weight_decay), lr=learning_rate, fused=True)
    for embedding in compact_embeddings(model):
        optimizer.register_step_post_hook(embedding.decay)
    return optimizer


def clip_gradients(accelerator: Accelerator, model: nn.Module, optimizer: AcceleratedOptimizer, most: float) -> None:
    """Clip the gradients of a model to a norm, now or in the optimizer step.

    A fused AdamW can divide the gradients by a number in its step, as it does for a loss scaler, which saves a pass
    over the gradients. With a loss scaler or sharded gradients accelerate clips them at once.

    Args:
        accelerator: The accelerator that prepared the model.
        model: A model whose gradients are complete.
        optimizer: The prepared optimizer from `build_optimizer`.
        most: Maximum norm.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if accelerator.scaler is not None or any(type(gradient) is not Tensor for gradient in gradients):
        accelerator.clip_grad_norm_(model.parameters(), most)
        return
    # 1e-6 as in torch.nn.utils.clip_grad_norm_; the fused step needs float32.
    norm = gradient_norm(gradients)
    optimizer.optimizer.grad_scale = ((norm + 1e-6) / most).clamp(min=1).float()


def build_schedule(optimizer: AdamW, config: TrainConfig, total_steps: int) -> LRScheduler:
    """Build the learning-rate schedule: warm-up, then `config.schedule` over the rest of `total_steps`."""
    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    warmup = round(config.warmup_ratio * total_steps)
    schedule: LRScheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total_steps)
    return schedule


def choose_precision(asked: Literal["auto", "fp32", "bf16", "fp16"]) -> Literal["fp32", "bf16", "fp16"]:
    """Choose the precision for this machine.

    On a CPU that emulates bf16 it is several times slower than fp32, so `auto` chooses bf16 only where the machine has
    instructions for it.

    Raises:
        ConfigError: If `asked` is fp16 and there is no GPU.
    """
    if asked == "fp16" and not torch.cuda.is_available():
        raise ConfigError("train.precision fp16 needs a GPU; use bf16 or fp32")
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = cpu_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "fp32"
