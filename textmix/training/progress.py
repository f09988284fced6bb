"""How far a run has come: everything that a resumed run must know, as plain values."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class TrainProgress:
    """Where training stands.

    Args:
        epoch: Epochs finished.
        batches: Batches done of the epoch under way.
        step: Optimizer steps made.
        samples: Rows trained on.
        seconds: Time spent training, without evaluation and saving.
        best_value: Best value of the selection metric so far.
        best_epoch: Epoch (from 1) that reached it.
        best_step: Optimizer steps made by its end.
        stale_epochs: Epochs since then.
        history: Lines of history.jsonl.
    """

    epoch: int = 0
    batches: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    best_value: float | None = None
    best_epoch: int | None = None
    best_step: int | None = None
    stale_epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


class RunningMeans:
    """Means over the optimizer steps since the last line of history, kept on the device until they are read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, values: dict[str, Tensor]) -> None:
        """Add the figures of one step, each a scalar tensor."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._steps += 1

    def read(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the means and start anew.

        Args:
            reduce: Gives the mean of a sum over all processes.
        """
        means = {name: float(reduce(total)) / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"sums": {name: total.detach().cpu() for name, total in self._sums.items()}, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._steps = state["steps"]
