"""Attach a mixer to a classifier and take it off again: the one mechanism through which everything in textmix mixes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from textmix.hooks.attached_mixer import AttachedMixer as AttachedMixer
from textmix.mixing.config import LossConfig, MixConfig, mix_config


def attach(
    model: nn.Module,
    config: MixConfig,
    seed: int = 0,
    rank: int | None = None,
    loss: LossConfig | None = None,
    strict: bool = False,
) -> AttachedMixer:
    """Attach a mixer to a classifier.

    Args:
        model: A Hugging Face classifier or a textmix model; its forward takes `labels`.
        config: How to mix.
        seed: Seed of the mixer's own generator.
        rank: Number of this process; None asks torch.distributed, so that each process draws differently.
        loss: How to score; None means the plain loss of the labels' kind.
        strict: Refuse training batches without labels.

    Returns:
        The mixer, which is also `model.mixer` until it is detached.

    Raises:
        ModelError: If the model has a mixer already or lacks a site that the strategy needs.
        ConfigError: If the strategy or the loss needs something that the configuration leaves open.
    """
    if rank is None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
    mixer = AttachedMixer(model, config, loss or LossConfig(), seed, rank, strict)
    mixer.attach()
    return mixer


@contextmanager
def mixing(
    model: nn.Module,
    config: MixConfig | None = None,
    *,
    seed: int = 0,
    loss: LossConfig | None = None,
    **options: Any,
) -> Iterator[AttachedMixer]:
    """Mix within a `with` block and leave the model as it was, also after an exception.

    Args:
        model: As in `attach`.
        config: How to mix; or give the fields of `MixConfig` as keywords.
        seed: As in `attach`.
        loss: As in `attach`.
        **options: Fields of `MixConfig`, when `config` is None.

    Yields:
        The mixer.
    """
    mixer = attach(model, mix_config(config, options), seed=seed, loss=loss)
    try:
        yield mixer
    finally:
        mixer.detach()
