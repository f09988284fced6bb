"""Nothing makes the CPU wait for the device: neither a training step nor a batch of prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.gpu.test_training import tiny_bert
from tests.support.strategies import MIXING, mix
from tests.support.topics import topic_rows
from tests.support.trainer import TOKENIZER, on_loop, trainer
from textmix.models.logits import text_logits
from textmix.training.loop import TrainingLoop

pytestmark = pytest.mark.gpu


@contextmanager
def waits_refused(device: torch.device) -> Iterator[None]:
    """Raise an error where the CPU waits for a GPU; elsewhere do nothing."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("strategy", ["none", *MIXING])
def test_a_training_step_does_not_wait(strategy: str, precision: str, tmp_path: Path, device: torch.device) -> None:
    instance = trainer(tmp_path, model=tiny_bert(0.1), mix=mix(strategy), precision=precision, epochs=1, log_steps=1000)
    steps: list[int] = []

    def refuse_waits_after_warm_up(loop: TrainingLoop) -> None:
        original = loop._step

        def step(window: list[dict[str, Tensor]]) -> None:
            if loop.progress.step < 2:
                original(window)
                return
            with waits_refused(device):
                original(window)
            steps.append(loop.progress.step)

        loop._step = step

    on_loop(instance, refuse_waits_after_warm_up)
    instance.train()
    assert len(steps) >= 4


def test_a_batch_of_prediction_does_not_wait(device: torch.device) -> None:
    model = tiny_bert().to(device).eval()
    texts = [text for text, _ in topic_rows(40)]
    text_logits(model, TOKENIZER, texts, None, batch_size=8)  # warm-up
    if device.type == "cuda":
        torch.cuda.synchronize()
    seen = 0

    def progress(rows: int) -> None:
        nonlocal seen
        seen += rows
        if device.type == "cuda":
            # From the first batch to the last one; the results are copied to the CPU after it.
            torch.cuda.set_sync_debug_mode("error" if seen < len(texts) else "default")

    try:
        text_logits(model, TOKENIZER, texts, None, batch_size=8, progress=progress)
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert seen == len(texts)
