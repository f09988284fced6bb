"""RunState: everything that a checkpoint holds, saved and restored."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from textmix.errors import RunError, TextmixError
from textmix.hooks.metrics import RunningMeans
from textmix.mixing.mixer import Mixer
from textmix.training.checkpoint import load_checkpoint, save_checkpoint
from textmix.training.distributed import ProcessGroup
from textmix.training.progress import TrainProgress
from textmix.training.random_state import random_state

_logger = logging.getLogger(__name__)


class RunState:
    """The state that a resumed run needs to continue exactly as the uninterrupted run.

    Args:
        directory: Directory of the run.
        accelerator: Holds the gradient scaler of fp16.
        processes: The processes, each with its own generators and means.
        models: Unwrapped models whose weights are saved, by the name of their file.
        optimizer: The optimizer.
        schedule: The learning-rate schedule.
        mixer: The mixer, for its generator.

    Attributes:
        progress: Progress of the run.
        means: Means since the last line of history.
    """

    def __init__(
        self,
        directory: Path,
        accelerator: Accelerator,
        processes: ProcessGroup,
        models: Mapping[str, nn.Module],
        optimizer: Optimizer,
        schedule: LRScheduler,
        mixer: Mixer,
    ) -> None:
        self._directory = directory
        self._accelerator = accelerator
        self._processes = processes
        self._models = models
        self._optimizer = optimizer
        self._schedule = schedule
        self._mixer = mixer
        self.progress = TrainProgress()
        self.means = RunningMeans()

    def save(self, keep: int) -> None:
        """Write a checkpoint: the first process writes, the others wait.

        Args:
            keep: Number of the last checkpoints to keep, in addition to the best.

        Raises:
            OSError: If it cannot be written; earlier checkpoints are kept.
        """
        own = {"means": self.means.state_dict(), "mixer": self._mixer.state_dict(), "random": random_state()}
        processes = self._processes.gather(own)
        if self._accelerator.is_main_process:
            progress, scaler = self.progress, self._accelerator.scaler
            state = {
                "progress": progress.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "processes": processes,
                "scaler": scaler.state_dict() if scaler is not None else {},
            }
            save_checkpoint(self._directory, progress.step, self._models, state, keep, progress.best_step)
        self._accelerator.wait_for_everyone()  # a process that exits earlier would stop the writer

    def load(self) -> dict[str, Any] | None:
        """Restore the newest checkpoint, except for the global random generators.

        Returns:
            The state of these generators, for `restore_random_state`; None if there is no checkpoint.

        Raises:
            RunError: If every checkpoint is damaged, or the checkpoint is of another run.
        """
        try:
            state = load_checkpoint(self._directory, self._models)
            if state is None:
                _logger.info(f"{self._directory} has no checkpoint: training starts from the beginning")
                return None
            return self._restore(state)
        except (TextmixError, OSError):
            raise
        except Exception as error:  # loading the state of another run raises exceptions of many types
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise RunError(
                f"the checkpoint of {self._directory} does not fit its config.yaml or its data, which may have"
                f" changed, or was saved by another version of textmix: {reason}"
            ) from error

    def _restore(self, state: dict[str, Any]) -> dict[str, Any]:
        processes = state["processes"]
        if len(processes) != self._processes.size:
            raise RunError(
                f"the checkpoint was written by {len(processes)} processes; resume with {len(processes)}, not"
                f" {self._processes.size}"
            )
        own = processes[self._processes.rank]
        self.progress = TrainProgress(**state["progress"])
        self.means.load_state_dict(own["means"], self._accelerator.device)
        self._optimizer.load_state_dict(state["optimizer"])
        _check_shapes(self._optimizer)
        self._schedule.load_state_dict(state["schedule"])
        self._mixer.load_state_dict(own["mixer"])
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        random: dict[str, Any] = own["random"]
        return random


def _check_shapes(optimizer: Optimizer) -> None:
    """Check the shapes of the loaded optimizer state against the weights; torch does not."""
    for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
        for value in optimizer.state.get(weight, {}).values():
            if value.dim() > 0 and value.shape != weight.shape:
                shapes = f"{tuple(value.shape)} for weights of shape {tuple(weight.shape)}"
                raise ValueError(f"the optimizer has state of shape {shapes}")
