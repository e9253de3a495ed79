"""Subresource Integrity: of a file, of a URL, and of every element of a page."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from django.utils.encoding import filepath_to_uri

from .build.manifest import Manifest
from .conf import Options
from .errors import VersionedStorageError
from .progress import logger

# Browsers check the integrity of what has these media types, and of nothing else.
_DESTINATIONS = {"text/css": "style", "text/javascript": "script"}

# Linear in the length of any page; one with "<" or ">" in an attribute may keep no integrity.
_ELEMENT = re.compile(rb"<(?:script|link)\s[^<>]{1,2000}>", re.IGNORECASE)
_URL = re.compile(rb"\s(?:src|href)\s*=\s*(?:([\"'])(.*?)\1|([^\s\"'<>`]+))", re.IGNORECASE)
_QUOTED = re.compile(rb"=\s*(?:\"[^\"]*\"|'[^']*')")
_INTEGRITY = re.compile(rb"\sintegrity\s*=", re.IGNORECASE)
_CROSSORIGIN = re.compile(rb"\scrossorigin(?![\w-])", re.IGNORECASE)


class IntegrityMiddleware(MiddlewareMixin):
    """Adds ``integrity`` and ``crossorigin`` to the style sheets and scripts of a page.

    To those of the build, whoever rendered them: the admin, ``form.media``, an app that knows
    nothing of integrity. Adds the headers of the options ``integrity_policy`` and
    ``integrity_policy_report_only`` too. Without a build, with DEBUG for example, a page stays as
    it is.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Change a page that is not streamed and not compressed yet."""
        headers = response.headers
        is_page = headers.get("Content-Type", "").startswith("text/html")
        if not isinstance(response, HttpResponse) or not is_page or "Content-Encoding" in headers:
            return response
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return response
        try:
            integrity = integrity_by_url()
        except (OSError, VersionedStorageError) as error:
            # The error page must not fail for the same reason.
            logger.warning("A page has no integrity: %s", error)
            return response
        if not integrity:
            return response
        content = _ELEMENT.sub(lambda match: _with_integrity(match[0], integrity), response.content)
        if content != response.content:
            response.content = content
            if "Content-Length" in headers:
                headers["Content-Length"] = str(len(content))
        for name, value in self.policies(request).items():
            headers.setdefault(name, value)
        return response

    def policies(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the headers that demand integrity on this page; a hook for subclasses."""
        options: Options = staticfiles_storage.options  # type: ignore[attr-defined]  # it is ours
        return options.integrity_headers


def current_manifest() -> Manifest | None:
    """Return the manifest that pages use; None with DEBUG, in tests and with another storage."""
    plain = getattr(staticfiles_storage, "gives_plain_urls", True)
    manifest = None if plain else getattr(staticfiles_storage, "manifest", None)
    return manifest if isinstance(manifest, Manifest) else None


def integrity_by_url() -> Mapping[str, str]:
    """Return the integrity of each style sheet and script by its URL; empty without a build."""
    manifest = current_manifest()
    if manifest is None:
        return {}
    base_url: str = staticfiles_storage.base_url  # type: ignore[attr-defined]  # it is ours
    last = _last[0]
    if last.manifest is not manifest or last.base_url != base_url:
        integrity = {}
        for asset in manifest.assets.values():
            if destination(asset.content_type) is not None:
                integrity[staticfiles_storage.url(asset.name)] = asset.integrity
                if manifest.build is not None:
                    # {% get_static_prefix %} and django-compressor lead there; in a build, the
                    # original name has the same bytes.
                    integrity[base_url + filepath_to_uri(asset.name)] = asset.integrity
        # One assignment, so that no thread sees half of it.
        last = _last[0] = _Integrity(manifest, base_url, integrity)
    return last.by_url


def destination(content_type: str) -> str | None:
    """Return "style" or "script" for what has its integrity checked, None for all else."""
    return _DESTINATIONS.get(content_type.partition(";")[0])


class _Integrity(NamedTuple):
    manifest: Manifest | None
    base_url: str
    by_url: Mapping[str, str]


#: What `integrity_by_url` returned last: a process has one manifest.
_last = [_Integrity(None, "", {})]


def _with_integrity(element: bytes, integrity: Mapping[str, str]) -> bytes:
    url = _URL.search(element)
    if url is None:
        return element
    written = html.unescape((url[2] or url[3] or b"").decode(errors="replace"))
    value = integrity.get(written.partition("#")[0].partition("?")[0])
    names = _QUOTED.sub(b"= ", element)
    if value is None or _INTEGRITY.search(names):
        return element
    # The quotes of the URL, because the element may stand in a string of a script.
    quote = url[1] or b""
    attributes = b" integrity=%b%b%b" % (quote, value.encode(), quote)
    if not _CROSSORIGIN.search(names):
        attributes += b" crossorigin=%banonymous%b" % (quote, quote)
    return element[: url.end()] + attributes + element[url.end() :]
