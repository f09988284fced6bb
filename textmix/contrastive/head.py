"""A logistic regression on sentence vectors as the linear head of a classifier."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from textmix.data.label_format import Array
from textmix.models.sequence_classifier import MixupForSequenceClassification

# The logit of a class without rows, below those of the others: its probability is that of a rounding error.
_ABSENT = -20.0


def fit_head(model: MixupForSequenceClassification, vectors: Array, targets: Array, strength: float) -> None:
    """Fit a logistic regression, and store it as the linear head of a model.

    Args:
        model: The classifier with C classes.
        vectors: Sentence vectors as its head gets them, shape (N, H).
        targets: Class of each row, shape (N,), or probabilities of the classes, shape (N, C).
        strength: Inverse strength of the penalty on the weights, `C` of scikit-learn.
    """
    weight, bias = logistic_map(vectors, targets, model.num_labels, strength)
    head: nn.Linear = model.classifier
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))


def logistic_map(vectors: Array, targets: Array, classes: int, strength: float) -> tuple[Array, Array]:
    """Fit a logistic regression; arguments as in `fit_head`.

    A row with probabilities counts as one row of each class, weighted by its probability.

    Returns:
        Weights, shape (C, H), and biases, shape (C,), of the logits.
    """
    weights = None
    if targets.ndim == 2:
        rows, labels = np.nonzero(targets > 1e-3)
        vectors, weights, targets = vectors[rows], targets[rows, labels], labels
    weight, bias = np.zeros((classes, vectors.shape[1])), np.full(classes, _ABSENT)
    present = np.unique(targets)
    if len(present) == 1:
        bias[present] = 0
        return weight, bias
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(vectors, targets, sample_weight=weights)
    if len(present) == 2:  # scikit-learn has one logit for two classes
        half = fitted.coef_[0] / 2, fitted.intercept_[0] / 2
        weight[present], bias[present] = np.stack([-half[0], half[0]]), [-half[1], half[1]]
    else:
        weight[present], bias[present] = fitted.coef_, fitted.intercept_
    return weight, bias


def probabilities(model: MixupForSequenceClassification, vectors: Array) -> Array:
    """Return what the head says of sentence vectors (N, H): probabilities of the classes, shape (N, C)."""
    head: nn.Linear = model.classifier
    with torch.no_grad():
        logits = head(torch.from_numpy(vectors).to(head.weight))
    return np.asarray(logits.double().softmax(dim=1).cpu().numpy())
