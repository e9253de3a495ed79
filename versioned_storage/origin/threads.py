"""Work in daemon threads, which SIGINT and SIGTERM end at once.

The threads of a `ThreadPoolExecutor` are joined when the interpreter exits: a request that S3 does
not answer would hold up Ctrl-C for as long as its timeout. These are daemon threads, and nobody
joins them once the work has failed or was interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Only these handlers are replaced: one that the site has set stays.
_DEFAULTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


def in_background(work: Callable[[], Result]) -> Future[Result]:
    """Call ``work`` in a daemon thread; the future has its result or its exception."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again by future.result()
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def map_in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield ``work(item)`` of each item in order, as `map` does, from up to ``threads`` threads.

    After the first exception no further item is started.
    """
    pending: Sequence[tuple[Item, Future[Result]]] = [(item, Future()) for item in items]
    # The threads take from this one; the iterator of a list gives each item once.
    remaining, stopped = iter(pending), Event()

    def run() -> None:
        while not stopped.is_set():
            try:
                item, future = next(remaining)
            except StopIteration:
                return
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001  # raised again by future.result()
                stopped.set()
                future.set_exception(error)

    for _ in range(min(threads, len(pending))):
        Thread(target=run, daemon=True).start()
    try:
        for _, future in pending:
            # Items that were never started come after the one with the error.
            yield future.result()
    finally:
        stopped.set()


class Interrupted(KeyboardInterrupt, SystemExit):
    """A signal ended the work; the exit code is the one that shells give: 130 or 143."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number
        self.code = 128 + signal_number


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Interrupted` in the main thread, unless the site handles them."""

    def interrupt(signal_number: int, _: FrameType | None) -> None:
        raise Interrupted(signal_number)

    replaced = [
        number
        for number, default in _DEFAULTS.items()
        if current_thread() is main_thread() and signal.getsignal(number) is default
    ]
    try:
        for number in replaced:
            signal.signal(number, interrupt)
        yield
    finally:
        for number in replaced:
            signal.signal(number, _DEFAULTS[number])


def interruptible(work: Callable[[Event], Result]) -> Result:
    """Return ``work(stop)``; SIGINT and SIGTERM raise `Interrupted` and set ``stop``.

    In the main thread, ``work`` runs in a daemon thread: the main thread only waits, because a
    signal cannot interrupt a DNS lookup. In another thread nothing is changed, since Python
    delivers signals to the main thread only.
    """
    stop = Event()
    if current_thread() is not main_thread():
        return work(stop)
    with raising_interrupts():
        try:
            return in_background(partial(work, stop)).result()
        except BaseException:
            stop.set()
            raise
