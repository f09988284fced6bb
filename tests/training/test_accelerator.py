"""Accelerators of the caller go on working after a training, whatever its precision."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator, DistributedType, PartialState
from accelerate.state import AcceleratorState, GradientState

from tests.support.trainer import trainer
from textmix.config.train import TrainConfig
from textmix.training.accelerator import run_accelerator


def learns(accelerator: Accelerator) -> bool:
    """Train one linear map for a few steps, with accumulated gradients."""
    torch.manual_seed(0)
    inputs = torch.randn(32, 4)
    rows = torch.utils.data.TensorDataset(inputs, inputs.sum(dim=1, keepdim=True))
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    model, optimizer, loader = accelerator.prepare(model, optimizer, torch.utils.data.DataLoader(rows, batch_size=8))
    losses = []
    for _ in range(10):
        for batch, target in loader:
            with accelerator.accumulate(model):
                loss = torch.nn.functional.mse_loss(model(batch), target)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        losses.append(float(accelerator.gather(loss.detach()).mean()))
    return losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_foreign_accelerator_survives(tmp_path: Path, precision: str) -> None:
    foreign = Accelerator(mixed_precision=precision, gradient_accumulation_steps=2, cpu=True)
    state, gradients = dict(AcceleratorState._shared_state), dict(GradientState._shared_state)
    instance = trainer(tmp_path, epochs=1, precision="fp32" if precision == "bf16" else "bf16")
    assert AcceleratorState._shared_state == state
    instance.train()
    assert AcceleratorState._shared_state == state
    assert GradientState._shared_state == gradients
    assert (foreign.mixed_precision, foreign.device.type, foreign.gradient_accumulation_steps) == (precision, "cpu", 2)
    assert learns(foreign)


def test_the_state_of_the_processes_is_restored(tmp_path: Path) -> None:
    """An accelerator that shards writes there that its processes do; the next one would then not shard."""
    state = PartialState(cpu=True)
    before = state.distributed_type
    with run_accelerator(TrainConfig(), "fp32", tmp_path):
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    assert PartialState().distributed_type == before


def test_the_precision_is_that_of_the_run(tmp_path: Path) -> None:
    Accelerator(mixed_precision="bf16", cpu=True)
    instance = trainer(tmp_path, epochs=1, precision="fp32")
    seen = []
    prepare = instance._prepare

    def preparing(stack: object) -> object:
        loop = prepare(stack)  # type: ignore[arg-type]
        seen.append(loop.accelerator.mixed_precision)
        return loop

    instance._prepare = preparing  # type: ignore[method-assign,assignment]
    instance.train()
    assert seen == ["no"]


def test_nothing_is_left_where_there_was_nothing(tmp_path: Path) -> None:
    AcceleratorState._reset_state()
    trainer(tmp_path, epochs=1).train()
    assert not AcceleratorState._shared_state
