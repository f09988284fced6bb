"""Checkpoints: what is kept, what is damaged, what is refused."""

import hashlib
import json
import logging
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.full_disk import little_room
from textmix.errors import RunError
from textmix.training.checkpoint import find_checkpoints, load_checkpoint, save_checkpoint
from textmix.training.random_state import random_state, restore_random_state


def linear(value: float) -> nn.Linear:
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, value)
    return model


def save(run: Path, step: int, **options: Any) -> Path:
    return save_checkpoint(run, step, {"model": linear(step)}, {"step": step}, **options)


def load(run: Path) -> float:
    """Load; returns the weight that was found."""
    model = linear(-1)
    state = load_checkpoint(run, {"model": model})
    assert state is not None
    assert float(model.weight.detach()[0, 0]) == state["step"]
    return state["step"]


class TestRotation:
    @pytest.mark.parametrize(("keep", "left"), [(1, {9}), (2, {7, 9}), (9, {1, 3, 5, 7, 9})])
    def test_the_last_ones_stay(self, tmp_path: Path, keep: int, left: set[int]) -> None:
        for step in (1, 3, 5, 7, 9):
            save(tmp_path, step, keep=keep)
        assert set(find_checkpoints(tmp_path)) == left
        assert load(tmp_path) == 9

    def test_the_best_stays_too(self, tmp_path: Path) -> None:
        for step in (1, 3, 5, 7):
            save(tmp_path, step, best_step=3)
        assert set(find_checkpoints(tmp_path)) == {3, 7}

    def test_those_that_the_run_went_back_behind_go(self, tmp_path: Path) -> None:
        save(tmp_path, 10)
        save(tmp_path, 5, keep=2)
        assert set(find_checkpoints(tmp_path)) == {5}


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "truncated": ("state.pt", truncate, r"state\.pt has \d+ bytes instead of \d+"),
    "a bit flipped": ("model.safetensors", flip, r"model\.safetensors has another SHA-256 than when it was written"),
    "missing": ("model.safetensors", Path.unlink, r"model\.safetensors is missing"),
    "no manifest": ("manifest.json", Path.unlink, r"it has no manifest\.json"),
    "half a manifest": ("manifest.json", lambda file: file.write_text("{"), r"its manifest\.json cannot be read"),
    "another manifest": ("manifest.json", lambda file: file.write_text("[1]"), r"its manifest\.json cannot be read"),
    "a file too many": ("other", Path.touch, r"other is not in its manifest\.json"),
}


@pytest.mark.parametrize("name", DAMAGES)
class TestDamage:
    def damage(self, checkpoint: Path, name: str) -> str:
        file, change, reason = DAMAGES[name]
        change(checkpoint / file)
        return reason

    def test_it_is_named_and_the_newest_good_one_is_used(
        self, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        for step in (1, 2, 3):
            save(tmp_path, step, keep=3)
        reason = self.damage(tmp_path / "checkpoints" / "step-00000003", name)
        with caplog.at_level(logging.INFO, "textmix"):
            assert load(tmp_path) == 2
        (line,) = caplog.messages
        assert re.fullmatch(
            rf"{tmp_path}/checkpoints/step-00000003 is damaged \({reason}\); resuming from step-00000002", line
        )

    def test_if_none_is_good_one_line_says_so(self, tmp_path: Path, name: str) -> None:
        save(tmp_path, 1)
        reason = self.damage(tmp_path / "checkpoints" / "step-00000001", name)
        with pytest.raises(
            RunError, match=rf"every checkpoint of .* is damaged \(step-00000001: {reason}\); to start from"
        ):
            load(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, {}) is None


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> Any:
        return (Path.touch, (self.fuse,))


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_state_that_would_run_code_is_refused(tmp_path: Path, how: str) -> None:
    """Even with a manifest that fits."""
    fuse = tmp_path / "fuse"
    checkpoint = save(tmp_path, 1)
    if how == "pickle":
        (checkpoint / "state.pt").write_bytes(pickle.dumps(Bomb(fuse)))
    else:
        torch.save({"step": Bomb(fuse)}, checkpoint / "state.pt")
    forge_manifest(checkpoint)
    with pytest.raises(
        RunError, match=r"state\.pt was not loaded: it holds objects other than tensors and plain values"
    ):
        load(tmp_path)
    assert not fuse.exists()
    # The bomb is a real one.
    if how == "torch":
        torch.load(checkpoint / "state.pt", weights_only=False)
    else:
        pickle.loads((checkpoint / "state.pt").read_bytes())
    assert fuse.exists()


def forge_manifest(checkpoint: Path) -> None:
    files = [path for path in checkpoint.iterdir() if path.name != "manifest.json"]
    described = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in files
    }
    (checkpoint / "manifest.json").write_text(json.dumps({"files": described}))


@pytest.mark.parametrize("large", ["model", "state"])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, large: str) -> None:
    save(tmp_path, 1)
    models = {"model": nn.Linear(2, 9000 if large == "model" else 2)}
    state = {"step": 2, "tensor": torch.zeros(9000 if large == "state" else 2)}
    with little_room(16384), pytest.raises(OSError, match="File too large"):
        save_checkpoint(tmp_path, 2, models, state)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert load(tmp_path) == 1


def test_every_generator_goes_back_to_where_it_was(tmp_path: Path) -> None:
    def draw() -> list[float]:
        legacy = np.random.standard_normal(3).tolist()  # noqa: NPY002
        return [random.random(), random.gauss(0, 1), *legacy, *torch.rand(3).tolist()]

    draw()
    save_checkpoint(tmp_path, 1, {}, {"random": random_state()})
    first = draw()
    draw()
    state = load_checkpoint(tmp_path, {})
    assert state is not None
    restore_random_state(state["random"])
    assert draw() == first
