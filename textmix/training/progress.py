"""The progress of a run as plain values, saved in its checkpoints."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainProgress:
    """Progress of training.

    Args:
        epoch: Number of finished epochs.
        batches: Number of finished batches of the current epoch.
        step: Number of optimizer steps.
        samples: Number of rows trained on.
        seconds: Training time, without evaluation and saving.
        best_value: Best value of the selection metric so far.
        best_epoch: Epoch with this value, counted from 1.
        best_step: Number of optimizer steps at the end of this epoch.
        stale_epochs: Number of epochs since then.
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

    def record_epoch(self, value: float, *, more_is_better: bool) -> bool:
        """Record the selection metric after an epoch.

        Args:
            value: Value of the metric.
            more_is_better: Whether a larger value is better.

        Returns:
            Whether it is the best so far.
        """
        sign = 1 if more_is_better else -1
        improved = self.best_value is None or sign * value > sign * self.best_value
        if improved:
            self.best_value, self.best_epoch, self.best_step, self.stale_epochs = value, self.epoch, self.step, 0
        else:
            self.stale_epochs += 1
        return improved

    def state_dict(self) -> dict[str, Any]:
        """Return the progress as plain values."""
        return asdict(self)
