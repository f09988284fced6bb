"""Checkpoints to go on from: weights as safetensors, everything else in one file that cannot run code."""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from textmix.errors import RunError
from textmix.files import replacing

_WEIGHTS, _STATE = "model.safetensors", "state.pt"


def checkpoint_directory(run: Path) -> Path:
    """Return the directory of a run's checkpoints."""
    return run / "checkpoints"


def save_checkpoint(run: Path, step: int, model: nn.Module, state: dict[str, Any]) -> Path:
    """Save a checkpoint of a run, and remove the older ones once it is complete.

    Args:
        run: Directory of the run.
        step: Optimizer steps made so far.
        model: Its weights are saved, unwrapped.
        state: Tensors, numbers, strings, lists and dictionaries of them.

    Returns:
        The checkpoint's directory.
    """
    parent = checkpoint_directory(run)
    target = parent / f"step-{step:08d}"
    with replacing(target) as temporary:
        temporary.mkdir()
        save_model(model, str(temporary / _WEIGHTS))
        torch.save(state, temporary / _STATE)
    for other in parent.glob("step-*"):
        if other != target:
            shutil.rmtree(other)
    return target


def load_checkpoint(run: Path, model: nn.Module) -> dict[str, Any]:
    """Load the newest checkpoint of a run into a model.

    Raises:
        RunError: If there is none.
    """
    found = sorted(checkpoint_directory(run).glob("step-*"))
    if not found:
        raise RunError(f"{run} has no checkpoint to go on from; train.save_steps writes them")
    load_model(model, str(found[-1] / _WEIGHTS))
    state: dict[str, Any] = torch.load(found[-1] / _STATE, map_location="cpu", weights_only=True)
    return state


def random_state() -> dict[str, Any]:
    """Return the state of torch's generators (dropout) in this process."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    """Put them back to where they were when `random_state` was asked."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
