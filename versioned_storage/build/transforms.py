"""What a site's own functions make of its sources: the option ``transforms``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from io import BytesIO
from typing import Any, BinaryIO

from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from ..errors import SourceError
from .source_files import Sources, open_source

#: Takes the name and the bytes of a source and returns the bytes for the build.
Transform = Callable[[str, bytes], bytes]


class TransformFailed(SourceError):
    """A function of the option ``transforms`` raised ``error`` for a file, or gave no bytes."""

    def __init__(self, name: str, transform: Transform, reason: object) -> None:
        self.transform = transform
        self.reason = reason
        # A functools.partial has no name.
        qualname = getattr(transform, "__qualname__", None)
        path = f"{transform.__module__}.{qualname}" if qualname else repr(transform)
        super().__init__(
            [name],
            f"{path}, of the option transforms, failed for {name}: {reason}. Correct it, or leave "
            "the file out of its glob.",
        )


def transformed(sources: Sources, transforms: Iterable[tuple[str, str | Transform]]) -> Sources:
    """Return the sources; when one is read, the functions of matching globs are applied in order.

    Raises ImportError for a function that does not exist.
    """
    functions = [
        (glob, import_string(function) if isinstance(function, str) else function)
        for glob, function in transforms
    ]
    changed = {
        name: (_Transformed(name, location, matching), location[1])
        for name, location in sources.items()
        if (matching := [function for glob, function in functions if fnmatchcase(name, glob)])
    }
    return {**sources, **changed}


class _Transformed(Storage):
    """A storage with one file, which has no path: its bytes are on no disk."""

    def __init__(
        self, name: str, location: tuple[Storage, str], functions: Sequence[Transform]
    ) -> None:
        self._name = name
        self._location = location
        self._functions = functions

    def open(self, name: str, mode: str = "rb") -> Any:
        file: BinaryIO = BytesIO(self._data)
        return file

    @cached_property
    def _data(self) -> bytes:
        # Kept until the build is made, because a file may be read more than once.
        with open_source(self._name, *self._location) as file:
            data = file.read()
        for function in self._functions:
            try:
                data = function(self._name, data)
            except Exception as error:
                raise TransformFailed(self._name, function, repr(error)) from error
            if not isinstance(data, bytes):
                raise TransformFailed(self._name, function, f"it returned {type(data).__name__}")
        return data
