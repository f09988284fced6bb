"""The process group of a run that was started by accelerate or torchrun."""

from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import PartialState

from textmix.errors import RunError
from textmix.io.compat import current_accelerator
from textmix.runs.launcher import check_launch, process_count


@contextmanager
def process_group() -> Iterator[PartialState]:
    """Join the process group of this run; a single process is its only member.

    Yields:
        accelerate's `PartialState`: the rank of this process and the number of processes.

    Raises:
        RunError: If the processes cannot connect, or if torch raises a RuntimeError in one of several processes, which
            it does when another process has ended.
    """
    check_launch()
    try:
        processes = PartialState(cpu=current_accelerator() is None)
    except RuntimeError as error:
        if process_count() == 1:
            raise
        raise RunError(f"the processes cannot connect: {_first_line(error)}") from error
    try:
        yield processes
    except RuntimeError as error:
        if process_count() == 1:
            raise
        raise RunError(
            f"process {processes.process_index} of {processes.num_processes} cannot continue; another one may have"
            f" ended (killed, out of memory, or its machine is down): {_first_line(error)}"
        ) from error


def end_process_group() -> None:
    """Wait for the other processes, and destroy the process group."""
    state = PartialState()
    state.wait_for_everyone()
    state.destroy_process_group()


def _first_line(error: RuntimeError) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
