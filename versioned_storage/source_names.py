"""The names in pages of development, looked up among the sources: production has no others."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from django.apps import apps
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation

from . import startup
from .errors import VersionedStorageError, name_hint
from .progress import logger
from .static_root import listed_sources
from .static_url import split_name

# How many warnings suggest a name, and for how many seconds the suggested names are current: for
# each name that is missing, difflib reads all others.
_SUGGESTIONS = 20
_LISTED_FOR = 5.0


class MissingSource(VersionedStorageError, ValueError):
    """A page of development names a static file that production will not have.

    ``place`` is the template or the code that names it.
    """

    def __init__(self, name: str, place: str, names: Collection[str]) -> None:
        self.name = name
        self.place = place
        hint = name_hint(name, names)
        super().__init__(
            f"{place}: '{name}' fails in production: collectstatic collects no file of that name."
            f"{f' {hint}' if hint else ''}"
        )


class SourceNames:
    """Warns once for each name that production will not have; raises for each with ``strict``."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._checked: set[str] = set()
        self._warnings = 0
        self._listed: Collection[str] = ()
        self._listed_until = 0.0

    def check(self, name: str) -> None:
        """Warn if collectstatic collects no such file. Raises `MissingSource` if it is strict."""
        path = split_name(name)[0]
        # A finder of apps needs them, and code asks for URLs before they are loaded.
        if name in self._checked or not path or path.endswith("/") or not apps.apps_ready:
            return
        if not is_source(name):
            names = self._names() if self._warnings < _SUGGESTIONS else ()
            error = MissingSource(path, startup.caller(), names)
            if self._strict:
                raise error
            self._warnings += 1
            logger.warning("%s", error)
        self._checked.add(name)

    def _names(self) -> Collection[str]:
        if time.monotonic() >= self._listed_until:
            self._listed = {name for name, *_ in listed_sources()}
            self._listed_until = time.monotonic() + _LISTED_FOR
        return self._listed


def is_source(name: str) -> bool:
    """Return True if collectstatic collects a file that a page asks for by this name."""
    path = split_name(name)[0]
    return any(map(_is_collected, dict.fromkeys((path, unquote(path).strip(), name))))


def _is_collected(name: str) -> bool:
    # Finders take a name as a path of the disk, a manifest takes it letter by letter.
    if name.startswith("/") or posixpath.normpath(name) != name:
        return False
    try:
        path = finders.find(name)
    except SuspiciousFileOperation:
        return False
    return isinstance(path, str) and not Path(path).is_dir() and _has_case(Path(path), name)


def _has_case(path: Path, name: str) -> bool:
    """Return False for a name that only a disk without upper and lower case has."""
    with suppress(OSError):
        for part in reversed(name.split("/")):
            # The rest is a prefix of STATICFILES_DIRS.
            if path.name != part:
                break
            if part not in {entry.name for entry in path.parent.iterdir()}:
                return False
            path = path.parent
    return True
