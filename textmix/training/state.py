"""RunState: all that a checkpoint holds, gathered from where it lives and put back there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from textmix.errors import RunError, TextmixError
from textmix.mixing.mixer import Mixer
from textmix.training.checkpoint import load_checkpoint, save_checkpoint
from textmix.training.distributed import Agreement
from textmix.training.progress import RunningMeans, TrainProgress
from textmix.training.random_state import random_state


class RunState:
    """What a resumed run needs to go on as the uninterrupted one would: in one place, to be saved and loaded.

    Args:
        directory: Directory of the run.
        accelerator: Has the gradient scaler of fp16.
        agreement: The processes, each of which has generators and means of its own.
        models: What has weights to keep, unwrapped, by the name of their file.
        optimizer: The optimizer.
        schedule: The learning-rate schedule.
        mixer: The mixer, for its generator.

    Attributes:
        progress: How far the run has come.
        means: Figures since the last line of history.
    """

    def __init__(
        self,
        directory: Path,
        accelerator: Accelerator,
        agreement: Agreement,
        models: dict[str, nn.Module],
        optimizer: Optimizer,
        schedule: LRScheduler,
        mixer: Mixer,
    ) -> None:
        self._directory = directory
        self._accelerator = accelerator
        self._agreement = agreement
        self._models = models
        self._optimizer = optimizer
        self._schedule = schedule
        self._mixer = mixer
        self.progress = TrainProgress()
        self.means = RunningMeans()

    def save(self, keep: int) -> None:
        """Write a checkpoint; the first process does, the others wait for it.

        Args:
            keep: How many of the last checkpoints stay, beside the best.

        Raises:
            OSError: If it cannot be written; those before it are still there.
        """
        own = {"means": self.means.state_dict(), "mixer": self._mixer.state_dict(), "random": random_state()}
        processes = self._agreement.gather(own)
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
        self._accelerator.wait_for_everyone()  # whoever ends before the checkpoint is written ends its writer too

    def load(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Go back to the newest checkpoint, but for the generators of the process.

        Args:
            say: Takes lines for the user.

        Returns:
            The state of those generators, for `restore_random_state`; None if there is no checkpoint.

        Raises:
            RunError: If there are checkpoints, but none is whole or of this run.
        """
        try:
            state = load_checkpoint(self._directory, self._models, say)
            if state is None:
                say(f"{self._directory} has no checkpoint to go on from: it starts from the beginning")
                return None
            return self._restore(state)
        except (TextmixError, OSError):
            raise
        except Exception as error:  # the state of another run fails in as many ways as it has parts
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise RunError(
                f"the checkpoint of {self._directory} does not fit its config.yaml or its data, which may have"
                f" changed, or was saved by another version of textmix: {reason}"
            ) from error

    def _restore(self, state: dict[str, Any]) -> dict[str, Any]:
        processes = state["processes"]
        if len(processes) != self._agreement.size:
            raise RunError(
                f"the checkpoint was saved by {len(processes)} processes and cannot be gone on with in"
                f" {self._agreement.size}; start as many again"
            )
        own = processes[self._agreement.rank]
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
    """Compare the shapes of an optimizer's loaded state, which torch takes as they are, with those of the weights."""
    for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
        for value in optimizer.state.get(weight, {}).values():
            if value.dim() > 0 and value.shape != weight.shape:
                raise ValueError(f"the optimizer kept {tuple(value.shape)} numbers for {tuple(weight.shape)} weights")
