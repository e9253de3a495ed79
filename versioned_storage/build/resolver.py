"""The asset that a reference means, and its URL once the asset has a hashed name."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from urllib.parse import unquote

from django.utils.encoding import filepath_to_uri

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ORIGIN = re.compile(r"\A[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"(?:https?|wss?|ftp|file):/|(?!https?:|wss?:|ftp:|file:)[a-z][a-z0-9+.-]*:", re.I
)
_TAIL = re.compile(r"[?#]")
#: What bundlers add to the name of a module, and browsers do not.
MODULE_ENDINGS = (".js", ".mjs", "/index.js")
# Endings that references lack by mistake.
_LEFT_OUT = (*MODULE_ENDINGS, ".css", ".png", ".svg", ".jpg", ".woff2", ".json")
# URL Standard, 4.4: a URL parser removes these everywhere.
_REMOVED = dict.fromkeys(map(ord, "\t\n\r"))


@dataclass(frozen=True)
class Target:
    """What a reference means.

    ``name`` is the name of an asset, or a path that leads out of the static files
    (``"../x.png"``). ``directory`` is the part of the reference before the last name, escaped and
    with its slash, or None if it has to be spelled anew. ``rooted`` is True if the reference starts
    with STATIC_URL. ``tail`` is the query and the fragment.
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
    """Resolves and spells the references of a build.

    ``names`` are the names of all assets, ``static_path`` is the path of STATIC_URL as written,
    ``site_urls`` are the absolute URLs of the build and of STATIC_URL, the longest first.
    With ``versioned`` rooted references become relative, so that they stay inside the build.
    """

    names: Collection[str]
    static_path: str
    site_urls: tuple[str, ...] = ()
    versioned: bool = False

    def find(self, source: str, url: str) -> Target | None:
        """Return the target of ``url`` in the file ``source``, or None if it is not an asset's URL.

        The path is resolved by the URL Standard: a backslash is a slash, and escaped dots are dots.
        The result is a path of files, so empty segments are removed.
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

    def leads_elsewhere(self, url: str) -> bool:
        """Return True for a URL to which the place of its file does not matter.

        These are fragments, other schemes, and URLs from a host or from the root that are not below
        STATIC_URL. (URL Standard, 4.4: ``https:x`` is a relative one.)
        """
        path, tail = _split(url)
        if not path:
            return tail.startswith("#")
        if self._below_root(path) is not None:
            return False
        return path.startswith("/") or bool(_ELSEWHERE.match(path))

    def spell(self, source: str, target: Target, hashed_name: str, shared_prefix: str = "") -> str:
        """Return the URL of the asset's hashed name for the file ``source``.

        It keeps the author's directory where that means the same in a URL and in a file system, and
        is escaped like ``{% static %}`` does it. The URL of an asset that is shared below
        ``shared_prefix`` is the same from a build and from the shared assets.
        """
        if shared_prefix:
            up = "../" * (source.count("/") + 1)
            return f"{up}{shared_prefix}/{_quoted(hashed_name)}{target.tail}"
        if target.directory is not None and not (target.rooted and self.versioned):
            path = target.directory + _quoted(posixpath.basename(hashed_name))
        elif target.rooted and not self.versioned:
            path = _quoted(hashed_name)
        else:
            # A module specifier without "./" would be the name of a package.
            path = posixpath.relpath(hashed_name, posixpath.dirname(source) or ".")
            path = _quoted(path if path.startswith("../") else f"./{path}")
        root = self.static_path if target.rooted and not self.versioned else ""
        return root + path + target.tail

    def near(self, name: str, source: str = "") -> tuple[str, ...]:
        """Return up to three existing names that the file ``source`` may have meant."""
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
        """Return the module that a bundler would take for a name without extension."""
        for ending in MODULE_ENDINGS:
            if name + ending in self.names:
                return name + ending
        return None

    def _below_root(self, path: str) -> str | None:
        """Return what follows STATIC_URL in a path, or None if it starts with something else."""
        if self.versioned:
            path = _ORIGIN.sub(lambda origin: origin[0].lower(), path, count=1)
        for site_url in self._site_urls:
            if path.startswith(site_url):
                return path[len(site_url) :]
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
    def _site_urls(self) -> tuple[str, ...]:
        if not self.versioned:
            return ()
        return tuple(
            _ORIGIN.sub(lambda origin: origin[0].lower(), url, count=1) for url in self.site_urls
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
    """Split a URL before its query or fragment."""
    url = url.translate(_REMOVED)
    tail = _TAIL.search(url)
    end = tail.start() if tail else len(url)
    return url[:end].replace("\\", "/"), url[end:]


def _resolved(segments: Iterable[str]) -> list[str]:
    """Remove dots from decoded segments, and then empty segments, which ``..`` also removes."""
    resolved: list[str] = []
    for segment in segments:
        if segment == ".." and resolved and resolved[-1] != "..":
            resolved.pop()
        elif segment != ".":
            resolved.append(segment)
    return [segment for segment in resolved if segment]


def _absolute(path: str) -> str:
    """Decode and resolve a path from the root; ``..`` does not lead above the root."""
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
