"""AdaptConfig: how an encoder is pretrained further. Imports no torch, so that `--help` stays fast."""

from dataclasses import dataclass
from typing import Literal

from textmix.errors import ConfigError


@dataclass(frozen=True)
class AdaptConfig:
    """How an encoder is pretrained further: as a masked language model, with AdamW, a warm-up and a linear schedule.

    Args:
        mask_probability: Share of the tokens that are to be predicted, in whole words. Default: 0.15 (Devlin et al.
            2019).
        epochs: Passes over the texts. Default: 3. Gururangan et al. 2020 take 100 for the few texts of one task.
        max_steps: Number of optimizer steps, which overrides `epochs`; the schedule ends there too. Null means that
            `epochs` decides.
        batch_size: Pieces of texts in a step. Default: 32; Devlin et al. 2019 and Gururangan et al. 2020 take 256.
        learning_rate: Highest learning rate. Default: 1e-4 (Devlin et al. 2019; Gururangan et al. 2020 for the texts
            of one task).
        max_length: Longest piece in tokens; longer texts are split. Null means the longest input of the encoder.
        seed: Seed of the held-out texts, the order, the masks, dropout, and the weights of a new head.
        precision: `fp32`, `bf16`, or `auto`: bf16 if the GPU supports it or the CPU has AMX or AVX512-BF16.
    """

    mask_probability: float = 0.15
    epochs: int = 3
    max_steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 1e-4
    max_length: int | None = None
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        """Check all fields and report all errors at once.

        Raises:
            ConfigError: If a value is out of its range.
        """
        wrong = [
            f"--{name} must be at least 1, not {value}"
            for name in ("epochs", "max_steps", "batch_size", "max_length")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if not 0 < self.mask_probability < 1:
            wrong.append(f"--mask_probability must lie between 0 and 1, not {self.mask_probability}")
        if not 0 < self.learning_rate < float("inf"):
            wrong.append(f"--learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.seed < 2**32:
            wrong.append(f"--seed must lie in [0, 2**32), not {self.seed}")
        if wrong:
            raise ConfigError("; ".join(wrong))
