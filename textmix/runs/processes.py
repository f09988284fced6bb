"""What is different when textmix runs as several processes, which accelerate or torchrun has started."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from textmix.errors import RunError

# Processes are counted by whoever started them: torchrun and accelerate, or one of the implementations of MPI.
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_TOLD = "textmix/told"
_LOST = "one of the processes has ended without a word: it was killed, or ran out of memory, or its machine has gone"


def process_count() -> int:
    """Say how many processes were started together."""
    return max(int(os.environ.get(name) or 1) for name in _COUNTS)


def first_to_tell() -> bool:
    """Say whether this process shall print what ended the run: what ends one ends all, and is told once.

    Before the processes have met, the first of each machine speaks.
    """
    if process_count() == 1:
        return True
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return os.environ.get("LOCAL_RANK", "0") == "0"
    try:
        count: int = distributed.distributed_c10d._get_default_store().add(_TOLD, 1)
    except RuntimeError:  # who kept the store is gone, so that nobody can know; better twice than never
        return True
    return count == 1


@contextmanager
def joined() -> Iterator[Any]:
    """Meet the other processes of this run, if there are any.

    Yields:
        accelerate's `PartialState`: which process this is, and of how many.

    Raises:
        RunError: If the processes cannot meet, or if one of the others has ended.
    """
    import torch
    from accelerate import PartialState

    _check_launch()
    try:
        yield PartialState(cpu=not torch.accelerator.is_available())
    except RuntimeError as error:
        if process_count() > 1 and _is_of_the_network(error):
            raise RunError(_LOST if torch.distributed.is_initialized() else _not_met(error)) from error
        raise


def leave() -> None:
    """Part from the other processes, once nothing more is to be done together."""
    from accelerate import PartialState

    state = PartialState()
    state.wait_for_everyone()
    state.destroy_process_group()


def _check_launch() -> None:
    """Refuse to train in one process where several were asked for: its batches would be smaller than intended.

    Without a GPU, `accelerate launch --num_processes 2` starts one process, but tells it where to meet the others.
    """
    alone = "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ and process_count() == 1
    if alone and "RANK" not in os.environ:
        raise RunError(
            "accelerate launch has started one process, though several were asked for: without a GPU it starts them"
            " only when given --multi_gpu as well (leave out --cpu), whatever its name says"
        )


def _is_of_the_network(error: RuntimeError) -> bool:
    """Say whether an error means that another process could not be reached; gloo raises plain RuntimeErrors."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo" in str(error).lower()


def _not_met(error: RuntimeError) -> str:
    return f"the processes cannot meet: {str(error).splitlines()[0]}"
