"""What accelerate and torchrun tell a process by its environment. Imports no torch."""

import os

from textmix.errors import RunError

# Set by torchrun and accelerate, or by one of the implementations of MPI.
_WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def process_count() -> int:
    """Return the number of processes that were started together."""
    return max(int(os.environ.get(name) or 1) for name in _WORLD_SIZES)


def is_local_main_process() -> bool:
    """Say whether this is the first process on its machine, the only one there that prints errors."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def check_launch() -> None:
    """Refuse to train in one process where several were asked for: its batches would be smaller than intended.

    Without a GPU, `accelerate launch --num_processes 2` starts one process, but sets the address of a process group.

    Raises:
        RunError: If that has happened.
    """
    alone = "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ and process_count() == 1
    if alone and "RANK" not in os.environ:
        raise RunError(
            "accelerate launch has started one process, though several were asked for: without a GPU it starts several"
            " only if --multi_gpu is given as well (and --cpu is not)"
        )
