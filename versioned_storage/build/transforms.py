"""What functions make of the sources before a build: the option ``transforms``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import cached_property
from io import BytesIO
from typing import Any, BinaryIO

from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from ..errors import ConfigurationError, SourceError, VersionedStorageError
from .compression import available_cores
from .directory import BuildDirectory, digest_of
from .manifest import Manifest
from .source_files import Sources, open_source

#: Takes the name and the bytes of a source and returns the bytes for the build.
Transform = Callable[[str, bytes], bytes]


class UnusableTransform(ConfigurationError):
    """The option ``transforms`` has the dotted path of something that is not a function."""

    def __init__(self, path: str, reason: object) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"The option transforms names {path}: {reason}. Correct the dotted path of the "
            "function, or take it out of the option."
        )


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


class Transformed(Storage):
    """A storage with one file, which has no path: the result of ``functions``, applied in order."""

    def __init__(self, name: str, source: bytes, functions: Sequence[Transform]) -> None:
        self._name = name
        self._source = source
        self._functions = functions
        self._result: bytes | None = None

    def open(self, name: str, mode: str = "rb") -> Any:
        self.make()
        file: BinaryIO = BytesIO(self._result or b"")
        return file

    @cached_property
    def made_of(self) -> str:
        """A digest of all that decides the result; empty if a function has no ``version``."""
        versions = [getattr(function, "version", None) for function in self._functions]
        if None in versions:
            return ""
        text = json.dumps([self._name, versions]).encode()
        return hashlib.sha256(text + b"\0" + self._source).hexdigest()

    def make(self) -> None:
        """Make the result, once. Raises `TransformFailed`."""
        if self._result is not None:
            return
        data = self._source
        for function in self._functions:
            try:
                data = function(self._name, data)
            except VersionedStorageError:
                raise
            except Exception as error:
                raise TransformFailed(self._name, function, repr(error)) from error
            if not isinstance(data, bytes):
                raise TransformFailed(self._name, function, f"it returned {type(data).__name__}")
        self._result = data

    def take(self, manifest: Manifest, directory: BuildDirectory) -> bool:
        """Take the result from a build that has it; return False if it has not."""
        asset = manifest.asset(self._name)
        if asset is None or not self.made_of or asset.made_of != self.made_of:
            return False
        try:
            data = directory.path(asset.hashed_name).read_bytes()
        except OSError:
            return False
        if digest_of((data,)).integrity != asset.integrity:
            return False
        self._result = data
        return True


def usable_functions(
    transforms: Iterable[tuple[str, str | Transform]],
) -> list[tuple[str, Transform]]:
    """Return the globs and functions of the option ``transforms``, which has functions or paths.

    Raises `UnusableTransform`, and what a function raises when it is asked for its ``version``.
    """
    functions = []
    for glob, transform in transforms:
        function: Any = transform
        if isinstance(transform, str):
            try:
                function = import_string(transform)
            except ImportError as error:
                raise UnusableTransform(transform, error) from error
            if not callable(function):
                raise UnusableTransform(transform, f"it is of type {type(function).__name__}")
        getattr(function, "version", None)
        functions.append((glob, function))
    return functions


def transformed(sources: Sources, transforms: Iterable[tuple[str, str | Transform]]) -> Sources:
    """Return the sources, of which those that match a glob have a `Transformed` as their storage.

    Each of these is read now. Raises the errors of `usable_functions`.
    """
    functions = usable_functions(transforms)
    changed = {}
    for name, location in sources.items():
        matching = [function for glob, function in functions if fnmatchcase(name, glob)]
        if matching:
            with open_source(name, *location) as file:
                changed[name] = (Transformed(name, file.read(), matching), location[1])
    return {**sources, **changed}


def apply(sources: Sources, builds: Iterable[tuple[Manifest, BuildDirectory]]) -> None:
    """Make the results on all cores, but for those that one of ``builds`` has.

    Raises `TransformFailed`.
    """
    builds = tuple(builds)
    waiting = [
        storage
        for storage, _ in sources.values()
        if isinstance(storage, Transformed) and not any(storage.take(*build) for build in builds)
    ]
    with ThreadPoolExecutor(available_cores()) as pool:
        for _ in pool.map(Transformed.make, waiting):
            pass
