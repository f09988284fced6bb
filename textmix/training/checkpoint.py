"""Checkpoints: written atomically, verified before they are loaded, and loaded without running code."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from textmix.errors import RunError
from textmix.io.files import replacing
from textmix.io.run_directory import checkpoint_directory

_logger = logging.getLogger(__name__)
_STATE, _MANIFEST = "state.pt", "manifest.json"
_NAME = re.compile(r"step-(\d+)")


def find_checkpoints(run: Path) -> dict[int, Path]:
    """Return the checkpoints of a run, including damaged ones, by step, the oldest first."""
    found = {int(match[1]): path for path in _children(run) if (match := _NAME.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _children(run: Path) -> list[Path]:
    parent = checkpoint_directory(run)
    return list(parent.iterdir()) if parent.is_dir() else []


def save_checkpoint(
    run: Path,
    step: int,
    models: Mapping[str, nn.Module],
    state: dict[str, Any],
    keep: int = 1,
    best_step: int | None = None,
) -> Path:
    """Save a checkpoint of a run, then remove the checkpoints that are no longer kept.

    Args:
        run: Directory of the run.
        step: Number of optimizer steps so far.
        models: Unwrapped models whose weights are saved, by the name of their file.
        state: Tensors, numbers, strings, and lists and dictionaries of them.
        keep: Number of the last checkpoints to keep.
        best_step: A step whose checkpoint is also kept, if there is one.

    Returns:
        Directory of the checkpoint.

    Raises:
        OSError: If it cannot be written; earlier checkpoints are kept.
    """
    target = checkpoint_directory(run) / f"step-{step:08d}"
    with replacing(target) as temporary:
        temporary.mkdir()
        for name, model in models.items():
            save_model(model, str(temporary / f"{name}.safetensors"))
        with (temporary / _STATE).open("wb") as file:  # torch does not report a full disk if it opens the file itself
            torch.save(state, file)
        files = {path.name: _describe(path) for path in sorted(temporary.iterdir())}
        (temporary / _MANIFEST).write_text(json.dumps({"step": step, "files": files}, indent=1) + "\n")
    found = find_checkpoints(run)
    # Later checkpoints are damaged: otherwise the run would have resumed from them.
    kept = {*[number for number in found if number <= step][-keep:], best_step}
    for number, path in found.items():
        if number not in kept:
            shutil.rmtree(path)
    return target


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def find_damage(checkpoint: Path) -> str | None:
    """Compare a checkpoint with its manifest.

    Returns:
        The first difference, or None if there is none.
    """
    manifest = checkpoint / _MANIFEST
    if not manifest.is_file():
        return f"it has no {_MANIFEST}"
    try:
        files = dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
        expected = {str(name): (int(of["size"]), str(of["sha256"])) for name, of in files.items()}
    except (KeyError, TypeError, ValueError, RecursionError):
        return f"its {_MANIFEST} cannot be read"
    found = {path.name for path in checkpoint.iterdir()} - {_MANIFEST}
    for name in sorted(expected.keys() | found | {_STATE}):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is not in its {_MANIFEST}"
        described = _describe(checkpoint / name)
        if described["size"] != expected[name][0]:
            return f"{name} has {described['size']} bytes instead of {expected[name][0]}"
        if described["sha256"] != expected[name][1]:
            return f"{name} has another SHA-256 than when it was written"
    return None


def load_checkpoint(run: Path, models: Mapping[str, nn.Module]) -> dict[str, Any] | None:
    """Load the newest undamaged checkpoint of a run; damaged ones are logged.

    Args:
        run: Directory of the run.
        models: Models to load the weights into.

    Returns:
        The saved state; None if the run has no checkpoint.

    Raises:
        RunError: If all checkpoints are damaged, or a checkpoint does not hold the state of a run.
    """
    damaged: list[tuple[Path, str]] = []
    for checkpoint in reversed(find_checkpoints(run).values()):
        damage = find_damage(checkpoint)
        if damage is None:
            for path, reason in damaged:
                _logger.info(f"{path} is damaged ({reason}); resuming from {checkpoint.name}")
            return _load(checkpoint, models)
        damaged.append((checkpoint, damage))
    if damaged:
        listed = "; ".join(f"{path.name}: {reason}" for path, reason in damaged)
        raise RunError(
            f"every checkpoint of {run} is damaged ({listed}); to start from the beginning, remove"
            f" {checkpoint_directory(run)} and resume"
        )
    return None


def _load(checkpoint: Path, models: Mapping[str, nn.Module]) -> dict[str, Any]:
    try:
        state = torch.load(checkpoint / _STATE, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{checkpoint / _STATE} was not loaded: it holds objects other than tensors and plain values"
        ) from error
    for name, model in models.items():
        weights = checkpoint / f"{name}.safetensors"
        if not weights.is_file():
            raise RunError(f"{checkpoint} has no {weights.name}: a run with other options saved it")
        load_model(model, str(weights))
    return dict(state)
