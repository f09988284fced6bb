"""Turn Ctrl-C and SIGTERM into a wish to stop, which the loop grants at its next step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class Terminated(KeyboardInterrupt):
    """SIGTERM came where there is nothing to save."""


@contextmanager
def terminable() -> Iterator[None]:
    """While active, SIGTERM raises `Terminated`, as SIGINT raises KeyboardInterrupt, so that temporary files go."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # only the main thread may set handlers; elsewhere signals stay as they were
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class InterruptGuard:
    """While active, the first SIGINT or SIGTERM is only noted; a second one acts as it did before.

    Attributes:
        signal: Number of the first; None while there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, signal.Handlers | int | None] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._handle)  # type: ignore[assignment]
            except ValueError:  # only the main thread may set handlers; elsewhere signals stay as they were
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
