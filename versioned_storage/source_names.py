"""The names in pages of development, looked up among the sources: production has no others."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote

from django.apps import apps
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation

from . import startup
from .errors import VersionedStorageError
from .progress import logger
from .static_url import split_name


class MissingSource(VersionedStorageError, ValueError):
    """A page of development names a static file that production will not have.

    ``place`` is the template or the code that names it, ``near`` are similar names.
    """

    def __init__(self, name: str, place: str, near: Sequence[str]) -> None:
        self.name = name
        self.place = place
        self.near = tuple(near)
        if name.startswith("/"):
            reason = f"The name begins with a slash: write {{% static '{name.lstrip('/')}' %}}."
        else:
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            reason = f"No finder finds that file.{hint}"
        super().__init__(f"{place}: {{% static '{name}' %}} fails in production. {reason}")


class SourceNames:
    """Warns once for each name that production will not have; raises for each with ``strict``."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._checked: set[str] = set()

    def check(self, name: str) -> None:
        """Warn if no finder finds the file. Raises `MissingSource` instead if it is strict."""
        path = split_name(name)[0]
        # A finder of apps needs them, and code asks for URLs before they are loaded.
        if name in self._checked or not path or path.endswith("/") or not apps.apps_ready:
            return
        near: Sequence[str] = ()
        if not path.startswith("/"):
            if any(map(_is_source, dict.fromkeys((path, unquote(path), name)))):
                self._checked.add(name)
                return
            names = {source for finder in finders.get_finders() for source, _ in finder.list([])}
            near = get_close_matches(path, names, n=3, cutoff=0.75)
        error = MissingSource(path, startup.caller(), near)
        if self._strict:
            raise error
        self._checked.add(name)
        logger.warning("%s", error)


def _is_source(name: str) -> bool:
    """Return True if a finder finds a file."""
    try:
        path = finders.find(name)
    except SuspiciousFileOperation:
        return False
    return isinstance(path, str) and not Path(path).is_dir()
