"""Responses of static files, and those that do not depend on a file."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.headers import Headers

from .regular_files import FileBody

HeaderList = tuple[tuple[str, str], ...]

NO_STORE = ("Cache-Control", "no-store")
EMPTY = ("Content-Length", "0")

_NOT_FOUND = b"There is no such static file.\n"


class StaticResponse(NamedTuple):
    """What WhiteNoise's responders return, with two fields more.

    ``file`` is a body of ``size`` bytes, to be closed by whoever takes the response; if it is None,
    the body is ``content``.
    """

    status: HTTPStatus
    headers: HeaderList
    file: FileBody | None = None
    size: int = 0
    content: bytes = b""


METHOD_NOT_ALLOWED = StaticResponse(HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", "GET, HEAD"), EMPTY))


class FixedResponder(NamedTuple):
    """Gives the same response to every request; a redirect to GET and HEAD only."""

    response: StaticResponse

    def get_response(self, method: str, request: Mapping[str, str]) -> StaticResponse:
        if self.response.status is HTTPStatus.FOUND and method not in ("GET", "HEAD"):
            return METHOD_NOT_ALLOWED
        return self.response


def redirect(url: str, common: Headers) -> FixedResponder:
    """A redirect that caches keep for a minute, because the next build has another URL."""
    headers = (*common.items(), ("Location", url), ("Cache-Control", "max-age=60"), EMPTY)
    return FixedResponder(StaticResponse(HTTPStatus.FOUND, headers))


def not_found(common: Headers) -> FixedResponder:
    """A 404 that no cache keeps: the build with that file may be about to arrive."""
    headers = (
        *common.items(),
        NO_STORE,
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(_NOT_FOUND))),
    )
    return FixedResponder(StaticResponse(HTTPStatus.NOT_FOUND, headers, content=_NOT_FOUND))
