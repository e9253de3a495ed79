"""Which asset a reference means, and how it is spelled once that asset has a hashed name."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from django.utils.encoding import filepath_to_uri

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
_TAIL = re.compile(r"[?#]")
#: What bundlers add to the name of a module, and browsers do not.
MODULE_ENDINGS = (".js", ".mjs", "/index.js")
# What is left out of a name by mistake.
_LEFT_OUT = (*MODULE_ENDINGS, ".css", ".png", ".svg", ".jpg", ".woff2", ".json")
# URL Standard, 4.4: a URL parser drops these wherever they are.
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))


@dataclass(frozen=True)
class Target:
    """What a reference resolved to.

    ``name`` is the asset's name, or the path out of the tree (``"../x.png"``) that it leads to.
    ``directory`` is the author's way to its directory, spelled as a URL, ends with a slash unless
    it is empty, and is None where only a way of our own leads there. ``rooted`` says that the way
    starts at STATIC_URL. ``tail`` is the query and the fragment.
    """

    name: str
    directory: str | None
    tail: str
    rooted: bool = False

    @property
    def leads_out(self) -> bool:
        return self.name.startswith("../") or self.name == ".."


@dataclass(frozen=True)
class Resolver:
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
        """The target of ``url`` in the file ``source``; None for what is not ours to rewrite.

        The path is resolved as the URL Standard says: a backslash is a slash, and dots count after
        percent-decoding. Then it is a path of files, where empty segments mean nothing.
        """
        path, tail = _split(url)
        below_root = self._below_root(path)
        if below_root is not None:
            path, base = below_root, []
        elif path.startswith("/") or _SCHEME.match(path):
            return None
        else:
            base = source.split("/")[:-1]
        if not path or path.endswith("/"):
            return None
        segments = [unquote(segment) for segment in path.split("/")]
        name = posixpath.normpath("/".join(_resolved([*base, *segments])).lstrip("/") or ".")
        target = Target(name, _directory(path), tail, below_root is not None)
        is_directory = name in self._directories or segments[-1] in (".", "..")
        return None if is_directory and not target.leads_out else target

    def spell(self, source: str, target: Target, hashed_name: str) -> str:
        """The URL of the asset's hashed name, as a reference in ``source``.

        The author's own way there with another name at its end, where that is a way of the URL
        Standard and of a file system alike. All of it is escaped as by ``{% static %}``.
        """
        if target.directory is not None and not (target.rooted and self.versioned):
            path = target.directory + _quoted(posixpath.basename(hashed_name))
        elif target.rooted and not self.versioned:
            path = _quoted(hashed_name)
        else:
            # With its "./", because a module specifier without it is a package's name.
            way = posixpath.relpath(hashed_name, posixpath.dirname(source) or ".")
            path = _quoted(way if way.startswith("../") else f"./{way}")
        root = self.static_path if target.rooted and not self.versioned else ""
        return root + path + target.tail

    def near(self, name: str, source: str = "") -> tuple[str, ...]:
        """Up to three names that exist and may have been meant in the file ``source``."""
        from difflib import get_close_matches

        exact = [name + ending for ending in _LEFT_OUT if name + ending in self.names]
        if exact:
            return tuple(exact[:1])
        basename = _folded(posixpath.basename(name))
        same = [
            other
            for other in self.names
            if _folded(posixpath.basename(other)) == basename and other != source
        ]
        if same:
            return tuple(sorted(same, key=lambda other: _distance(name, other))[:3])
        close = get_close_matches(name, self.names, n=4, cutoff=0.75)
        return tuple(other for other in close if other != source)[:3]

    def module_meant(self, name: str) -> str | None:
        """The module that a bundler would take for ``name``, which has no extension."""
        for ending in MODULE_ENDINGS:
            if name + ending in self.names:
                return name + ending
        return None

    def _below_root(self, path: str) -> str | None:
        """What follows STATIC_URL in a path that starts with it; None for other paths."""
        if self.versioned and (origin := _ORIGIN.match(path)):
            path = origin[0].lower() + path[origin.end() :]
        for own in self._own_urls:
            if path.startswith(own):
                return path[len(own) :]
        if not path.startswith("/") or path.startswith("//"):
            return None
        if path.startswith(self.static_path):
            return path[len(self.static_path) :]
        if path.endswith("/"):
            return None
        absolute = _absolute(path)
        root = _absolute(self.static_path).rstrip("/") + "/"
        return _quoted(absolute[len(root) :]) if absolute.startswith(root) else None

    @cached_property
    def _own_urls(self) -> tuple[str, ...]:
        if not self.versioned:
            return ()
        origins = [(_ORIGIN.match(own), own) for own in self.own_urls]
        return tuple(
            origin[0].lower() + own[origin.end() :] if origin else own for origin, own in origins
        )

    @cached_property
    def _directories(self) -> frozenset[str]:
        directories = {"."}
        for name in self.names:
            directory = posixpath.dirname(name)
            while directory and directory not in directories:
                directories.add(directory)
                directory = posixpath.dirname(directory)
        return frozenset(directories)


def _split(url: str) -> tuple[str, str]:
    """The path of a URL, with whatever is before it, and its query and fragment."""
    url = url.translate(_DROPPED)
    tail = _TAIL.search(url)
    end = tail.start() if tail else len(url)
    return url[:end].replace("\\", "/"), url[end:]


def _resolved(segments: Iterable[str]) -> list[str]:
    """Decoded segments without dots and then without empty ones, which two dots take away too."""
    resolved: list[str] = []
    for segment in segments:
        if segment == ".." and resolved and resolved[-1] != "..":
            resolved.pop()
        elif segment != ".":
            resolved.append(segment)
    return [segment for segment in resolved if segment]


def _absolute(path: str) -> str:
    """A path from the root, decoded and resolved; two dots lead nowhere above the root."""
    segments = _resolved(map(unquote, path.split("/")[1:]))
    return "/" + "/".join(segment for segment in segments if segment != "..")


def _directory(path: str) -> str | None:
    path = unquote(path)
    if path.startswith("/") or "//" in path:
        return None
    directory, slash, _ = path.rpartition("/")
    return _quoted(directory) + slash


def _quoted(path: str) -> str:
    return filepath_to_uri(path) or ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _distance(name: str, other: str) -> tuple[int, str]:
    shared = posixpath.commonpath((f"/{name}", f"/{other}"))
    return -len(shared), other
