"""What becomes of guessed labels before they are trained on: alignment, sharpening, and weights by confidence."""

import torch
from torch import Tensor

from textmix.config.unlabeled import UnlabeledConfig

# Standard deviations below the mean confidence are counted as this many times as many (SoftMatch's code: n_sigma).
_SIGMAS = 2.0
_LEAST = 1e-6


def sharpen(guesses: Tensor, temperature: float) -> Tensor:
    """Raise probabilities (B, C) to the power 1 / temperature, so that they are surer below 1."""
    # A softmax of logarithms, as high powers of all probabilities of a row may round to 0.
    return (guesses.clamp(min=_LEAST).log() / temperature).softmax(dim=1)


class Confidence:
    """Weighs guesses by confidence, with moving statistics of the guesses so far.

    Args:
        config: How guesses are aligned, sharpened and weighted.
        classes: Number of classes, C.
        rows: Number of unlabelled rows, M.
        device: Device of the guesses.
    """

    def __init__(self, config: UnlabeledConfig, classes: int, rows: int, device: torch.device) -> None:
        self._config = config
        self._steps = 0
        # Moving averages; divided by 1 - decay^steps, they start at the first value.
        self._labeled = torch.zeros(classes, device=device)
        self._unlabeled = torch.zeros(classes, device=device)
        self._mean = torch.zeros((), device=device)
        self._square = torch.zeros((), device=device)
        # The class of each row that was guessed with confidence; -1 for none.
        self._sure = torch.full((rows,), -1, device=device)

    def process(self, guesses: Tensor, labeled: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Align, sharpen and weigh guesses.

        Args:
            guesses: Probabilities for unlabelled rows, shape (B, C).
            labeled: Class shares of the labelled rows of the step, shape (C,).
            numbers: Numbers of the unlabelled rows, shape (B,).

        Returns:
            Targets, shape (B, C), and weights, shape (B,), from 0 to 1.
        """
        config, decay = self._config, self._config.ema_decay
        self._steps += 1
        unbias = 1 - decay**self._steps
        if config.align:
            self._labeled.lerp_(labeled, 1 - decay)
            self._unlabeled.lerp_(guesses.mean(dim=0), 1 - decay)
            # A row may be sure of a class that no labelled row had yet; its guess must not become 0 everywhere.
            guesses = guesses * (self._labeled.clamp(min=_LEAST) / self._unlabeled.clamp(min=_LEAST))
            guesses = guesses / guesses.sum(dim=1, keepdim=True)
        weights = self._weigh(guesses, numbers, decay, unbias)
        return sharpen(guesses, config.sharpening), weights

    def _weigh(self, guesses: Tensor, numbers: Tensor, decay: float, unbias: float) -> Tensor:
        confidence, classes = guesses.max(dim=1)
        kind, threshold = self._config.weighting, self._config.threshold
        if kind == "none":
            return torch.ones_like(confidence)
        if kind == "threshold":
            return (confidence >= threshold).to(guesses.dtype)
        if kind == "class_threshold":
            self._sure[numbers] = torch.where(confidence >= threshold, classes, self._sure[numbers])
            counts = torch.bincount(self._sure + 1, minlength=guesses.shape[1] + 1)
            # Rows that are not sure yet count as a class: at first, all thresholds are low (FlexMatch, section 3.2).
            learnt = counts[1:] / counts.max().clamp(min=1)
            return (confidence >= threshold * (learnt / (2 - learnt))[classes]).to(guesses.dtype)
        self._mean.lerp_(confidence.mean(), 1 - decay)
        self._square.lerp_(confidence.square().mean(), 1 - decay)
        mean = self._mean / unbias
        variance = (self._square / unbias - mean.square()).clamp(min=_LEAST)
        below = (confidence - mean).clamp(max=0)
        return torch.exp(-below.square() / (2 * variance / _SIGMAS**2))
