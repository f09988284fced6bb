from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.support.families import fresh
from textmix.config.train import TrainConfig
from textmix.errors import ConfigError
from textmix.training import optimization
from textmix.training.optimization import (
    build_optimizer,
    build_schedule,
    choose_precision,
    clip_gradients,
    parameter_groups,
)


@pytest.mark.parametrize("name", ["BERT, linear head", "BERT", "TextCNN"])
def test_biases_and_norms_do_not_decay(name: str) -> None:
    model = fresh(name)
    decaying, other = parameter_groups(model, 0.1)
    assert (decaying["weight_decay"], other["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    exempt = {names[id(parameter)] for parameter in other["params"]}
    assert exempt == {name for name in names.values() if name.endswith("bias") or "norm" in name.lower()}
    assert len(exempt) + len(decaying["params"]) == len(names)


def test_frozen_parameters_are_left_out() -> None:
    model = fresh("TextCNN")
    model.embeddings.weight.requires_grad_(False)
    chosen = [id(p) for group in build_optimizer(model, 1e-3, 0.01).param_groups for p in group["params"]]
    assert id(model.embeddings.weight) not in chosen


def rates(config: TrainConfig, total: int) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimizer, config, total)
    values = []
    for _ in range(total):
        values.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return values


def test_schedules() -> None:
    config = TrainConfig(warmup_ratio=0.2)
    assert rates(config, 10) == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    cosine = rates(replace(config, schedule="cosine"), 10)
    assert cosine[2] == 1
    assert cosine[6] == pytest.approx(0.5)
    assert rates(replace(config, schedule="constant"), 10) == pytest.approx([0, 0.5] + [1.0] * 8)


class TestPrecision:
    @pytest.mark.parametrize(
        ("capabilities", "expected"),
        [({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32"), ({}, "fp32")],
    )
    def test_auto_takes_bf16_where_the_cpu_has_it(
        self, monkeypatch: pytest.MonkeyPatch, capabilities: dict, expected: str
    ) -> None:
        monkeypatch.setattr(optimization.torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(optimization, "cpu_capabilities", lambda: capabilities)
        assert choose_precision("auto") == expected

    @pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp32")])
    def test_auto_takes_bf16_where_the_gpu_has_it(
        self, monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str
    ) -> None:
        monkeypatch.setattr(optimization.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(optimization.torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
        assert choose_precision("auto") == expected

    def test_what_is_asked_for_is_taken(self) -> None:
        assert choose_precision("bf16") == "bf16"
        assert choose_precision("fp32") == "fp32"

    def test_fp16_without_a_gpu_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(optimization.torch.cuda, "is_available", lambda: False)
        with pytest.raises(ConfigError, match=r"train\.precision fp16 needs a GPU"):
            choose_precision("fp16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "train.epochs must be at least 1"),
        ({"accumulation_steps": 2**31}, r"train.accumulation_steps must be below 2\*\*31, not 2147483648"),
        ({"batch_size": 0}, "train.batch_size must be at least 1"),
        ({"save_steps": 0}, "train.save_steps must be at least 1, epoch, auto, or null"),
        ({"patience": -1}, "train.patience must be at least 1, or null"),
        ({"learning_rate": 0.0}, "train.learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "train.learning_rate must be above 0"),
        ({"weight_decay": -0.1}, "train.weight_decay must not be below 0"),
        ({"warmup_ratio": 1.1}, "train.warmup_ratio must lie in"),
        ({"max_grad_norm": -1}, "train.max_grad_norm must not be below 0"),
        ({"seed": -1}, "train.seed must lie in"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**options)


@pytest.mark.parametrize("most", [0.01, 1e6])
def test_a_clipped_step_is_that_of_torch(most: float) -> None:
    results = []
    for ours in (True, False):
        torch.manual_seed(0)
        model, accelerator = nn.Linear(5, 3), Accelerator(cpu=True)
        model, optimizer = accelerator.prepare(model, build_optimizer(model, 0.1, 0.01))
        for _ in range(3):
            model(torch.randn(7, 5)).square().sum().backward()
            if ours:
                clip_gradients(accelerator, model, optimizer, most)
            else:
                torch.nn.utils.clip_grad_norm_(model.parameters(), most)
            optimizer.step()
            optimizer.zero_grad()
        moments = [state["exp_avg_sq"] for state in optimizer.optimizer.state.values()]
        results.append(torch.cat([tensor.detach().flatten() for tensor in (*model.parameters(), *moments)]))
        assert (max(tensor.max().item() for tensor in moments) < 1e-6) == (most < 1)  # it did clip, or not
    torch.testing.assert_close(*results)
