"""Locks that exclude other processes from a directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from textmix.errors import RunError
from textmix.io.compat import locks_its_file
from textmix.io.files import LOCK


@contextmanager
def locked(place: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock; the lock of a killed process is released by the system.

    The lock file is removed at the end. A killed process leaves it behind, which does no harm.

    Args:
        place: A directory, which is locked by the file `LOCK` in it; or a lock file.
        wait: Wait until other processes have released the lock.

    Raises:
        RunError: If another process holds the lock.
    """
    file = place / LOCK if place.is_dir() else place
    lock = FileLock(file)
    try:
        lock.acquire(timeout=-1 if wait else 0)
        while not locks_its_file(lock):
            lock.release()
            lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise RunError(f"another process is training in {place}") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: a process that waits for the removed file tries a new one
        lock.release()
