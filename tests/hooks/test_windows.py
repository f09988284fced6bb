"""Rows of several windows: sentence vectors are averaged, mixed and scored as in a plain loop."""

from typing import Any

import pytest
import torch

from tests.mixing import loops
from tests.support.model_classes import WORDS, build
from textmix import attach

COUNTS = [3, 1, 2, 1]
LABELS = [0, 1, 2, 1]
POOLED = ["none", "sentence", "batch"]


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (sum(COUNTS), 6), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(6) < torch.tensor([6, 6, 3, 5, 6, 2, 1]).unsqueeze(1)
    return {"input_ids": ids, "attention_mask": mask.long()}


def vectors(model: Any) -> list[torch.Tensor]:
    """Return the input of the classifier for each window alone."""
    found: list[torch.Tensor] = []
    handle = model.classifier.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    for number in range(sum(COUNTS)):
        model(**{name: values[number : number + 1] for name, values in batch().items()})
    handle.remove()
    return found


@pytest.mark.parametrize("name", ["BERT sequence", *WORDS])
@pytest.mark.parametrize("regmix", [None, 0.5])
@pytest.mark.parametrize("strategy", POOLED)
def test_windows_share_partner_and_weights(name: str, strategy: str, regmix: float | None) -> None:
    model = build(name).double()
    windows, rows, start = torch.cat(vectors(model)), [], 0
    for count in COUNTS:
        rows.append(windows[start : start + count].mean(dim=0).tolist())
        start += count
    labels = torch.tensor(LABELS)
    with attach(model.train(), strategy=strategy, regmix=regmix, seed=2) as mixer:
        output = model(**batch(), labels=labels, windows=torch.tensor(COUNTS))
        plan = mixer.plan
    kind = "single_label_classification"
    clean = model.classifier(torch.tensor(rows, dtype=torch.float64))
    expected = loops.blended_loss(clean.tolist(), LABELS, [[row] for row in range(4)], [[1.0]] * 4, kind)
    if strategy == "none":
        assert output.loss.item() == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(output.logits, clean)
        return
    drawn = plan.mixed or plan
    partners, weights = drawn.rows.tolist(), drawn.weights.tolist()
    logits = model.classifier(torch.tensor(loops.blend(rows, partners, weights), dtype=torch.float64))
    mixed = loops.blended_loss(logits.tolist(), LABELS, partners, weights, kind)
    assert output.loss.item() == pytest.approx(mixed if regmix is None else expected + regmix * mixed, abs=1e-6)
    assert output.logits.shape == (4, 3)


def test_clean_rows_beside_mixed_vectors_run_once() -> None:
    model = build("BERT sequence")
    sizes: list[int] = []
    handle = model.encoder.encoder.layer[0].register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    with attach(model.train(), strategy="sentence", regmix=1.0) as mixer:
        model(**batch(), labels=torch.tensor([0, 1, 2, 1, 0, 0, 1]))
        assert mixer.plan.clean == 7
    handle.remove()
    assert sizes == [7]


def test_a_model_that_changes_the_outputs_of_its_classifier() -> None:
    model = build("TextCNN")
    forward = model.forward

    def changed(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = output.logits * 3
        return output

    model.forward = changed
    with attach(model.train(), strategy="sentence", regmix=1.0), pytest.raises(Exception, match="leave out regmix"):
        model(**batch(), labels=torch.tensor([0, 1, 2, 1, 0, 0, 1]))
