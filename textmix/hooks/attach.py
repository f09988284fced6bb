"""Attach a mixer to a classifier: the one mechanism through which everything in textmix mixes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from textmix.hooks.attached_mixer import AttachedMixer
from textmix.mixing.config import MixConfig, mix_config
from textmix.mixing.loss_config import LossConfig, loss_config


def attach(
    model: nn.Module,
    config: MixConfig | None = None,
    *,
    loss: LossConfig | Mapping[str, Any] | None = None,
    seed: int = 0,
    rank: int | None = None,
    strict: bool = False,
    **options: Any,
) -> AttachedMixer:
    """Attach a mixer to a classifier: `attach(model, strategy="manifold", alpha=0.4)`.

    In a `with` block the mixer detaches at the end of the block, also after an exception. Otherwise call
    `mixer.detach()`, which restores the model.

    Args:
        model: A Hugging Face classifier or a textmix model; its forward takes `labels`.
        config: How to mix; or give the fields of `MixConfig` as keywords.
        loss: How to score, a `LossConfig` or its fields; None means the plain loss of the labels' kind.
        seed: Seed of the mixer's generator.
        rank: Rank of this process, so that each process draws differently; None takes the rank of torch.distributed.
        strict: Raise an error for training batches without labels, which cannot be mixed.
        **options: Fields of `MixConfig`, if `config` is None.

    Returns:
        The mixer, which is also `model.mixer` until it is detached.

    Raises:
        ModelError: If the model already has a mixer or lacks a site that the strategy needs.
        ConfigError: If an option is unknown, or an option that the strategy or the loss needs is missing.
    """
    if rank is None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
    mixer = AttachedMixer(model, mix_config(config, options), loss_config(loss), seed, rank, strict)
    mixer.attach()
    return mixer
