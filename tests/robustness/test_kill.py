"""Runs that are killed with SIGKILL and resumed end like those that are not, down to the last bit."""

import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import killing
from tests.support.commands import SMALL
from tests.support.nursery import Nursery
from tests.support.topics import topic_rows

OPTIONS = [*SMALL, "--train.epochs", "2", "--train.batch_size", "8", "--train.learning_rate", "0.02"]
OPTIONS += [
    "--train.log_steps",
    "1",
    "--train.save_steps",
    "3",
    "--train.ema_decay",
    "0.8",
    "--train.precision",
    "fp32",
]
STEPS = 16
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 5))]
DIES_AT_ITS_FIRST_CHECKPOINT = """
import os, signal, sys, torch
from textmix.cli.main import main

def die(event, values):
    if event == "os.mkdir" and "checkpoints" in str(values[0]):
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
sys.addaudithook(die)
sys.exit(main())
"""


@dataclass
class Reference:
    """A run that nothing has disturbed.

    Args:
        nursery: Starts others.
        train: The command that started it, without its directory.
        outcome: What it left.
        changes: How often it changed a file.
    """

    nursery: Nursery
    train: list[str]
    outcome: dict[str, Any]
    changes: int


@pytest.fixture(scope="module")
def reference(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    directory = tmp_path_factory.mktemp("killing")
    source = directory / "topics.csv"
    source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(90)))
    train = ["train", "--data.source", str(source), *OPTIONS]
    assert nursery.run([*train, "--output_dir", str(directory / "whole")]) == 0, nursery.said()
    changes = int(nursery.log.with_suffix(".count").read_text())
    return Reference(nursery, train, killing.outcome(directory / "whole"), changes)


def finish(reference: Reference, directory: Path) -> None:
    """Go on with a killed run to its end, and compare what it leaves with the reference."""
    code = reference.nursery.run(killing.go_on(reference.train, directory))
    assert code == 0, reference.nursery.said()
    assert killing.differences(reference.outcome, killing.outcome(directory)) == []


def test_the_reference_logs_every_step(reference: Reference) -> None:
    assert reference.outcome["history.jsonl"].count(b"\n") == STEPS + 2
    assert not any("checkpoint" in name or name.startswith(".") for name in reference.outcome)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_a_random_step(reference: Reference, tmp_path: Path, seed: int) -> None:
    directory = tmp_path / "run"
    step = random.Random(seed).randint(1, STEPS - 4)
    train = [*reference.train, "--output_dir", str(directory)]
    assert killing.kill_at_step(reference.nursery, train, directory, step) == -9
    finish(reference, directory)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_twice_while_files_change(reference: Reference, tmp_path: Path, seed: int) -> None:
    directory = tmp_path / "run"
    chosen = random.Random(seed)
    train = [*reference.train, "--output_dir", str(directory)]
    assert reference.nursery.run(train, chosen.randint(1, reference.changes)) == -9
    reference.nursery.run(killing.go_on(reference.train, directory), chosen.randint(1, reference.changes))
    finish(reference, directory)


def test_killed_at_its_last_changes(reference: Reference, tmp_path: Path) -> None:
    """Where the results are complete, but the checkpoints not yet removed."""
    directory = tmp_path / "run"
    train = [*reference.train, "--output_dir", str(directory)]
    assert reference.nursery.run(train, reference.changes) == -9
    finish(reference, directory)
    assert (
        reference.nursery.said().splitlines()[-1].startswith(f"textmix: {directory} has finished; its metrics are in")
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_at_the_next_step(reference: Reference, tmp_path: Path, number: int, code: int) -> None:
    directory = tmp_path / "run"
    pid = reference.nursery.start([*reference.train, "--train.save_steps", "1000", "--output_dir", str(directory)])
    while not (directory / "history.jsonl").exists() or b"\n" not in (directory / "history.jsonl").read_bytes():
        assert not killing.is_dead(pid), reference.nursery.said()
    os.kill(pid, number)
    assert reference.nursery.end() == code
    hint = re.escape(f"resume with: textmix train --resume {directory}")
    last = reference.nursery.said().splitlines()[-1]
    found = re.fullmatch(rf"textmix: interrupted at step (\d+) of {STEPS}; {hint}", last)
    assert found, reference.nursery.said()
    assert f"step-{int(found[1]):08d}" in {path.name for path in (directory / "checkpoints").iterdir()}
    assert reference.nursery.run(["train", "--resume", str(directory)]) == 0, reference.nursery.said()
    for name in ("model/model.safetensors", "history.jsonl", "predictions.csv"):
        assert (directory / name).read_bytes() == reference.outcome[name], name


@pytest.mark.slow
def test_a_process_of_its_own_is_killed_before_its_first_checkpoint(reference: Reference, tmp_path: Path) -> None:
    """One that imports everything itself."""
    directory = tmp_path / "run"
    arguments = [*reference.train, "--output_dir", str(directory)]
    process = subprocess.run(
        [sys.executable, "-c", DIES_AT_ITS_FIRST_CHECKPOINT, *arguments], stdout=subprocess.DEVNULL
    )
    assert process.returncode == -9
    assert (directory / "config.yaml").exists()
    finish(reference, directory)
    assert f"{directory} has no checkpoint" in reference.nursery.said()
