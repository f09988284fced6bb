"""Start `textmix train` in several processes, as its users do, and read what it wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.topics import topic_rows

ROOT = Path(__file__).parents[2]
SIZES = ["--model.name", "textcnn", "--model.words.embedding_dim", "16", "--model.textcnn.num_filters", "8"]


def launch(
    arguments: list[str], program: str = "textmix", launcher: Sequence[str] = ("--multi_gpu",)
) -> "subprocess.Popen[str]":
    """Start `accelerate launch … -m textmix ARGUMENTS` in two processes on the CPU."""
    counts = [*launcher, "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    quiet = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        [sys.executable, "-m", "accelerate.commands.launch", *counts, *quiet, "-m", program, *arguments],
        cwd=ROOT,
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for a launch that must succeed; return what it printed."""
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output, errors


def said(errors: str) -> list[str]:
    """Return our own lines of what the processes and their launcher printed on standard error."""
    return [line for line in errors.splitlines() if line.startswith("textmix: ")]


def sources(directory: Path, **sizes: int) -> list[str]:
    """Write files of so many rows; returns the options that name them."""
    options = {"train": "--data.source", "validation": "--data.validation_source", "test": "--data.test_source"}
    arguments = []
    for number, (name, size) in enumerate({"test": 12, **sizes}.items()):
        path = directory / f"{name}.csv"
        rows = "".join(f"{text},{label}\n" for text, label in topic_rows(size, seed=number))
        path.write_text(f"text,label\n{rows}")
        arguments += [options[name], str(path)]
    return arguments


def history(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
