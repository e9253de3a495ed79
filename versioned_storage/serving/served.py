"""What one URL answers: its representations, their headers, and the answer to each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.headers import Headers

from django.utils.http import parse_http_date_safe

from . import negotiation, preconditions, ranges
from .files import Body, MissingFile, OpenFile, Slice, open_file
from .negotiation import IDENTITY
from .ranges import Span

HeaderList = tuple[tuple[str, str], ...]

# What describes a body (RFC 9110, 15.4.5): not for an answer that has none, or another.
_OF_THE_BODY = {"content-type", "content-encoding", "content-language", "content-length"}
_OF_THE_FILE = _OF_THE_BODY | {"accept-ranges", "cache-control", "etag", "last-modified"}
_NO_STORE = ("Cache-Control", "no-store")
_EMPTY = ("Content-Length", "0")


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


class Fixed(NamedTuple):
    """What answers every request alike."""

    answer: Answer

    def get_response(self, method: str, request: Mapping[str, str]) -> Answer:
        return self.answer


NOT_ALLOWED = Answer(HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", "GET, HEAD"), _EMPTY))


class Representation:
    """One file on disk in one encoding, with its validators and the headers of a 200."""

    __slots__ = (
        "encoding", "etag", "found", "headers", "headers_of_304", "last_modified", "path", "size"
    )  # fmt: skip

    def __init__(self, path: str, size: int, encoding: str, common: HeaderList) -> None:
        self.path = path
        self.size = size
        self.encoding = encoding
        headers = Headers(list(common))
        self.etag = headers["ETag"]
        if encoding != IDENTITY:
            headers["Content-Encoding"] = encoding
            if self.etag is not None:
                self.etag = _encoded(self.etag, encoding, size)
                headers["ETag"] = self.etag
        headers["Accept-Ranges"] = "bytes"
        headers["Content-Length"] = str(size)
        modified = headers["Last-Modified"]
        self.last_modified = None if modified is None else parse_http_date_safe(modified)
        self.headers: HeaderList = tuple(headers.items())
        self.headers_of_304 = self.without(_OF_THE_BODY | {"accept-ranges"})
        #: Whether it was seen on disk; before that, nothing is said of it.
        self.found = False

    def without(self, names: Iterable[str], *more: tuple[str, str]) -> HeaderList:
        """The headers but for some, and ``more``."""
        return (*(header for header in self.headers if header[0].lower() not in names), *more)


class ServedFile:
    """One URL: what WhiteNoise calls a StaticFile.

    ``files`` has the path and the size in bytes of each encoding, the preferred one first and
    identity among them. ``always`` is the encoding that is sent whatever the client accepts, if it
    is on disk: of a URL that names it. ``inside`` is as in `open_file`.
    """

    def __init__(
        self,
        files: Mapping[str, tuple[str, int]],
        headers: Headers,
        *,
        always: str | None = None,
        inside: str | None = None,
    ) -> None:
        self._inside = inside
        self._always = always
        if len(files) > 1 and "accept-encoding" not in (headers["Vary"] or "").lower():
            headers["Vary"] = ", ".join(filter(None, (headers["Vary"], "Accept-Encoding")))
        self._representations = {
            encoding: Representation(path, size, encoding, tuple(headers.items()))
            for encoding, (path, size) in files.items()
        }
        self._available = tuple(name for name in files if name != IDENTITY)
        self.path = files[IDENTITY][0]

    def get_response(self, method: str, request: Mapping[str, str]) -> Answer:
        """Answer a request, whose headers have their WSGI names. Raises `MissingFile`."""
        if method not in ("GET", "HEAD"):
            return NOT_ALLOWED
        while True:
            try:
                chosen = self._choose(request)
            except negotiation.NotAcceptable:
                return self._not_acceptable()
            try:
                return self._answer(chosen, method, request)
            except MissingFile:
                # A build that was made elsewhere may have come without its encodings.
                if chosen.encoding == IDENTITY:
                    raise
                self._available = tuple(name for name in self._available if name != chosen.encoding)

    def is_found(self, request: Mapping[str, str]) -> bool:
        """Say whether what `get_response` will look at was seen on disk before."""
        try:
            return self._choose(request).found
        except negotiation.NotAcceptable:
            return True

    def _choose(self, request: Mapping[str, str]) -> Representation:
        if self._always in self._available:
            return self._representations[self._always]
        accepted = request.get("HTTP_ACCEPT_ENCODING")
        return self._representations[negotiation.choose(accepted, self._available)]

    def _answer(self, chosen: Representation, method: str, request: Mapping[str, str]) -> Answer:
        decided = _decide(chosen, method, request)
        if chosen.found and isinstance(decided, Answer):
            return decided
        file = self._open(chosen)
        if isinstance(decided, Answer):
            file.close()
            return decided
        if decided is None:
            return Answer(HTTPStatus.OK, chosen.headers, file, chosen.size)
        size = decided.stop - decided.start
        headers = chosen.without(
            {"content-length"},
            ("Content-Range", decided.content_range(chosen.size)),
            ("Content-Length", str(size)),
        )
        return Answer(HTTPStatus.PARTIAL_CONTENT, headers, Slice(file, decided), size)

    def _open(self, chosen: Representation) -> OpenFile:
        # Where its name leads is looked at once, and from then on that it is no link itself.
        inside = None if chosen.found else self._inside
        follow_links = self._inside is None
        file = open_file(chosen.path, chosen.size, inside=inside, follow_links=follow_links)
        chosen.found = True
        return file

    def _not_acceptable(self) -> Answer:
        identity = self._representations[IDENTITY]
        headers = identity.without(_OF_THE_FILE, _NO_STORE, _EMPTY)
        return Answer(HTTPStatus.NOT_ACCEPTABLE, headers)


def _decide(
    chosen: Representation, method: str, request: Mapping[str, str]
) -> Answer | Span | None:
    """The answer where it has no body; else the part that is asked for, None for the whole."""
    status = preconditions.outcome(request, chosen.etag, chosen.last_modified)
    if status is HTTPStatus.NOT_MODIFIED:
        return Answer(status, chosen.headers_of_304)
    if status is not None:
        return Answer(status, chosen.without(_OF_THE_FILE, _NO_STORE, _EMPTY))
    if method == "HEAD":
        return Answer(HTTPStatus.OK, chosen.headers)
    asked = request.get("HTTP_RANGE")
    if asked is None or not preconditions.range_holds(
        request.get("HTTP_IF_RANGE"), chosen.etag, chosen.last_modified
    ):
        return None
    try:
        return ranges.parse(asked, chosen.size)
    except ranges.Unsatisfiable:
        size = ("Content-Range", f"bytes */{chosen.size}")
        headers = chosen.without(_OF_THE_FILE, _NO_STORE, size, _EMPTY)
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)


def _encoded(etag: str, encoding: str, size: int) -> str:
    # Strong tags promise the same bytes. The identity bytes of one digest are the same everywhere;
    # the encoded ones are not where another zlib made them, which their size nearly always tells.
    return f'{etag[:-1]}-{encoding}-{size:x}"'
