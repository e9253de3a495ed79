"""Which asset a reference means, and how it is spelled once that asset has a hashed name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

# What must be escaped in the path of a URL that stands in a quoted token. All else is left
# readable, letters of other alphabets too: a style sheet is UTF-8 and so are its references. A
# colon is among them because what stands before it can be read as a scheme.
_UNSAFE = re.compile(r"[\x00-\x20\x7f\"#%:<>?\\^`{|}]")


@dataclass(frozen=True)
class Target:
    """What a reference resolved to.

    ``name`` is the asset's name, or the path out of the tree (``"../x.png"``) that it leads to.
    ``written`` is the path as it stood there, ``tail`` its query and fragment.
    """

    name: str
    written: str
    tail: str

    @property
    def leads_out(self) -> bool:
        return self.name.startswith("../") or self.name == ".."


@dataclass(frozen=True)
class Targets:
    """The assets of a build and the URLs that mean them.

    ``names`` are the names of all assets. ``static_path`` is the path of STATIC_URL as written.
    ``own_urls`` are the absolute URLs under which the build will be, the longest first.
    ``versioned`` says that references must stay inside the build, whatever URL leads to it.
    """

    names: Collection[str]
    static_path: str
    own_urls: tuple[str, ...] = ()
    versioned: bool = False

    def find(self, source: str, url: str) -> Target | None:
        """The target of ``url`` in the file ``source``; None for what is not ours to rewrite."""
        path, below_root = self._below_root(url)
        if path is None:
            return None
        written = re.split(r"[?#]", path, maxsplit=1)[0]
        if not written or written.endswith("/"):
            return None
        decoded = unquote(written)
        name = decoded if below_root else posixpath.join(posixpath.dirname(source), decoded)
        name = posixpath.normpath(name)
        if name in self._directories:
            return None
        return Target(name, written, path[len(written) :])

    def spell(self, source: str, url: str, target: Target, hashed_name: str) -> str:
        """``url`` with the asset's hashed name in it."""
        rooted = self._below_root(url)[1]
        if rooted and self.versioned:
            # With its "./", because a module specifier without it is a package's name.
            way = posixpath.relpath(hashed_name, posixpath.dirname(source) or ".")
            path = _quote(way if way.startswith("../") else f"./{way}")
        else:
            # The author's own way there, with another name at its end.
            directory, slash, _ = target.written.rpartition("/")
            path = directory + slash + _quote(posixpath.basename(hashed_name))
            if rooted:
                path = self.static_path + path
        return path + target.tail

    def near(self, name: str) -> tuple[str, ...]:
        """Up to three names that exist and may have been meant."""
        from difflib import get_close_matches

        basename = posixpath.basename(name).casefold()
        same = [other for other in self.names if posixpath.basename(other).casefold() == basename]
        if same:
            return tuple(sorted(same, key=lambda other: _distance(name, other))[:3])
        return tuple(get_close_matches(name, self.names, n=3, cutoff=0.75))

    def _below_root(self, url: str) -> tuple[str | None, bool]:
        """The part of ``url`` that can name an asset, and whether it starts at the root."""
        for own in self.own_urls if self.versioned else ():
            if url.startswith(own):
                return url[len(own) :], True
        if _SCHEME.match(url) or url.startswith("//"):
            return None, False
        if url.startswith("/"):
            if url.startswith(self.static_path):
                return url[len(self.static_path) :], True
            return None, False
        return url, False

    @cached_property
    def _directories(self) -> frozenset[str]:
        found = {"."}
        for name in self.names:
            directory = posixpath.dirname(name)
            while directory and directory not in found:
                found.add(directory)
                directory = posixpath.dirname(directory)
        return frozenset(found)


def _quote(path: str) -> str:
    return _UNSAFE.sub(lambda match: quote(match[0], safe=""), path)


def _distance(name: str, other: str) -> tuple[int, str]:
    shared = posixpath.commonpath((f"/{name}", f"/{other}"))
    return -len(shared), other
