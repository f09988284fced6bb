import os
import signal
from collections.abc import Iterator

import pytest

from textmix.training.interrupt import InterruptGuard, Terminated, terminable


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """What is started in the background of a shell ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_stops_at_once(number: int) -> None:
    kind = KeyboardInterrupt if number == signal.SIGINT else Terminated
    with terminable(), InterruptGuard() as guard:
        assert guard.signal is None
        os.kill(os.getpid(), number)
        assert guard.signal == number
        with pytest.raises(kind) as caught:
            os.kill(os.getpid(), number)
    assert caught.type is kind


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with terminable(), InterruptGuard():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
