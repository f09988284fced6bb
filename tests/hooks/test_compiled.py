"""A mixed step that torch.compile has compiled equals the same step without."""

import shutil
from collections.abc import Iterator

import pytest
import torch

from tests.support.families import fresh
from tests.support.strategies import mix
from textmix.hooks.attach import attach

pytestmark = pytest.mark.filterwarnings("ignore")

Batch = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def nothing_compiled_before_or_after() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compare(
    name: str, strategy: str, backend: str, batch: Batch, steps: int, atol: float, blocks: int | None = None
) -> None:
    batch = {**batch, "input_ids": batch["input_ids"] * batch["attention_mask"]}
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    results = []
    for compiled in (False, True):
        model = fresh(name).float()
        if blocks is not None:
            model.bert.encoder.layer = model.bert.encoder.layer[:blocks]
            model.config.num_hidden_layers = blocks
        mixer = attach(model, mix(strategy, regmix="auto"), seed=3)
        run = torch.compile(model, backend=backend) if compiled else model
        losses = []
        for _ in range(steps):
            loss = run(**batch).loss
            loss.backward()
            losses.append(loss.item())
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        model.eval()
        with torch.no_grad():
            logits = run(**inputs).logits
        mixer.detach()
        assert torch.allclose(run(**inputs).logits, logits)
        results.append((losses, gradients, logits))
    (losses, gradients, logits), (other_losses, other_gradients, other_logits) = results
    assert losses == pytest.approx(other_losses, abs=atol)
    torch.testing.assert_close(logits, other_logits, atol=atol, rtol=1e-5)
    for one, other in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "strategy", "blocks"),
    [
        ("BERT", "manifold", 1),  # each site is another graph: before and behind the block
        pytest.param("GPT-2", "sentence", None, marks=pytest.mark.slow),
        ("TextCNN", "word", None),
        ("TextCNN", "sentence", None),  # the classifier runs twice
    ],  # all of them below
)
def test_a_compiled_step_equals_the_plain_one(name: str, strategy: str, blocks: int | None, ragged: Batch) -> None:
    compare(name, strategy, "aot_eager", ragged, steps=4, atol=1e-6, blocks=blocks)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("strategy", ["word", "manifold", "cutmix", "sentence", "multi", "nonlinear", "batch", "ssmix"])
@pytest.mark.parametrize("name", ["BERT", "ALBERT", "GPT-2", "TextCNN"])
def test_inductor(name: str, strategy: str, ragged: Batch) -> None:
    compare(name, strategy, "inductor", ragged, steps=6, atol=1e-5)
