"""A compiled mixed step in bfloat16 equals the plain one, and the hooks break no graph."""

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

from tests.gpu.test_mixing import make_batch
from tests.support.families import fresh
from tests.support.strategies import mix
from textmix.hooks.attach import attach

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

STRATEGIES = ("word", "sentence", "manifold", "cutmix")


@pytest.fixture(autouse=True)
def nothing_compiled_before_or_after() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["BERT", "Llama"])
def test_a_compiled_step_equals_the_plain_one(name: str, strategy: str, device: torch.device) -> None:
    batch = {key: value.to(device) for key, value in make_batch(name, "integer").items()}
    # Inductor needs a C++ compiler on the CPU, and Triton on a GPU.
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    losses = []
    for compiled in (False, True):
        model = fresh(name).float().to(device)
        run = torch.compile(model, backend=backend) if compiled else model
        with attach(model, mix(strategy), seed=3):
            found = []
            for _ in range(3):
                with torch.autocast(device.type, dtype=torch.bfloat16):
                    loss = run(**batch).loss
                loss.backward()
                found.append(loss.item())
        losses.append(found)
    assert losses[0] == pytest.approx(losses[1], abs=3e-2)
