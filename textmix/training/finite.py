"""FiniteCheck: detects NaN or inf in the loss or the weights, and names the step."""

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from textmix.config.train import TrainConfig
from textmix.errors import TrainingError


class FiniteCheck:
    """Stores on the device the first step whose loss is not finite, so that a GPU is synchronised only by `check`.

    Args:
        accelerator: Connects the processes.
        config: Training options; named in the error.
        precision: Precision of the run; named in the error.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig, precision: str) -> None:
        self._accelerator = accelerator
        self._config = config
        self._precision = precision
        self._first = torch.full((), -1, device=accelerator.device)  # -1: every loss is finite

    def record(self, step: int, loss: Tensor) -> None:
        """Record the loss of a step."""
        is_first = (self._first < 0) & ~torch.isfinite(loss)
        self._first = torch.where(is_first, step, self._first)

    def check(self, step: int, model: nn.Module | None = None) -> None:
        """Check the recorded losses of all processes; every process must call it, and all of them raise.

        Args:
            step: Number of optimizer steps so far.
            model: Also check the weights of this model.

        Raises:
            TrainingError: If a loss or a weight is not finite.
        """
        found = self._accelerator.gather(self._first).reshape(-1).tolist()
        first, what = min((number for number in found if number >= 0), default=-1), "loss is"
        parameters = model.parameters() if first < 0 and model is not None else ()
        if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
            first, what = step, "weights are"
        if first >= 0:
            raise TrainingError(
                f"the {what} not finite at step {first}; lower train.learning_rate"
                f" (now {self._config.learning_rate}) or use train.precision fp32 (now {self._precision})"
            )
