"""Where web app manifests refer to icons and screenshots."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .tokens import Reference, Syntax, trimmed, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The keys and indexes that lead to a value.
_Path = tuple[str | int, ...]

_IMAGE_MEMBERS = frozenset(("icons", "screenshots", "shortcuts"))
_APP_MEMBERS = frozenset(("name", "short_name", "start_url", "display"))
_URL_MEMBERS = frozenset(
    ("action", "id", "new_note_url", "scope", "src", "start_url", "template", "url")
)
_PUNCTUATION = re.compile(r'["{}\[\],:]')
_DECODER = json.JSONDecoder()


def webmanifest_references(text: str) -> list[Reference]:
    """Return the ``src`` of icons, screenshots and shortcuts' icons (W3C Web Application Manifest).

    Returns nothing for other JSON, because much is called ``manifest.json``: a web app manifest is
    an object with images and with a member that names or starts an app.
    """
    manifest = _read(text)
    if manifest is None:
        return []
    start = 1 if text.startswith("\ufeff") else 0
    urls = dict(_image_urls(manifest))
    # Of a repeated key the last value counts, here as for json.loads.
    spans = {path: span for path, *span in _strings(text, start) if path in urls}
    return [
        Reference(begin, end, trimmed(well_formed(urls[path])), Syntax.JSON_STRING)
        for path, (begin, end) in sorted(spans.items(), key=lambda span: span[1])
    ]


def page_urls(text: str) -> list[str] | None:
    """Return the URLs in a web app manifest that are not those of `webmanifest_references`.

    These are the pages that it names, and images in members that are not known here. Returns None
    for a text that is not a web app manifest.
    """
    manifest = _read(text)
    if manifest is None:
        return None
    images = dict(_image_urls(manifest))
    urls = []
    waiting: list[tuple[_Path, Any]] = [((), manifest)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(((*path, key), item) for key, item in items)
        elif isinstance(value, str) and path[-1] in _URL_MEMBERS and path not in images:
            urls.append(value)
    return urls


def _read(text: str) -> dict[str, Any] | None:
    """Return the web app manifest, or None for other JSON and other texts."""
    try:
        manifest = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict):
        return None
    if _IMAGE_MEMBERS.isdisjoint(manifest) or _APP_MEMBERS.isdisjoint(manifest):
        return None
    return manifest


def _image_urls(manifest: dict[str, Any]) -> Iterator[tuple[_Path, str]]:
    for key in ("icons", "screenshots"):
        yield from _sources(manifest, (key,))
    for path, shortcut in _items(manifest, ("shortcuts",)):
        yield from _sources(shortcut, (*path, "icons"))


def _sources(parent: dict[str, Any], path: _Path) -> Iterator[tuple[_Path, str]]:
    for item_path, image in _items(parent, path):
        if isinstance(image.get("src"), str):
            yield (*item_path, "src"), image["src"]


def _items(parent: dict[str, Any], path: _Path) -> Iterator[tuple[_Path, dict[str, Any]]]:
    """Yield the objects in the list that ``parent`` has under the last key of ``path``."""
    listed = parent.get(str(path[-1]))
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item


def _strings(text: str, position: int) -> Iterator[tuple[_Path, int, int]]:
    """Yield each string value of valid JSON: its path, its start and its end."""
    path: list[str | int] = []
    awaits_key = False
    while match := _PUNCTUATION.search(text, position):
        start, position = match.span()
        mark = match[0]
        if mark == '"':
            string, position = _DECODER.raw_decode(text, start)
            if awaits_key:
                path[-1] = string
            else:
                yield tuple(path), start, position
        elif mark == "{":
            path.append("")
            awaits_key = True
        elif mark == "[":
            path.append(0)
            awaits_key = False
        elif mark == ":":
            awaits_key = False
        elif mark == ",":
            last = path[-1]
            awaits_key = isinstance(last, str)
            if isinstance(last, int):
                path[-1] = last + 1
        else:
            path.pop()
            awaits_key = False
