"""Work on many requests at once, in threads that never keep a process from ending.

The threads of a `ThreadPoolExecutor` are joined when the interpreter exits: a request that S3 does
not answer would hold up Ctrl-C for as long as its timeout. These are daemon threads, and nobody
joins them once the work has failed or was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
