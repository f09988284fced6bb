"""Estimate how frequent the classes are among unlabelled rows."""

import numpy as np
import torch

from textmix.contrastive.head import probabilities
from textmix.data.label_format import Array
from textmix.models.sequence_classifier import MixupForSequenceClassification

_ROUNDS, _CLOSE = 1000, 1e-6


def estimate_shares(probabilities: Array, shares: Array, prior: float) -> Array:
    """Estimate class shares by expectation maximisation (Saerens, Latinne and Decaestecker 2002).

    Labelled rows rarely come in the shares of the classes: experiments draw as many of each. In each round the
    probabilities are multiplied by the ratio of the estimate to the shares of training, and their mean becomes the next
    estimate. On little data the estimate runs away where probabilities are too sure; the shares of training, counted as
    `prior` times the rows, hold it.

    Args:
        probabilities: Of a model trained with classes in other shares, shape (M, C).
        shares: Those shares, shape (C,); above 0 where probabilities are.
        prior: Weight of these shares, as a multiple of M.

    Returns:
        The estimate, shape (C,), with sum 1.
    """
    start = shares / shares.sum()
    known = np.where(start > 0, start, 1)
    found = start
    for _ in range(_ROUNDS):
        adapted = probabilities * (found / known)
        adapted = adapted / adapted.sum(axis=1, keepdims=True)
        before, found = found, (adapted.mean(axis=0) + prior * start) / (1 + prior)
        if np.abs(found - before).max() < _CLOSE:
            break
    return np.asarray(found)


def adapt_shares(model: MixupForSequenceClassification, vectors: Array, counts: Array, prior: float) -> Array:
    """Change the biases of a head as if it had been trained with the class shares of unlabelled rows.

    Args:
        model: A classifier whose head was fitted to rows with the classes in the shares of `counts`.
        vectors: Sentence vectors of the unlabelled rows, shape (M, H).
        counts: Training rows of each class, shape (C,).
        prior: As in `estimate_shares`.

    Returns:
        The estimated shares, shape (C,).
    """
    before = counts / counts.sum()
    shares = estimate_shares(probabilities(model, vectors), before, prior)
    change = np.log(np.where(counts > 0, shares / np.where(counts > 0, before, 1), 1))
    with torch.no_grad():
        model.classifier.bias.add_(torch.from_numpy(change).to(model.classifier.bias))
    return shares
