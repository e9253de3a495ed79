"""Template tags for Subresource Integrity, with the digests of the manifest.

A browser runs a script or applies a style sheet only if it has the bytes that were collected,
whoever serves it. Without a build (with DEBUG, in a test suite) the elements have no ``integrity``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from django import template
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..build.manifest import Manifest, content_type

register = template.Library()

# The ``as`` of a preload by media type. Browsers ignore integrity for all others, with a warning on
# the console.
_DESTINATIONS = {"text/css": "style", "text/javascript": "script"}
_MAIN_TYPES = ("audio", "font", "image", "video")


@register.simple_tag
def static_integrity(name: str) -> str:
    """Return the value of ``integrity`` for a file; empty if there is no build.

    The element needs ``crossorigin`` too if static files have another origin than the page.
    """
    # Another storage, in a test suite for example, has no such manifest.
    plain = getattr(staticfiles_storage, "gives_plain_urls", False)
    manifest = None if plain else getattr(staticfiles_storage, "manifest", None)
    path = unquote(name.partition("#")[0].partition("?")[0])
    asset = manifest.asset(path) if isinstance(manifest, Manifest) else None
    return asset.integrity if asset is not None else ""


@register.simple_tag
def stylesheet(name: str, **attributes: Any) -> SafeString:
    """Return ``<link rel="stylesheet">`` of a file, with its integrity.

    Keyword arguments add attributes or replace them: True writes one without a value; False, None
    and an empty nonce leave it out.
    """
    named = {"rel": "stylesheet", "href": static(name), **_integrity(name), **attributes}
    return format_html("<link{}>", _attributes(named))


@register.simple_tag
def script(name: str, **attributes: Any) -> SafeString:
    """Return ``<script>`` of a file, with its integrity; attributes as for `stylesheet`."""
    named = {"src": static(name), **_integrity(name), **attributes}
    return format_html("<script{}></script>", _attributes(named))


@register.simple_tag
def preload(name: str, **attributes: Any) -> SafeString:
    """Return ``<link rel="preload">`` of a file; attributes as for `stylesheet`.

    ``as`` defaults to that of the file's type.
    """
    destination = attributes.pop("as", None) or _destination(name)
    crossorigin: dict[str, Any] = {"crossorigin": "anonymous"}
    integrity = _integrity(name) if destination in _DESTINATIONS.values() else crossorigin
    named = {"rel": "preload", "href": static(name), "as": destination, **integrity, **attributes}
    return format_html("<link{}>", _attributes(named))


def _integrity(name: str) -> dict[str, Any]:
    # Without CORS a browser cannot check the bytes of another origin, and refuses them.
    return {"integrity": static_integrity(name) or None, "crossorigin": "anonymous"}


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


def _destination(name: str) -> str:
    media_type = content_type(name.partition("#")[0].partition("?")[0]).partition(";")[0]
    main = media_type.partition("/")[0]
    return _DESTINATIONS.get(media_type, main if main in _MAIN_TYPES else "fetch")
