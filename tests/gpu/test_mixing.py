"""A mixed step on the device equals the same step on the CPU, for families, labels, strategies and precisions."""

import pytest
import torch
from torch import Tensor

from tests.support.families import BY_NAME, fresh, head_for
from tests.support.family_configs import CLS, END, VOCAB
from tests.support.strategies import MIXING, mix
from textmix.errors import ModelError
from textmix.hooks.attach import attach

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.*:FutureWarning")]

FAMILIES = ("BERT", "ALBERT", "GPT-2", "Llama", "T5 encoder, linear head", "TextCNN")
LABELS = ("integer", "soft", "multi-label", "regression", "tokens")
# Largest difference of the logits from those of the CPU in float32.
TOLERANCE = {"fp32": 2e-4, "bf16": 6e-2, "fp16": 1e-2}
AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LENGTHS = torch.tensor([9, 4, 7, 2, 6])


def make_batch(name: str, labels: str) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(1)
    size, length = len(LENGTHS), int(LENGTHS.max())
    mask = (torch.arange(length) < LENGTHS[:, None]).long()
    ids = torch.where(mask.bool(), torch.randint(5, VOCAB, (size, length), generator=source), BY_NAME[name].pad)
    ids[:, 0] = CLS
    if BY_NAME[name].ends:
        ids[torch.arange(size), LENGTHS - 1] = END
    targets = {
        "integer": torch.tensor([0, 1, 2, 1, 0]),
        "soft": torch.rand(size, 3, generator=source).softmax(dim=1),
        "multi-label": (torch.rand(size, 3, generator=source) < 0.5).float(),
        "regression": torch.rand(size, generator=source),
        "tokens": torch.where(mask.bool(), torch.randint(0, 3, (size, length), generator=source), -100),
    }
    return {"input_ids": ids, "attention_mask": mask, "labels": targets[labels]}


def run_step(
    name: str, labels: str, strategy: str, device: torch.device, precision: str
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return loss, logits and gradients of a mixed step, on the CPU in float32."""
    model = fresh(name, labels).float().to(device)
    batch = {key: value.to(device) for key, value in make_batch(name, labels).items()}
    scaler = torch.amp.GradScaler(device.type, init_scale=64.0, enabled=precision == "fp16")
    with attach(model, mix(strategy, per_sample=strategy != "batch"), seed=3):
        with torch.autocast(device.type, dtype=AUTOCAST[precision], enabled=precision != "fp32"):
            output = model(**batch)
        scaler.scale(output.loss).backward()
    scale = scaler.get_scale() if scaler.is_enabled() else 1.0
    gradients = [p.grad.float().cpu() / scale for p in model.parameters() if p.grad is not None]
    return output.loss.detach().float().cpu(), output.logits.detach().float().cpu(), gradients


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_mixed_step_equals_that_of_the_cpu(name: str, labels: str, precision: str, device: torch.device) -> None:
    if head_for(BY_NAME[name], labels) is None:
        pytest.skip(f"{name} has no head for {labels}")
    tolerance, tried = TOLERANCE[precision], 0
    for strategy in MIXING:
        try:
            loss, logits, gradients = run_step(name, labels, strategy, torch.device("cpu"), "fp32")
        except ModelError:  # a site that this family lacks, or labels that the strategy cannot blend
            continue
        tried += 1
        found_loss, found_logits, found_gradients = run_step(name, labels, strategy, device, precision)
        assert torch.isfinite(found_loss), strategy
        assert all(torch.isfinite(gradient).all() for gradient in found_gradients), strategy
        if strategy == "ssmix" and precision != "fp32":
            continue  # rounding decides which of two similar spans is the most salient
        torch.testing.assert_close(found_logits, logits, atol=tolerance, rtol=tolerance, msg=strategy)
        torch.testing.assert_close(found_loss, loss, atol=tolerance, rtol=tolerance, msg=strategy)
        if precision == "fp32":
            for found, expected in zip(found_gradients, gradients, strict=True):
                torch.testing.assert_close(found, expected, atol=tolerance, rtol=1e-3, msg=strategy)
    assert tried >= 3


@pytest.mark.parametrize("strategy", MIXING)
def test_plans_are_drawn_alike_on_every_device(strategy: str, device: torch.device) -> None:
    drawn = []
    for place in (torch.device("cpu"), device):
        model = fresh("BERT").float().to(place)
        batch = {key: value.to(place) for key, value in make_batch("BERT", "integer").items()}
        with attach(model, mix(strategy), seed=5) as mixer:
            model(**batch)
            assert mixer.plan is not None
            drawn.append((mixer.plan.site, mixer.plan.lam.cpu(), mixer.plan.rows.cpu()))
    (site, lam, rows), (other_site, other_lam, other_rows) = drawn
    assert site == other_site
    torch.testing.assert_close(lam, other_lam)
    assert torch.equal(rows, other_rows)
