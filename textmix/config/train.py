"""TrainConfig: how a model is trained. Imports no torch, so that `--help` stays fast."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from textmix.errors import ConfigError

_COUNTS = ("accumulation_steps", "eval_batch_size", "log_steps", "keep_checkpoints")
_OPTIONAL_COUNTS = ("epochs", "batch_size", "max_steps", "patience")
# The defaults of `epochs` and `batch_size`, measured in docs/defaults.md: 3 passes over 100 rows learn nothing.
_EPOCHS, _FEWEST_STEPS = 3, 200
_BATCH, _SMALL_BATCH, _FEW_ROWS = 32, 16, 1000
# A checkpoint of an encoder takes as long as some ten steps.
_SAVED_EPOCH = 50


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained.

    Args:
        epochs: Passes over the training split. Null means 3, within the 2 to 4 of Devlin et al. 2019, or as many as
            make 200 steps (docs/defaults.md).
        max_steps: Number of optimizer steps, which overrides `epochs`; the schedule ends there too. Null means that
            `epochs` decides.
        batch_size: Rows of a step. Null means 32 (Devlin et al. 2019), or 16 with fewer than 1000 training rows
            (docs/defaults.md).
        accumulation_steps: Batches for each optimizer step; each batch is mixed separately.
        group_by_length: Batch rows of similar length to reduce padding; the order of batches stays random.
        eval_batch_size: Rows of a batch in evaluation.
        learning_rate: Highest learning rate; null means 5e-5 for encoders (Devlin et al. 2019), 5e-4 for adapters
            (Hu et al. 2021), and 1e-3 for models of words (Kingma and Ba 2015).
        weight_decay: Decoupled weight decay, except for biases and normalisations. Default: 0.01 (Devlin et al. 2019).
        schedule: Learning rate after the warm-up: `linear` or `cosine` to zero, or `constant`.
        warmup_ratio: Share of the steps over which the learning rate rises from zero. Default: 0.1 (Devlin et al. 2019
            warm up over the first tenth or so of fine-tuning).
        max_grad_norm: Maximum gradient norm; 0 disables clipping. Default: 1 (Devlin et al. 2019).
        precision: `fp32`, `bf16`, `fp16` (GPU only), or `auto`: bf16 if the GPU supports it or the CPU has AMX or
            avx512_bf16, otherwise fp32.
        seed: Seed of splits, initial weights, batch order, dropout and mixing.
        metric: Metric of the validation split that selects the best epoch; null means macro_f1 (nll with fewer than 100
            validation rows: docs/defaults.md), or mse for regression. For single_label: accuracy, macro_f1, micro_f1,
            weighted_f1, nll. For multi_label also samples_f1, subset_accuracy, hamming_loss, mean_average_precision and
            ranking_loss, but not accuracy. For regression: mse, mae, r2, pearson, spearman.
        calibrate: Fit a temperature on the validation split (Guo et al. 2017), one for each label for multi_label, and
            divide the last linear map of the saved model by it: probabilities are calibrated wherever the model is
            used, and predicted classes do not change. Null means true with 200 validation rows or more. No effect on
            regression, token_classification and soft labels.
        tune_thresholds: For multi_label: predict each label from the probability at which its F1 is highest on the
            validation split, instead of 0.5. The thresholds are saved with the model.
        patience: Stop after this number of epochs without improvement; null means never.
        log_steps: Optimizer steps between two lines of history.jsonl.
        save_steps: Optimizer steps between checkpoints; each better epoch adds one. `epoch` saves one after each epoch,
            null only when interrupted and before the final evaluation. `auto` means `epoch`, or null where an epoch has
            fewer than 50 steps.
        keep_checkpoints: Number of last checkpoints to keep, in addition to the checkpoint of the best epoch.
        ema_decay: Decay of an exponential moving average of the weights, which is evaluated and saved instead of the
            weights; it averages over about the last 1 / (1 - ema_decay) steps. Null means no average.
        cpu_speedups: Make steps cheap on a CPU: draw dropout masks from random bytes, train only the embedding rows
            that occur in the training data, and, in commands, keep freed memory in the process. Results are those of
            the stock modules, except for the masks drawn and the rounding of the gradient norm.
        profile: Profile ten early steps: profile/trace.json for a trace viewer, and profile/table.txt with the time by
            operation.
        trackers: Experiment trackers that also get the history: `tensorboard` (which writes into the run directory),
            `wandb`, `trackio`; each needs the extra of the same name.
    """

    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    accumulation_steps: int = 1
    group_by_length: bool = True
    eval_batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.01
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = 0.1
    max_grad_norm: float = 1.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    seed: int = 0
    metric: str | None = None
    calibrate: bool | None = None
    tune_thresholds: bool = False
    patience: int | None = None
    log_steps: int = 10
    save_steps: int | Literal["epoch", "auto"] | None = "auto"
    keep_checkpoints: int = 1
    ema_decay: float | None = None
    cpu_speedups: bool = True
    profile: bool = False
    trackers: list[Literal["tensorboard", "wandb", "trackio"]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check all fields and report all errors at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = self._counts_out_of_range()
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            wrong.append(f"train.ema_decay must lie between 0 and 1, or be null, not {self.ema_decay}")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            wrong.append(f"train.learning_rate must be above 0, not {self.learning_rate}")
        if not self.weight_decay >= 0:
            wrong.append(f"train.weight_decay must not be below 0, but is {self.weight_decay}")
        if not 0 <= self.warmup_ratio <= 1:
            wrong.append(f"train.warmup_ratio must lie in [0, 1], not {self.warmup_ratio}")
        if not self.max_grad_norm >= 0:
            wrong.append(f"train.max_grad_norm must not be below 0, but is {self.max_grad_norm}")
        if not 0 <= self.seed < 2**32:
            wrong.append(f"train.seed must lie in [0, 2**32), not {self.seed}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def for_rows(self, rows: int, processes: int = 1) -> "TrainConfig":
        """Fill in `batch_size` and `epochs` where they are null, and `save_steps` where it is `auto`.

        Args:
            rows: Number of training rows.
            processes: Number of processes that share them.
        """
        batch_size = self.batch_size or (_SMALL_BATCH if rows < _FEW_ROWS else _BATCH)
        steps = math.ceil(rows / (batch_size * self.accumulation_steps * processes))
        epochs = self.epochs or max(_EPOCHS, math.ceil(_FEWEST_STEPS / steps))
        save_steps = self.save_steps
        if save_steps == "auto":
            save_steps = "epoch" if steps >= _SAVED_EPOCH else None
        return replace(self, batch_size=batch_size, epochs=epochs, save_steps=save_steps)

    def _counts_out_of_range(self) -> list[str]:
        wrong = []
        for name in (*_COUNTS, *_OPTIONAL_COUNTS):
            value, null = getattr(self, name), ", or null" if name in _OPTIONAL_COUNTS else ""
            if value is not None and value < 1:
                wrong.append(f"train.{name} must be at least 1{null}")
            elif value is not None and value >= 2**31:
                wrong.append(f"train.{name} must be below 2**31, not {value}")
        if isinstance(self.save_steps, int) and self.save_steps < 1:
            wrong.append("train.save_steps must be at least 1, epoch, auto, or null")
        elif isinstance(self.save_steps, int) and self.save_steps >= 2**31:
            wrong.append(f"train.save_steps must be below 2**31, not {self.save_steps}")
        return wrong
