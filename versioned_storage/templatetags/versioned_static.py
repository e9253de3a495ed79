"""Template tags for Subresource Integrity: the digests that the manifest has of each asset.

A browser then runs a script, or applies a style sheet, only when its bytes are those that were
collected, whoever serves them. Where there is no build to have digests of (with DEBUG, in a test
suite) the elements are the same without ``integrity``.
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

# What a preload is for, by media type, where the type itself does not say it. Only these two take
# integrity: for others browsers ignore it, with a warning on the console.
_DESTINATIONS = {"text/css": "style", "text/javascript": "script"}
_TYPES_THAT_SAY_IT = ("audio", "font", "image", "video")


@register.simple_tag
def static_integrity(name: str) -> str:
    """The sha384 of a file as ``integrity`` takes it; empty where there is no build.

    On a page whose files have another origin the element needs ``crossorigin`` too.
    """
    # A storage of somebody else's, in a test suite for example, has no such manifest.
    plain = getattr(staticfiles_storage, "gives_plain_urls", False)
    manifest = None if plain else getattr(staticfiles_storage, "manifest", None)
    path = unquote(name.partition("#")[0].partition("?")[0])
    asset = manifest.asset(path) if isinstance(manifest, Manifest) else None
    return asset.integrity if asset is not None else ""


@register.simple_tag
def stylesheet(name: str, **attributes: Any) -> SafeString:
    """``<link rel="stylesheet">`` of a file, with its integrity.

    Keyword arguments add attributes or replace them: True writes one without a value; False, None
    and an empty nonce leave it out.
    """
    given = {"rel": "stylesheet", "href": static(name), **_integrity(name), **attributes}
    return format_html("<link{}>", _attributes(given))


@register.simple_tag
def script(name: str, **attributes: Any) -> SafeString:
    """``<script>`` of a file, with its integrity; attributes as for `stylesheet`."""
    given = {"src": static(name), **_integrity(name), **attributes}
    return format_html("<script{}></script>", _attributes(given))


@register.simple_tag
def preload(name: str, **attributes: Any) -> SafeString:
    """``<link rel="preload">`` of a file, for the element that will use it; attributes as above.

    ``as`` comes from the file's type unless it is given.
    """
    destination = attributes.pop("as", None) or _destination(name)
    crossorigin: dict[str, Any] = {"crossorigin": "anonymous"}
    integrity = _integrity(name) if destination in _DESTINATIONS.values() else crossorigin
    given = {"rel": "preload", "href": static(name), "as": destination, **integrity, **attributes}
    return format_html("<link{}>", _attributes(given))


def _integrity(name: str) -> dict[str, Any]:
    # Without CORS a browser may not look at the bytes of another origin, so it would refuse them.
    return {"integrity": static_integrity(name) or None, "crossorigin": "anonymous"}


def _attributes(given: dict[str, Any]) -> SafeString:
    # data_turbo_track="reload" is how data-turbo-track is written in a template.
    named = {name.replace("_", "-"): value for name, value in given.items()}
    written = (
        format_html(" {}", name) if value is True else format_html(' {}="{}"', name, value)
        for name, value in named.items()
        if not _is_left_out(name, value)
    )
    return format_html_join("", "{}", ((one,) for one in written))


def _is_left_out(name: str, value: Any) -> bool:
    # Django's nonce is false until it is first rendered, so its text decides. An undefined variable
    # is an empty string, and an empty nonce matches no policy.
    return value is None or value is False or (name == "nonce" and not str(value))


def _destination(name: str) -> str:
    media_type = content_type(name.partition("#")[0].partition("?")[0]).partition(";")[0]
    main = media_type.partition("/")[0]
    return _DESTINATIONS.get(media_type, main if main in _TYPES_THAT_SAY_IT else "fetch")
