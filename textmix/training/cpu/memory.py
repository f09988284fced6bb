"""Configure the memory allocator of the process for training on a CPU."""

import ctypes
import sys
from typing import Any

import pyarrow as pa

# From glibc's <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_STEP = 64 << 20


def keep_memory() -> bool:
    """Make the process keep freed memory for later allocations instead of returning it to the system.

    Every training step allocates the memory that the step before has freed. By default glibc returns large blocks to
    the system at once, so each step causes page faults: nearly half of the time of a TextCNN step at 16 tokens
    (`benchmarks/speed/mixing_overhead.py`). The setting applies to the whole process, whose memory no longer shrinks,
    and cannot be undone. Therefore only the commands make it, if `train.cpu_speedups` is true; importing or calling
    textmix from Python does not.

    Returns:
        Whether it took effect; False if the C library is not glibc.
    """
    set_option = _glibc("mallopt")
    return set_option is not None and all(
        bool(set_option(option, value))
        for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _STEP))
    )


def trim_memory() -> None:
    """Return free memory to the system once; reading many rows needs more memory than training on them."""
    pa.default_memory_pool().release_unused()
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
