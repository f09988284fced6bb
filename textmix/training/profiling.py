"""Profile training steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

TRACE, TABLE = "trace.json", "table.txt"
# The first steps of a process are slower than the others.
_SKIPPED, _RECORDED = 5, 10


@contextmanager
def profiled(directory: Path | None) -> Iterator[Callable[[], None]]:
    """Profile steps 6 to 15 of a training run.

    Args:
        directory: Where to write `trace.json` (for chrome://tracing or perfetto.dev) and `table.txt` (time by
            operation), after step 15 or at the end of a shorter run; None means no profile.

    Yields:
        A function to call after each step.
    """
    if directory is None:
        yield lambda: None
        return

    def write(recorded: profile) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(directory / TRACE))
        table = recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        (directory / TABLE).write_text(table + "\n", encoding="utf-8")

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    steps = schedule(wait=_SKIPPED - 1, warmup=1, active=_RECORDED, repeat=1)
    with profile(activities=activities, schedule=steps, on_trace_ready=write) as recording:
        yield recording.step
