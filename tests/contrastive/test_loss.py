"""The supervised contrastive loss against plain loops, and the mixer that scores sentence vectors with it."""

import math

import pytest
import torch
from torch import Tensor

from tests.support.few_labels import TOKENIZER, classifier, completed
from textmix.contrastive.loss import ContrastiveMixer, class_shares, supervised_contrastive_loss
from textmix.contrastive.warm_up import _sentence_vectors
from textmix.mixing.loss_config import LossConfig


def loop(vectors: list[list[float]], targets: list[list[float]], temperature: float) -> float:
    """Score a batch by the formula."""
    unit = [[number / math.sqrt(sum(other**2 for other in row)) for number in row] for row in vectors]
    rows, scores = range(len(unit)), []
    for i in rows:
        others = [j for j in rows if j != i]
        near = {j: sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / temperature for j in others}
        same = {j: sum(a * b for a, b in zip(targets[i], targets[j], strict=True)) for j in others}
        if not sum(same.values()):
            continue
        total = math.log(sum(math.exp(value) for value in near.values()))
        scores.append(-sum(same[j] * (near[j] - total) for j in others) / sum(same.values()))
    return sum(scores) / len(scores) if scores else 0.0


def loss(vectors: Tensor, targets: Tensor, temperature: float) -> float:
    return supervised_contrastive_loss(vectors, targets, temperature).item()


def drawn(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 2, 2, 0], [0, 0, 1, 2], [0, 0], [1, 1, 1]])
def test_classes(labels: list[int], temperature: float) -> None:
    vectors, targets = drawn(len(labels)), class_shares(torch.tensor(labels), 3)
    expected = loop(vectors.tolist(), targets.tolist(), temperature)
    assert loss(vectors, targets, temperature) == pytest.approx(expected, rel=1e-4)


def test_blended_classes() -> None:
    targets = torch.tensor([[1.0, 0, 0], [0.7, 0.3, 0], [0, 0.5, 0.5], [0.2, 0, 0.8], [0, 0, 1]])
    vectors = drawn(5)
    expected = loop(vectors.tolist(), targets.tolist(), 0.1)
    assert loss(vectors, targets, 0.1) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(loop(vectors.tolist(), targets.round().tolist(), 0.1), rel=1e-3)


def test_a_worked_example() -> None:
    # Two rows of one class that agree, and one of another at a right angle: 1 / (1 + exp(-1 / τ)) for each of the two.
    vectors, targets = torch.tensor([[2.0, 0], [5.0, 0], [0, 1.0]]), class_shares(torch.tensor([0, 0, 1]), 2)
    assert loss(vectors, targets, 0.5) == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_rows_without_another_of_their_class_do_not_count() -> None:
    vectors = drawn(3).requires_grad_()
    found = supervised_contrastive_loss(vectors, torch.eye(3), 0.1)
    assert found.item() == 0
    found.backward()
    assert vectors.grad is not None
    assert not vectors.grad.any()
    assert loss(drawn(1), torch.ones(1, 1), 0.1) == 0
    assert math.isfinite(loss(torch.zeros(4, 5), torch.ones(4, 1), 0.1))  # vectors without a direction


def test_it_falls_as_classes_come_together() -> None:
    labels = class_shares(torch.tensor([0, 0, 1, 1]), 2)
    apart = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    together = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert loss(together, labels, 0.1) < 0.01 < 5 < loss(apart, labels, 0.1)


def test_it_is_computed_in_float32_within_autocast() -> None:
    vectors = drawn(40)
    targets = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
    expected = supervised_contrastive_loss(vectors, targets, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        found = supervised_contrastive_loss(vectors, targets, 0.05)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_shares_of_classes_and_of_probabilities() -> None:
    assert class_shares(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    given = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    assert class_shares(given, 2).tolist() == given.tolist()
    assert class_shares(given, 2).dtype == torch.float32


@pytest.mark.parametrize("regmix", [None, 1.0])
def test_the_mixer_blends_the_targets_as_the_rows(regmix: float | None) -> None:
    model = classifier(dropout=0.0)
    batch = dict(TOKENIZER(["soup and bread", "a goal", "the song", "lemon"], padding=True, return_tensors="pt"))
    labels = torch.tensor([0, 1, 2, 0])
    mix = completed("sentence", regmix=regmix, alpha=1.0)
    with _sentence_vectors(model):
        mixer = ContrastiveMixer(3, 0.2, model, mix, LossConfig(), 3)
        mixer.attach()
        found = model.train()(**batch, labels=labels).loss
        mixer.detach()
        clean = model.eval()(**batch).logits
    mixed = mixer.plan.mixed if regmix else mixer.plan
    vectors, targets = [], []
    for rows, shares, own in zip(mixed.rows.tolist(), mixed.weights.tolist(), mixed.targets.tolist(), strict=True):
        vectors.append(sum(share * clean[row] for row, share in zip(rows, shares, strict=True)).tolist())
        target = [0.0] * 3
        for row, share in zip(rows, own, strict=True):
            target[int(labels[row])] += share
        targets.append(target)
    assert any(0 < max(target) < 0.99 for target in targets)
    if regmix:
        vectors, targets = clean.tolist() + vectors, torch.eye(3)[labels].tolist() + targets
    assert found.item() == pytest.approx(loop(vectors, targets, 0.2), rel=1e-4)


def test_the_saliency_of_tokens_is_that_of_the_contrastive_loss() -> None:
    model = classifier(dropout=0.0)
    batch = dict(TOKENIZER(["soup and bread", "a goal", "the song", "lemon"], padding=True, return_tensors="pt"))
    labels = torch.tensor([0, 1, 1, 0])
    found: list[Tensor] = []
    with _sentence_vectors(model):
        mixer = ContrastiveMixer(3, 0.2, model, completed("ssmix"), LossConfig())
        saliency = mixer._saliency
        mixer._saliency = lambda kwargs, labels: found.append(saliency(kwargs, labels)) or found[-1]
        mixer.attach()
        model.train()(**batch, labels=labels)
        mixer.detach()
        embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
        vectors = model(inputs_embeds=embedded, attention_mask=batch["attention_mask"]).logits
    supervised_contrastive_loss(vectors, class_shares(labels, 3), 0.2).backward()
    assert embedded.grad is not None
    expected, real = embedded.grad.norm(dim=-1), batch["attention_mask"].bool()
    ratio = (found[0] / expected)[real]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=0)
