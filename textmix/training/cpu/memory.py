"""The allocator of the process, set up for training on a CPU."""

import ctypes
import sys
from typing import Any

import pyarrow as pa

# Numbers and names are those of glibc's <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_STEP = 64 << 20


def keep_memory() -> bool:
    """Let this process keep freed memory for its next allocation instead of handing it back to the system.

    Every training step allocates what the one before it freed. By default glibc returns large blocks to the system at
    once, so that each step faults their pages in anew: in `benchmarks/mixing_overhead.py` that is nearly half of a
    TextCNN step at 16 tokens. The setting holds for the whole process, and its memory no longer shrinks; so it is for
    programs that train or predict, as the commands do, and not for libraries.

    Returns:
        Whether it took effect: False where the C library is not glibc.
    """
    set_option = _glibc("mallopt")
    return set_option is not None and all(
        bool(set_option(option, value))
        for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _STEP))
    )


def trim_memory() -> None:
    """Hand back to the system what is free now, once: after reading many rows, which takes more than training does."""
    pa.default_memory_pool().release_unused()
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
