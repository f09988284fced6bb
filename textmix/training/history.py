"""Write the training history to history.jsonl and to experiment trackers."""

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from textmix.io.files import write_text
from textmix.io.run_directory import HISTORY
from textmix.training.progress import TrainProgress
from textmix.training.trackers import log_line


def add_history(accelerator: Accelerator, directory: Path, progress: TrainProgress, line: dict[str, Any]) -> None:
    """Add a line to the history of a run."""
    progress.history.append(line)
    log_line(accelerator, line)
    if accelerator.is_main_process:
        with (directory / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def rewrite_history(accelerator: Accelerator, directory: Path, progress: TrainProgress) -> None:
    """Rewrite the file atomically; this removes lines of steps after the checkpoint that the run resumes from."""
    if accelerator.is_main_process:
        write_text(directory / HISTORY, "".join(json.dumps(line) + "\n" for line in progress.history))
