"""The state of the generators that a whole process shares, to be kept in a checkpoint."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Return the state of torch's generators (dropout), Python's and NumPy's, as tensors and plain values.

    textmix draws nothing from the last two; collators, models and callbacks of others may.
    """
    version, numbers, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002  # it is the state that others draw from
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": {"version": version, "numbers": list(numbers), "gauss": gauss},
        "numpy": {**legacy, "state": {**legacy["state"], "key": legacy["state"]["key"].tolist()}},
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the generators back to where they were when `random_state` was called."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    python, legacy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["numbers"]), python["gauss"]))
    key = np.asarray(legacy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**legacy, "state": {**legacy["state"], "key": key}})  # noqa: NPY002


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Put the generators of the process, which training seeds, back to where they were when the block ends."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)
