"""Training for a number of steps: a plain loop, the last losses, losses that are not finite, and what is restored."""

from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.support.few_labels import TOKENIZER, classifier, weights
from textmix import MixupForSequenceClassification
from textmix.errors import TrainingError
from textmix.training.cpu.dropout import ByteDropout
from textmix.training.steps import Steps, autocast, on_accelerator, run_steps

TEXTS = ["the goal of the match", "a soup with new bread", "some song and a very new tune"]
BATCH = dict(TOKENIZER(TEXTS, padding=True, return_tensors="pt"))
LABELS = torch.tensor([0, 1, 2])


def steps(count: int, **options: Any) -> Steps:
    given = {"learning_rate": 0.01, "warmup_ratio": 0.0, "name": "tests", "show_progress": False, **options}
    return Steps(count, learning_rate_option="some.rate", precision_option="some.precision", **given)


def made_up(model: MixupForSequenceClassification, losses: list[float]) -> Any:
    """Return losses that are given, and a gradient of zero."""
    return lambda step: model.classifier.weight.sum() * 0 + losses[step]


def test_it_is_a_plain_loop_of_adamw_with_a_linear_schedule() -> None:
    model, other = classifier(dropout=0.0), classifier(dropout=0.0)
    seen: list[int] = []

    def compute_loss(step: int) -> Tensor:
        seen.append(step)
        return 30 * cross_entropy(model(**BATCH).logits, LABELS)  # so large that its gradient is clipped

    made = run_steps(model, steps(8, warmup_ratio=0.25), "fp32", compute_loss)
    assert seen == [*range(8)]

    groups: list[dict[str, Any]] = [{"params": [], "weight_decay": 0.01}, {"params": [], "weight_decay": 0.0}]
    for parameter in other.parameters():
        groups[parameter.dim() < 2]["params"].append(parameter)
    optimizer, losses = torch.optim.AdamW(groups), []
    for step in range(8):
        share = step / 2 if step < 2 else (8 - step) / 6  # two steps of warm-up, then six down to zero
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * share
        loss = 30 * cross_entropy(other(**BATCH).logits, LABELS)
        optimizer.zero_grad()
        loss.backward()
        norm = sum(float(one.grad.square().sum()) for one in other.parameters() if one.grad is not None) ** 0.5
        assert norm > 1
        for one in other.parameters():
            if one.grad is not None:
                one.grad /= norm
        optimizer.step()
        losses.append(loss.item())
    assert made.loss == pytest.approx(losses[-1], rel=1e-3)
    assert losses[-1] < losses[0]
    for name, value in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=2e-4, rtol=1e-3)


def test_the_loss_is_the_mean_of_the_last_tenth() -> None:
    model, after = classifier(), []
    made = run_steps(
        model, steps(20), "fp32", made_up(model, [float(n) for n in range(20)]), lambda: after.append(None)
    )
    assert (made.steps, made.loss) == (20, 18.5)
    assert made.seconds > 0
    assert len(after) == 20
    assert run_steps(model, steps(1), "fp32", made_up(model, [7.0])).loss == 7.0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize(("bad", "count", "seen"), [(3, 5, 5), (3, 30, 10), (10, 30, 20), (0, 1, 1)])
def test_a_loss_that_is_not_finite_names_the_step_and_the_options(
    wrong: float, bad: int, count: int, seen: int
) -> None:
    model, made = classifier().eval(), []
    losses = [1.0 if step < bad else wrong for step in range(count)]

    def compute_loss(step: int) -> Tensor:
        made.append(step)
        return made_up(model, losses)(step)

    with pytest.raises(TrainingError) as caught:
        run_steps(model, steps(count), "bf16", compute_loss)
    assert str(caught.value) == (
        f"the loss is not finite at step {bad + 1}; lower some.rate (now 0.01) or use some.precision fp32 (now bf16)"
    )
    assert len(made) == seen  # the losses are looked at every ten steps
    assert not model.training


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_mode_and_dropout_are_restored(training: bool, fails: bool) -> None:
    model = classifier().train(training)
    before = {name: type(module) for name, module in model.named_modules()}
    inside = []

    def compute_loss(step: int) -> Tensor:
        inside.append((model.training, any(isinstance(module, ByteDropout) for module in model.modules())))
        if fails:
            raise ZeroDivisionError
        return made_up(model, [0.0, 0.0])(step)

    try:
        run_steps(model, steps(2), "fp32", compute_loss)
    except ZeroDivisionError:
        assert fails
    assert set(inside) == {(True, True)}
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert {module.training for module in model.modules()} == {training}


def test_losses_are_computed_in_the_precision() -> None:
    model, kinds = classifier(), []

    def compute_loss(step: int) -> Tensor:
        logits = model(**BATCH).logits
        kinds.append(logits.dtype)
        return logits.float().square().mean()

    for precision in ("fp32", "bf16"):
        run_steps(model, steps(1), precision, compute_loss)
    assert kinds == [torch.float32, torch.bfloat16]
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    with autocast(torch.device("cpu"), "fp32"):
        assert not torch.is_autocast_enabled("cpu")


def test_parameters_that_are_frozen_stay() -> None:
    model = classifier()
    model.encoder.embeddings.requires_grad_(False)
    before = weights(model)
    run_steps(model, steps(2), "fp32", lambda step: cross_entropy(model(**BATCH).logits, LABELS))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any("embeddings" in name for name in changed)


def test_a_model_comes_back_from_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    monkeypatch.setattr("textmix.training.steps.current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: moved.append(str(device)))
    with suppress(ZeroDivisionError), on_accelerator(classifier()) as device:
        assert device.type == "cuda"
        raise ZeroDivisionError
    assert moved == ["cuda", "cpu"]
