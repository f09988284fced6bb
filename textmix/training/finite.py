"""FiniteWatch: notices a loss or weights that are no numbers, and names the step."""

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from textmix.config.train import TrainConfig
from textmix.errors import TrainingError


class FiniteWatch:
    """Remembers, on the device, the first step whose loss was not finite; a GPU need not wait until it is asked.

    Args:
        accelerator: Connects the processes.
        config: Names what can be changed about it.
        precision: Precision of the run.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig, precision: str) -> None:
        self._accelerator = accelerator
        self._config = config
        self._precision = precision
        self._first = torch.full((), -1, device=accelerator.device)  # -1 while there is none

    def note(self, step: int, loss: Tensor) -> None:
        """Look at the loss of a step."""
        is_first = (self._first < 0) & ~torch.isfinite(loss)
        self._first = torch.where(is_first, step, self._first)

    def check(self, step: int, model: nn.Module | None = None) -> None:
        """Read what was noted; all processes must ask together, and all end if one has to.

        Args:
            step: Optimizer steps made so far.
            model: Look at its weights, too.

        Raises:
            TrainingError: If a loss was not finite, or weights are not.
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
