"""SIGINT and SIGTERM end a publish at once, whatever it waits for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any, TypeVar

from .threads import in_background

Result = TypeVar("Result")

# Who has set another handler, or ignores the signal, has a reason for it.
_DEFAULTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


class Interrupted(KeyboardInterrupt, SystemExit):
    """A signal ended the work; the exit code is the one that shells give: 130 or 143."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number
        self.code = 128 + signal_number


def interruptible(work: Callable[[Event], Result]) -> Result:
    """Return ``work(stop)``; SIGINT and SIGTERM raise `Interrupted` and set ``stop``.

    In the main thread, ``work`` runs in a daemon thread: the main thread only waits, because a
    signal cannot interrupt a DNS lookup. In another thread nothing is changed, since Python
    delivers signals to the main thread only.
    """
    stop = Event()
    if current_thread() is not main_thread():
        return work(stop)
    with _handlers():
        try:
            return in_background(partial(work, stop)).result()
        except BaseException:
            stop.set()
            raise


@contextmanager
def _handlers() -> Iterator[None]:
    def interrupt(signal_number: int, _: FrameType | None) -> None:
        raise Interrupted(signal_number)

    replaced = [
        number for number, default in _DEFAULTS.items() if signal.getsignal(number) is default
    ]
    try:
        for number in replaced:
            signal.signal(number, interrupt)
        yield
    finally:
        for number in replaced:
            signal.signal(number, _DEFAULTS[number])
