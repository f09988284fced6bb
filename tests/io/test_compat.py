"""All names of libraries that are not public exist in the installed versions, and mean what they are used for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from datasets import Dataset
from filelock import FileLock
from scipy.stats import bootstrap
from transformers import (
    AutoModel,
    AutoModelForTextEncoding,
    BertConfig,
    BertModel,
    GPT2Config,
    T5Config,
    T5EncoderModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from textmix.io import compat


def test_all_of_them_exist() -> None:
    assert callable(torch._C._current_graph_task_id)
    assert callable(torch._standard_gamma)
    assert callable(torch._sample_dirichlet)
    assert hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    assert hasattr(torch.ops.mkldnn, "_linear_pointwise")
    assert isinstance(BertConfig()._attn_implementation, str | None)
    assert BertConfig in AutoModel._model_mapping
    assert callable(sdpa_attention_forward)
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    assert isinstance(AcceleratorState._shared_state, dict)
    assert isinstance(GradientState._shared_state, dict)
    assert isinstance(PartialState._shared_state, dict)
    assert Dataset.from_dict({"a": [1]})._indices is None
    assert hasattr(optuna.trial.create_trial(value=0.0), "_trial_id")


def test_a_backward_pass_is_noticed() -> None:
    seen = []
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda grad: seen.append(compat.in_backward()))
    x.sum().backward()
    assert seen == [True]
    assert not compat.in_backward()


def test_variates_come_from_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> torch.Tensor:
        return compat.sample_dirichlet(torch.full((2000, 3), 0.7), torch.Generator().manual_seed(0))

    torch.manual_seed(1)
    before = torch.get_rng_state()
    fast = draw()
    monkeypatch.delattr(torch, "_sample_dirichlet")
    slow = draw()
    assert torch.equal(torch.get_rng_state(), before)
    for drawn in (fast, slow):
        assert torch.allclose(drawn.sum(dim=1), torch.ones(2000))
        assert torch.allclose(drawn.mean(dim=0), torch.full((3,), 1 / 3), atol=0.02)
        assert torch.allclose(drawn.var(dim=0), torch.full((3,), (1 / 3) * (2 / 3) / (3 * 0.7 + 1)), atol=0.01)


def test_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BertConfig()
    assert compat.attention_implementation(object()) is None
    assert compat.model_class(AutoModel, config) is BertModel
    assert compat.model_class(AutoModelForTextEncoding, GPT2Config()) is None
    assert compat.model_class(AutoModelForTextEncoding, T5Config()) is T5EncoderModel
    assert compat.model_class(object, config) is None
    assert not compat.was_loaded(torch.ones(1))
    monkeypatch.setattr("transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS", {})
    assert compat.registered_sdpa() is compat.stock_sdpa()
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert compat.pack_weight(torch.ones(2, 2)) is None


def test_rows_of_a_selection() -> None:
    rows = Dataset.from_dict({"a": list(range(5))})
    assert compat.selected_rows(rows) is None
    found = compat.selected_rows(rows.select([3, 1, 4]))
    assert found is not None
    assert found.tolist() == [3, 1, 4]


def test_resampling_takes_a_generator() -> None:
    def spread(seed: int) -> float:
        sample = (np.arange(8.0),)
        return bootstrap(sample, np.mean, n_resamples=50, **compat.scipy_generator(seed)).standard_error

    assert spread(0) == spread(0) != spread(1)


def test_a_lock_of_a_removed_file_is_noticed(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    assert compat.locks_its_file(lock)
    (tmp_path / "lock").unlink()
    assert not compat.locks_its_file(lock)
    lock.release()
    assert compat.locks_its_file(lock)


def test_importing_it_loads_no_library() -> None:
    code = "import sys, textmix.io.compat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "accelerate", "optuna", "numpy"} & set(loaded)


@pytest.mark.parametrize("older", [False, True])
def test_the_norm_of_all_gradients(older: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if older:
        monkeypatch.delattr(torch.nn.utils, "get_total_norm", raising=False)
    norm = compat.gradient_norm([torch.tensor([[2.0, 4.0]]), torch.tensor([5.0]), torch.tensor(6.0)])
    assert norm.item() == pytest.approx(9.0)


def test_older_versions_of_torch_tell_less(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compat.current_accelerator()
    monkeypatch.delattr(torch, "accelerator", raising=False)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert compat.current_accelerator() == found
    assert compat.cpu_capabilities() == {}
