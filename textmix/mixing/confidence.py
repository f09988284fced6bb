"""What follows from how likely the model finds the labels: partners and targets for noisy labels."""

import torch
from torch import Tensor

from textmix.mixing.losses import IGNORED


def label_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of each row's label, shape (B,); 1 for an ignored row.

    Args:
        probabilities: The model's probabilities of the classes, shape (B, C).
        labels: Integer class of each row, shape (B,); -100 for an ignored row.
    """
    ignored = labels == IGNORED
    chosen = probabilities.gather(1, labels.masked_fill(ignored, 0).unsqueeze(1)).squeeze(1)
    return chosen.masked_fill(ignored, 1.0)


def opposite_rows(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Pair the k-th easiest row with the k-th hardest.

    Rows are sorted by their loss, -log of the label's probability; equal ones keep their order in the batch.

    Args:
        probabilities: The model's probabilities of the classes, shape (B, C).
        labels: Integer class of each row, shape (B,); -100 for an ignored row, whose loss is 0.

    Returns:
        Partner of each row, shape (B,), int64: an involution, where the middle row of an odd batch is its own partner.
    """
    order = label_probabilities(probabilities, labels).argsort(descending=True, stable=True)
    return torch.zeros_like(order).scatter(0, order, order.flip(0))


def trusted_labels(probabilities: Tensor, labels: Tensor, trust: float) -> Tensor:
    """Trust the model in part where it finds a label unlikely: `(1 - t) · label + t · p` with `t = trust · (1 - p_y)`.

    Here p are the model's probabilities and p_y that of the label. A row that the model is sure of keeps its label.

    Args:
        probabilities: p, shape (B, C).
        labels: Integer class of each row, shape (B,); -100 for an ignored row.
        trust: The largest t, in (0, 1].

    Returns:
        Soft labels, shape (B, C), dtype of the probabilities; each row sums to 1, that of an ignored row to 0.
    """
    own = torch.zeros_like(probabilities).scatter(1, labels.clamp(min=0).unsqueeze(1), 1.0)
    share = trust * (1 - label_probabilities(probabilities, labels))
    soft = torch.lerp(own, probabilities, share.unsqueeze(1))
    return soft.masked_fill((labels == IGNORED).unsqueeze(1), 0.0)
