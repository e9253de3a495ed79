"""A mapping that forgets what was not used for the longest time."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LRU(Generic[Value]):
    """At most ``size`` values by their names; several threads may use it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> Value | None:
        value = self._values.get(name)
        if value is not None:
            # Another thread may have removed it since.
            with suppress(KeyError):
                self._values.move_to_end(name)
        return value

    def put(self, name: str, value: Value) -> None:
        self._values[name] = value
        self._values.move_to_end(name)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def remove(self, name: str) -> None:
        self._values.pop(name, None)
