"""How many requests run at once while S3 asks for fewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Limiter:
    """A number of slots for requests, lowered by half and raised step by step.

    There are ``most`` slots at first and never less than one. `throttled` halves them once for
    all requests that ran at the same time. Each `succeeded` raises them a little, so that all are
    back after about sixteen round trips.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._slots = float(most)
        self._taken = 0
        self._lowered = float("-inf")
        self._changed = threading.Condition()

    @property
    def slots(self) -> int:
        """How many requests may run at this moment."""
        return int(self._slots)

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Wait for a slot and keep it; yields the time at which it was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self.slots)
            self._taken += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def throttled(self, started: float) -> None:
        """Lower the slots for a request that took its slot at ``started``."""
        with self._changed:
            if started < self._lowered:
                return
            self._slots = max(1.0, self._slots / 2)
            self._lowered = time.monotonic()

    def succeeded(self) -> None:
        """Raise the slots a little, up to ``most``."""
        if self._slots == self.most:
            return
        with self._changed:
            step = max(1.0, self.most / 16) / self._slots
            self._slots = min(float(self.most), self._slots + step)
            self._changed.notify_all()
