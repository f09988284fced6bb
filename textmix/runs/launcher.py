"""Environment variables of accelerate and torchrun: number and rank of processes. Imports no torch."""

import os

from textmix.errors import RunError

# Set by torchrun and accelerate, or by an implementation of MPI.
_WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def process_count() -> int:
    """Return the number of processes that were started together."""
    return max(int(os.environ.get(name) or 1) for name in _WORLD_SIZES)


def is_local_main_process() -> bool:
    """Return whether this is the first process on its machine; only that one prints errors."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def check_launch() -> None:
    """Refuse to train in one process if several were requested: the batches would be smaller than intended.

    Without a GPU, `accelerate launch --num_processes 2` starts one process, but sets the address of a process group.

    Raises:
        RunError: If accelerate has started fewer processes than requested.
    """
    alone = "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ and process_count() == 1
    if alone and "RANK" not in os.environ:
        raise RunError(
            "accelerate launch has started one process, though several were requested: without a GPU, add --multi_gpu"
            " and leave out --cpu"
        )
