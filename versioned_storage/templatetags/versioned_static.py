"""Template tags for static files: with their integrity, in the page, of the page's origin.

A browser runs a script or applies a style sheet only if it has the bytes that were collected,
whoever serves it. Without a build (with DEBUG, in a test suite) the elements have no ``integrity``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ..build.manifest import content_type, matches_globs
from ..errors import VersionedStorageError
from ..inlining import inlined
from ..integrity import current_manifest, destination, integrity_by_url
from ..site import cdn, usable_storage

register = template.Library()

_WITH_INTEGRITY = ("style", "script")
_WITHOUT_CORS = ("audio", "image", "track", "video")
_MAIN_TYPES = ("audio", "font", "image", "video")
_NO_STATIC_FILE = ("http://", "https://", "/")
# An import map as django-js-asset and others render it.
_IMPORT_MAP = re.compile(r"<script[^>]*>(.*)</script>", re.DOTALL)
_GLOB = re.compile(r"[*?[!]")
# JSON that cannot end the element it is in.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


class NotOfThePagesOrigin(VersionedStorageError):
    """A page needs a static file from its own origin, which does not have it."""

    def __init__(self, name: str, path: str, cdn: str) -> None:
        self.name = name
        self.path = path
        self.cdn = cdn
        super().__init__(
            f"{{% static_same_origin '{name}' %}}: the application has no {path} to serve. Put the "
            "build into its STATIC_ROOT, with collectstatic in the image for example, and "
            "VersionedWhiteNoiseMiddleware into MIDDLEWARE; or serve static files at the domain of "
            f"the pages instead of {cdn}; or start the worker from a blob."
        )


@register.simple_tag
def static_same_origin(name: str) -> str:
    """Return the URL of a file at the page's own origin, for workers and SVG sprites.

    The same as ``{% static %}`` where that has no other host. Raises `NotOfThePagesOrigin` where
    the build is not on this disk.
    """
    url, storage = static(name), usable_storage()
    if storage is None or storage.static_url is None or (cdn_url := cdn(storage)) is None:
        return url
    base = storage.static_url
    manifest = current_manifest()
    if manifest is not None and storage.build_version is not None:
        path = Path(storage.location or "", manifest.paths.get(unquote(_path(name)), ""))
        if not storage.location or not path.is_file():
            raise NotOfThePagesOrigin(name, str(path), cdn_url)
    below = url.removeprefix(base.behind(storage.options.cdn_domain)).removeprefix(base.plain())
    return base.plain().removeprefix(base.host) + below


@register.simple_tag
def static_integrity(name: str) -> str:
    """Return the value of ``integrity`` for a file; empty if there is no build.

    The element needs ``crossorigin`` too if static files have another origin than the page.
    """
    manifest = current_manifest()
    asset = manifest.asset(unquote(_path(name))) if manifest is not None else None
    return asset.integrity if asset is not None else ""


@register.simple_tag
def stylesheet(name: str, **attributes: Any) -> SafeString:
    """Return ``<link rel="stylesheet">`` of a file, with its integrity.

    Keyword arguments add attributes or replace them: True writes one without a value; False, None
    and an empty nonce leave it out.
    """
    named = {"rel": "stylesheet", "href": static(name), **integrity_attributes(name), **attributes}
    return format_html("<link{}>", _attributes(named))


@register.simple_tag
def script(name: str, **attributes: Any) -> SafeString:
    """Return ``<script>`` of a file, with its integrity; attributes as for `stylesheet`."""
    named = {"src": static(name), **integrity_attributes(name), **attributes}
    return format_html("<script{}></script>", _attributes(named))


@register.simple_tag
def preload(name: str, **attributes: Any) -> SafeString:
    """Return ``<link rel="preload">`` of a file; attributes as for `stylesheet`.

    ``as`` defaults to that of the file's type. Images, audio and video have no ``crossorigin``
    unless it is given, as for an ``<img crossorigin>``.
    """
    target = attributes.pop("as", None) or _destination(name)
    named = {
        "rel": "preload",
        "href": static(name),
        "as": target,
        **_preload_integrity(name, target),
    }
    named.update(attributes)
    return format_html("<link{}>", _attributes(named))


@register.simple_tag
def import_map(*entries: Any, **attributes: Any) -> SafeString:
    """Return an import map with the integrity of the modules in it; attributes as for `script`.

    An entry is ``"specifier=name"``; or the name of a module that others import by its path, or a
    glob of such names, for their integrity alone; or a dict of specifiers and names or URLs; or an
    import map that another app rendered, django-js-asset's ``media.importmap`` for example.
    """
    merged: dict[str, dict[str, Any]] = {"imports": {}, "scopes": {}, "integrity": {}}
    globs = []
    for entry in entries:
        parts = _import_map_parts(entry)
        if parts is None:
            globs.append(entry)
            if not _GLOB.search(entry):
                static(entry)  # says that the manifest does not have it
        else:
            for scope, imports in parts.pop("scopes", {}).items():
                merged["scopes"].setdefault(scope, {}).update(imports)
            for key, values in parts.items():
                merged.setdefault(key, {}).update(values)
    targets = (merged["imports"], *merged["scopes"].values())
    # None blocks a specifier.
    urls = {url for imports in targets for url in imports.values() if url is not None}
    manifest, integrity = current_manifest(), integrity_by_url()
    if manifest is not None and globs:
        urls.update(_module_urls(tuple(globs), static(""), manifest.content))
    merged["integrity"].update((url, integrity[url]) for url in sorted(urls) if url in integrity)
    text = json.dumps({key: values for key, values in merged.items() if values})
    return format_html(
        '<script type="importmap"{}>{}</script>',
        _attributes(attributes),
        mark_safe(text.translate(_ESCAPES)),  # noqa: S308 - nothing in it can end the element
    )


@register.simple_tag
def static_inline(name: str, **attributes: Any) -> SafeString:
    """Return ``<style>`` or ``<script>`` with the content of a file; attributes as for `script`."""
    element, content = inlined(name)
    opening = format_html("<{}{}>", element, _attributes(attributes))
    return mark_safe(f"{opening}{content}</{element}>")  # noqa: S308 - nothing in it ends the element


def static_preload_headers(*names: str, nonce: Any = "") -> str:
    """Return the value of a ``Link`` header that preloads these files, as `preload` does.

    ``response.headers["Link"] = static_preload_headers("css/app.css", "fonts/sans.woff2")``
    ``nonce`` is that of the page, where a Content Security Policy demands it.
    """
    links = []
    for name in names:
        target = _destination(name)
        parameters = {"rel": "preload", "as": target, **_preload_integrity(name, target)}
        if target in _WITH_INTEGRITY:
            parameters["nonce"] = str(nonce)
        shown = (f'; {key}="{value}"' for key, value in parameters.items() if value)
        links.append(f"<{static(name)}>{''.join(shown)}")
    return ", ".join(links)


@lru_cache(maxsize=64)
def _module_urls(globs: Sequence[str], base_url: str, content: str) -> Sequence[str]:
    """Return the URLs of the scripts that globs name; the rest says of which build."""
    manifest = current_manifest()
    return [
        static(asset.name)
        for asset in (manifest.assets.values() if manifest is not None else ())
        if matches_globs(asset.name, globs) and destination(asset.content_type) == "script"
    ]


def _import_map_parts(entry: Any) -> dict[str, dict[str, Any]] | None:
    """Return what an entry of an `import_map` has; None for a name or a glob."""
    if not isinstance(entry, Mapping):
        text = str(entry)
        if rendered := _IMPORT_MAP.search(text):
            parts: dict[str, dict[str, Any]] = json.loads(rendered[1])
            return parts
        specifier, equals, name = text.rpartition("=")
        if not equals:
            return None
        entry = {specifier: name}
    return {
        "imports": {
            specifier: None if name is None else static_url(str(name))
            for specifier, name in entry.items()
        }
    }


def static_url(path: str) -> str:
    """Return the URL of a static file; one that is a URL already stays, as in ``forms.Media``."""
    return path if path.startswith(_NO_STATIC_FILE) else static(path)


def integrity_attributes(name: str) -> dict[str, str]:
    """Return ``integrity`` and ``crossorigin`` of a file; nothing of a URL."""
    if name.startswith(_NO_STATIC_FILE):
        return {}
    integrity = static_integrity(name)
    # Without CORS a browser cannot check the bytes of another origin, and refuses them.
    return {**({"integrity": integrity} if integrity else {}), "crossorigin": "anonymous"}


def _path(name: str) -> str:
    return name.partition("#")[0].partition("?")[0]


def _attributes(named: dict[str, Any]) -> SafeString:
    # Templates spell data-turbo-track="reload" data_turbo_track="reload".
    attributes = {name.replace("_", "-"): value for name, value in named.items()}
    texts = (
        format_html(" {}", name) if value is True else format_html(' {}="{}"', name, value)
        for name, value in attributes.items()
        if not _is_left_out(name, value)
    )
    return format_html_join("", "{}", ((text,) for text in texts))


def _is_left_out(name: str, value: Any) -> bool:
    # Django's nonce is false until it is first rendered, so its text decides. An undefined variable
    # is an empty string, and an empty nonce matches no policy.
    return value is None or value is False or (name == "nonce" and not str(value))


def _preload_integrity(name: str, target: str) -> dict[str, str]:
    # For any other target browsers ignore an integrity, with a warning on the console. They do not
    # use a preload that asks with CORS for what the element of the page asks without.
    if target in _WITH_INTEGRITY:
        return integrity_attributes(name)
    return {} if target in _WITHOUT_CORS else {"crossorigin": "anonymous"}


def _destination(name: str) -> str:
    media_type = content_type(_path(name))
    main = media_type.partition("/")[0]
    return destination(media_type) or (main if main in _MAIN_TYPES else "fetch")
