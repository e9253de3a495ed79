"""How many requests may be under way at once, while a server asks for fewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Limiter:
    """A bound for threads, additive in increase and multiplicative in decrease.

    There are ``most`` places at first. `throttled` halves them, however many requests of the same
    moment were turned away, and each `succeeded` gives a little back, so that they are all back
    after some sixteen round trips at the latest. There is always one place.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._places = float(most)
        self._taken = 0
        self._lowered = float("-inf")
        self._changed = threading.Condition()

    @property
    def places(self) -> int:
        """How many requests may be under way at this moment."""
        return int(self._places)

    @contextmanager
    def place(self) -> Iterator[float]:
        """Wait for a place and keep it; gives the time at which it was had."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self.places)
            self._taken += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def throttled(self, begun: float) -> None:
        """A request that had its place at ``begun`` was told to slow down."""
        with self._changed:
            if begun < self._lowered:
                # It was under way when the places were lowered: that was for it, too.
                return
            self._places = max(1.0, self._places / 2)
            self._lowered = time.monotonic()

    def succeeded(self) -> None:
        """A request was answered as it should be."""
        if self._places == self.most:
            return
        with self._changed:
            step = max(1.0, self.most / 16) / self._places
            self._places = min(float(self.most), self._places + step)
            self._changed.notify_all()
