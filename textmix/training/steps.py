"""Train a model for a fixed number of steps on losses that the caller computes: no epochs, no checkpoints."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel, get_scheduler

from textmix.errors import TrainingError
from textmix.io.compat import current_accelerator
from textmix.training.cpu.dropout import byte_dropout
from textmix.training.optimization import build_optimizer

_WEIGHT_DECAY, _MAX_GRAD_NORM = 0.01, 1.0  # Devlin et al. 2019
# Steps between two looks at the loss, for which a GPU is waited for.
_LOOK = 10


@dataclass(frozen=True)
class Steps:
    """How many steps are made, and how large they are.

    Args:
        count: Number of optimizer steps, at least 1.
        learning_rate: Highest learning rate; it falls linearly to zero after the warm-up.
        warmup_ratio: Share of the steps over which it rises from zero.
        name: What is trained, for the progress bar.
        learning_rate_option: The option of the learning rate, for errors.
        precision_option: The option of the precision, for errors.
        show_progress: Show a progress bar.
    """

    count: int
    learning_rate: float
    warmup_ratio: float
    name: str
    learning_rate_option: str
    precision_option: str
    show_progress: bool = True


class StepsMade(NamedTuple):
    """What was trained.

    Args:
        steps: Number of optimizer steps.
        loss: Mean loss of the last tenth of the steps.
        seconds: Training time.
    """

    steps: int
    loss: float
    seconds: float


def run_steps(
    model: PreTrainedModel,
    steps: Steps,
    precision: Literal["fp32", "bf16", "fp16"],
    compute_loss: Callable[[int], Tensor],
    after_step: Callable[[], None] = lambda: None,
) -> StepsMade:
    """Train a model with AdamW, on the device that it is on.

    Args:
        model: The model; its mode is restored.
        steps: How many steps.
        precision: `fp32`, or the precision of autocast.
        compute_loss: Called with the number of each step, from 0, within autocast; returns its loss, a scalar.
        after_step: Called after each step.

    Raises:
        TrainingError: If a loss is not finite; names the step.
    """
    optimizer = build_optimizer(model, steps.learning_rate, _WEIGHT_DECAY)
    warmup = round(steps.warmup_ratio * steps.count)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=warmup, num_training_steps=steps.count)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    losses = torch.zeros(steps.count, device=model.device)
    began = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(_training(model))
        bar = stack.enter_context(_progress_bar(steps))
        for step in range(steps.count):
            with autocast(model.device, precision):
                loss = compute_loss(step)
            torch.autograd.backward(loss)
            losses[step] = loss.detach()
            if step % _LOOK == _LOOK - 1 or step == steps.count - 1:
                _check(losses, step, steps, precision)
                bar.set_postfix(loss=f"{losses[step].item():.3f}", refresh=False)
            nn.utils.clip_grad_norm_(parameters, _MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            after_step()
            bar.update()
    last = losses[-max(1, steps.count // 10) :].mean().item()
    return StepsMade(steps.count, last, time.perf_counter() - began)


def autocast(
    device: torch.device, precision: Literal["fp32", "bf16", "fp16"], cache_enabled: bool = True
) -> torch.autocast:
    """Return autocast to a precision for a `with` block; it does nothing for `fp32`.

    Args:
        device: Device of the model.
        precision: The precision.
        cache_enabled: Keep the weights that were cast. Before a training pass in the same block, a pass without
            gradients must not: in older versions of torch the weights that it leaves have no gradient.
    """
    kind = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=precision != "fp32", cache_enabled=cache_enabled)


@contextmanager
def on_accelerator(model: PreTrainedModel) -> Iterator[torch.device]:
    """Move a model to the accelerator, if there is one, for a `with` block; yields the device."""
    before = model.device
    device = current_accelerator() or torch.device("cpu")
    nn.Module.to(model, device)
    try:
        yield device
    finally:
        nn.Module.to(model, before)


@contextmanager
def _training(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.train()
    try:
        with byte_dropout(model) if model.device.type == "cpu" else ExitStack():
            yield
    finally:
        model.train(was_training)


def _progress_bar(steps: Steps) -> "tqdm[None]":
    interval = 0.2 if sys.stderr.isatty() else 10  # fewer lines in a log file
    bar = tqdm(total=steps.count, desc=steps.name, unit="step", mininterval=interval, disable=not steps.show_progress)
    return cast("tqdm[None]", bar)


def _check(losses: Tensor, step: int, steps: Steps, precision: str) -> None:
    wrong = (~torch.isfinite(losses[: step + 1])).nonzero()
    if len(wrong):
        raise TrainingError(
            f"the loss is not finite at step {wrong[0].item() + 1}; lower {steps.learning_rate_option} (now"
            f" {steps.learning_rate}) or use {steps.precision_option} fp32 (now {precision})"
        )
