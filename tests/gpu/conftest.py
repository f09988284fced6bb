"""Tests that need a GPU: `pytest -m gpu`. With `--device cpu` they rehearse on the CPU."""

import os
from collections.abc import Iterator

import pytest
import torch

# Without it cuBLAS adds in an order that differs from call to call.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device under test."""
    name = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU is available; --device cpu rehearses on the CPU")
    return torch.device(name)


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Compute sums in an order that is always the same."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on the CPU although there is a GPU."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
