"""The state of the global random generators, saved in checkpoints."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Return the state of the generators of torch (dropout), Python and NumPy, as tensors and plain values.

    textmix does not use the global generators of Python and NumPy; the user's collators, models and callbacks may.
    """
    version, numbers, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002  # the global state, which the user's code may use
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": {"version": version, "numbers": list(numbers), "gauss": gauss},
        "numpy": {**legacy, "state": {**legacy["state"], "key": legacy["state"]["key"].tolist()}},
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Restore the state that `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    python, legacy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["numbers"]), python["gauss"]))
    key = np.asarray(legacy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": key}})  # noqa: NPY002


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restore the global generators, which training seeds, at the end of a `with` block."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)
