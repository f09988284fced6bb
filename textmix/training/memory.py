"""The allocator of the process, set up for training on a CPU."""

import ctypes
import sys

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
    if not sys.platform.startswith("linux"):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    return all(
        bool(set_option(option, value))
        for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _STEP))
    )
