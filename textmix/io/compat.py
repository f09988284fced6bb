"""Names of libraries that are not public or that differ by version, each behind one function, with a fallback.

`tests/io/test_compat.py` checks that all of them exist in the installed versions; pyproject.toml bounds the versions.
Libraries are imported inside the functions, so that importing this module loads none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import filelock
    import numpy as np
    import numpy.typing as npt
    import optuna
    import torch
    from datasets import Dataset
    from torch import Generator, Tensor
    from transformers import PretrainedConfig


def in_backward() -> bool:
    """Test whether this thread runs a backward pass (torch); there is no fallback."""
    import torch

    return torch._C._current_graph_task_id() != -1


def sample_gamma(concentration: "Tensor", generator: "Generator") -> "Tensor":
    """Draw Gamma(α) variates from a generator (torch: `torch.distributions` takes none); there is no fallback."""
    import torch

    return torch._standard_gamma(concentration, generator=generator)


def sample_dirichlet(concentration: "Tensor", generator: "Generator") -> "Tensor":
    """Draw Dirichlet variates along the last dimension from a generator (torch); else from Gamma variates."""
    import torch

    if hasattr(torch, "_sample_dirichlet"):
        return torch._sample_dirichlet(concentration, generator=generator)
    drawn = sample_gamma(concentration, generator)
    return drawn / drawn.sum(dim=-1, keepdim=True)


def current_accelerator() -> "torch.device | None":
    """Return the device of this machine beside the CPU (torch); None without one. Before 2.6 it is CUDA or MPS."""
    import torch

    if hasattr(torch, "accelerator"):
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else None


def cpu_capabilities() -> dict[str, Any]:
    """Return what the processor can do, such as `avx512_bf16` (torch); empty where this version cannot tell."""
    import torch

    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return known


def gradient_norm(gradients: "list[Tensor]") -> "Tensor":
    """Return the norm of all gradients together (torch); before 2.6 from one norm after the other."""
    import torch

    if hasattr(torch.nn.utils, "get_total_norm"):
        return torch.nn.utils.get_total_norm(gradients, foreach=True)
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))
    return total


def pack_weight(weight: "Tensor") -> "Tensor | None":
    """Reorder the weight of a linear map for oneDNN (torch); None where that is not possible."""
    import torch

    operations = torch.ops.mkldnn
    if not (hasattr(operations, "_reorder_linear_weight") and hasattr(operations, "_linear_pointwise")):
        return None
    packed: Tensor = operations._reorder_linear_weight(weight, None)
    return packed


def packed_linear(rows: "Tensor", weight: "Tensor", bias: "Tensor | None") -> "Tensor":
    """Apply a linear map whose weight `pack_weight` has reordered (torch)."""
    import torch

    mapped: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return mapped


def attention_implementation(config: "PretrainedConfig") -> str | None:
    """Return the attention implementation of a configuration (transformers); else None, which is the default."""
    return getattr(config, "_attn_implementation", None)


def model_class(auto: Any, config: "PretrainedConfig") -> type | None:
    """Return the class that an Auto class builds for a configuration (transformers); else None."""
    mapping = getattr(auto, "_model_mapping", None)
    if mapping is None or type(config) not in mapping:
        return None
    found = mapping[type(config)]
    architecture: type = found[0] if isinstance(found, tuple) else found
    return architecture


def was_loaded(parameter: "Tensor") -> bool:
    """Test whether a checkpoint has given a parameter its value, so that it is not initialized (transformers 5)."""
    return getattr(parameter, "_is_hf_initialized", False)


def stock_sdpa() -> "Callable[..., tuple[Tensor, Tensor | None]]":
    """Return the `sdpa` attention of transformers; there is no fallback."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward


def registered_sdpa() -> "Callable[..., tuple[Tensor, Tensor | None]]":
    """Return the attention that is registered as `sdpa` (transformers), else its own."""
    from transformers import modeling_utils

    registered = getattr(modeling_utils, "ALL_ATTENTION_FUNCTIONS", {})
    return registered["sdpa"] if "sdpa" in registered else stock_sdpa()


def shared_states() -> list[dict[str, Any]]:
    """Return the mutable state that all accelerators of a process share (accelerate); else an empty list."""
    from accelerate.state import AcceleratorState, GradientState

    return [kind._shared_state for kind in (AcceleratorState, GradientState) if hasattr(kind, "_shared_state")]


def process_state() -> dict[str, Any]:
    """Return the mutable state of the processes of a run (accelerate); else an empty dictionary."""
    from accelerate import PartialState

    state: dict[str, Any] = getattr(PartialState, "_shared_state", {})
    return state


def selected_rows(dataset: "Dataset") -> "npt.NDArray[np.unsignedinteger[Any]] | None":
    """Return the rows of the underlying table that a selection of N rows has (datasets); there is no fallback.

    Returns:
        Shape (N,); None for a data set that has all rows of its table.
    """
    indices = dataset._indices
    return None if indices is None else indices.column(0).to_numpy()


def scipy_generator(seed: int) -> dict[str, "np.random.Generator"]:
    """Return a seeded generator as the argument that resampling takes (scipy): `rng`, or before 1.15 `random_state`."""
    import inspect

    import numpy as np
    from scipy.stats import permutation_test

    name = "rng" if "rng" in inspect.signature(permutation_test).parameters else "random_state"
    return {name: np.random.default_rng(seed)}


def locks_its_file(lock: "filelock.BaseFileLock") -> bool:
    """Test whether an acquired lock is on a file that exists (filelock); true where that is not known.

    Versions before 3.20.4 also acquire a file that its last holder removed meanwhile, so that nobody else waits for it.
    """
    import os

    file = getattr(getattr(lock, "_context", None), "lock_file_fd", None)
    return file is None or os.fstat(file).st_nlink > 0


def stored_trial(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> "optuna.Trial":
    """Return a trial of a study that another process began (optuna); there is no fallback."""
    import optuna

    return optuna.Trial(study, trial._trial_id)
