"""The logistic regression that becomes a head: against scikit-learn and a plain loop of gradient steps."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.support.few_labels import classifier
from textmix.contrastive.head import fit_head, logistic_map

GENERATOR = np.random.default_rng(0)
VECTORS = GENERATOR.normal(size=(18, 4))


def probabilities(weight: np.ndarray, bias: np.ndarray, vectors: np.ndarray = VECTORS) -> np.ndarray:
    powers = np.exp(vectors @ weight.T + bias)
    return powers / powers.sum(axis=1, keepdims=True)


def descend(vectors: np.ndarray, shares: np.ndarray, strength: float, two: bool) -> np.ndarray:
    """Minimise the penalised cross-entropy by many small steps; returns the probabilities of the rows.

    With two classes there is one weight, as in scikit-learn; otherwise one for each class.
    """
    classes = shares.shape[1]
    weight, bias = np.zeros((classes, vectors.shape[1])), np.zeros(classes)
    for _ in range(6000):
        error = probabilities(weight, bias, vectors) - shares
        weight -= 0.01 * (strength * error.T @ vectors + (2 if two else 1) * weight)
        bias -= 0.01 * strength * error.sum(axis=0)
    return probabilities(weight, bias, vectors)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_its_probabilities_are_those_of_scikit_learn(classes: int) -> None:
    targets = np.arange(18) % classes
    found = probabilities(*logistic_map(VECTORS, targets, classes, 3.0))
    expected = LogisticRegression(C=3.0, max_iter=1000).fit(VECTORS, targets).predict_proba(VECTORS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found, descend(VECTORS, np.eye(classes)[targets], 3.0, classes == 2), atol=2e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_as_targets(classes: int) -> None:
    shares = GENERATOR.dirichlet(np.ones(classes), 18)
    found = probabilities(*logistic_map(VECTORS, shares, classes, 0.5))
    np.testing.assert_allclose(found, descend(VECTORS, shares, 0.5, classes == 2), atol=3e-3)


def test_certain_probabilities_are_classes() -> None:
    targets = np.arange(18) % 3
    for one, other in zip(
        logistic_map(VECTORS, targets, 3, 1.0), logistic_map(VECTORS, np.eye(3)[targets], 3, 1.0), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("present", [[0, 2], [1, 3], [0, 1, 3], [2]])
def test_a_class_without_rows_is_never_predicted(present: list[int]) -> None:
    targets = np.array([present[number % len(present)] for number in range(18)])
    found = probabilities(*logistic_map(VECTORS, targets, 4, 10.0))
    absent = [number for number in range(4) if number not in present]
    assert found[:, absent].max() < 1e-6
    among = np.searchsorted(present, targets)
    expected = np.ones((18, 1))
    if len(present) > 1:
        expected = probabilities(*logistic_map(VECTORS, among, len(present), 10.0))
    np.testing.assert_allclose(found[:, present], expected, atol=1e-6)


def test_a_model_gets_it_as_its_head() -> None:
    model = classifier(dropout=0.0).eval()
    vectors = GENERATOR.normal(size=(9, 32)).astype(np.float32)
    targets = np.arange(9) % 3
    head = model.classifier
    fit_head(model, vectors, targets, 10.0)
    assert model.classifier is head
    assert head.weight.requires_grad
    with torch.no_grad():
        logits = model(pooled=torch.from_numpy(vectors)).logits
    expected = probabilities(*logistic_map(vectors, targets, 3, 10.0), vectors)
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), expected, atol=1e-5)
