"""Answers to requests, and those that are the same for every file."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.headers import Headers

from .files import Body

HeaderList = tuple[tuple[str, str], ...]

NO_STORE = ("Cache-Control", "no-store")
EMPTY = ("Content-Length", "0")

_NOT_FOUND = b"There is no such static file.\n"


class Answer(NamedTuple):
    """A response as WhiteNoise's responders give it, and more.

    ``file`` is a body of ``size`` bytes, and whoever takes it closes it; where it is None the body
    is ``body``.
    """

    status: HTTPStatus
    headers: HeaderList
    file: Body | None = None
    size: int = 0
    body: bytes = b""


NOT_ALLOWED = Answer(HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", "GET, HEAD"), EMPTY))


class Fixed(NamedTuple):
    """What answers every request alike; a redirect only those that ask for what is there."""

    answer: Answer

    def get_response(self, method: str, request: Mapping[str, str]) -> Answer:
        if self.answer.status is HTTPStatus.FOUND and method not in ("GET", "HEAD"):
            return NOT_ALLOWED
        return self.answer


def moved_for_now(url: str, common: Headers) -> Fixed:
    """A redirect that is asked for again in a minute, because the next build has another URL."""
    headers = (*common.items(), ("Location", url), ("Cache-Control", "max-age=60"), EMPTY)
    return Fixed(Answer(HTTPStatus.FOUND, headers))


def not_found(common: Headers) -> Fixed:
    """A 404 that nobody keeps: the build that has the file may be on its way."""
    headers = (
        *common.items(),
        NO_STORE,
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(_NOT_FOUND))),
    )
    return Fixed(Answer(HTTPStatus.NOT_FOUND, headers, body=_NOT_FOUND))
