"""Kill runs of a nursery at chosen moments, and compare what they leave."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from tests.support.nursery import Nursery

HISTORY, CONFIG = "history.jsonl", "config.yaml"


def kill_at_step(nursery: Nursery, arguments: list[str], directory: Path, step: int) -> int:
    """Run a command, and kill it as soon as its history has so many lines; returns how it ended."""
    pid = nursery.start(arguments)
    while not is_dead(pid):
        if _lines(directory / HISTORY) >= step:
            _kill(pid)
            break
        time.sleep(0.0005)
    return nursery.end()


def kill_after(nursery: Nursery, arguments: list[str], seconds: float) -> int:
    """Run a command, and kill it after some time; returns how it ended."""
    pid = nursery.start(arguments)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_dead(pid):
        time.sleep(0.0005)
    _kill(pid)
    return nursery.end()


def kill_while_writing(
    nursery: Nursery, arguments: list[str], directory: Path, pattern: str, delay: float = 0.0, skip: int = 0
) -> int:
    """Run a command, and kill it while a path is there that matches a pattern.

    Args:
        nursery: Starts it.
        arguments: The command.
        directory: Where to look.
        pattern: What to look for.
        delay: Seconds to wait when it is there.
        skip: How often to let it come and go.

    Returns:
        How it ended.
    """
    pid = nursery.start(arguments)
    seen: list[Path] = []
    while not is_dead(pid):
        before, seen = seen, list(directory.glob(pattern))
        if seen and seen != before:
            if not skip:
                time.sleep(delay)
                _kill(pid)
                break
            skip -= 1
    return nursery.end()


def _kill(pid: int) -> None:
    # Nobody has waited for it before the nursery, and the nursery tells only afterwards: the number is still its own,
    # or of a process that is gone.
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_dead(pid: int) -> bool:
    """Say whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def outcome(directory: Path) -> dict[str, Any]:
    """Read all that a run leaves, but for the times and the name of its directory."""
    found: dict[str, Any] = {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    found[CONFIG] = {**yaml.safe_load(found[CONFIG]), "output_dir": None}
    if "metrics.json" in found:
        metrics = json.loads(found["metrics.json"])
        del metrics["train"]["seconds"], metrics["train"]["samples_per_second"]
        found["metrics.json"] = json.dumps(metrics)
    return found


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name the files in which two outcomes differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def go_on(train: list[str], directory: Path) -> list[str]:
    """Say how to go on with a killed run: what was killed before it wrote anything is started anew."""
    if (directory / CONFIG).exists():
        return ["train", "--resume", str(directory)]
    shutil.rmtree(directory, ignore_errors=True)
    return [*train, "--output_dir", str(directory)]
