"""Turn Ctrl-C and SIGTERM into a wish to stop, which the loop grants at its next step."""

import signal
from types import FrameType
from typing import Self


class InterruptGuard:
    """While active, the first SIGINT or SIGTERM only sets `requested`; a second one acts as it always does."""

    def __init__(self) -> None:
        self.requested = False
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
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
