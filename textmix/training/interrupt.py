"""Handle SIGINT and SIGTERM: finish the current step, then stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class Terminated(KeyboardInterrupt):
    """SIGTERM was received while there was nothing to save."""


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM raise `Terminated` in a `with` block, so that temporary files are removed as after SIGINT."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class InterruptGuard:
    """Records the first SIGINT or SIGTERM in a `with` block; a second one is handled as outside of the block.

    Attributes:
        signal: Number of the first signal; None before it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, signal.Handlers | int | None] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
            except ValueError:  # only the main thread may set handlers
                break
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
