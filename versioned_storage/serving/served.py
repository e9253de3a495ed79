"""What one URL answers: its representations, their headers, and the answer to each request."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from wsgiref.headers import Headers

from . import negotiation, preconditions, ranges
from .answers import NOT_ALLOWED, Answer
from .files import MissingFile, OpenFile, Slice, open_file
from .negotiation import IDENTITY
from .ranges import Span
from .representation import Representation


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
            return self._choose(request).verified is not None
        except negotiation.NotAcceptable:
            return True

    def _choose(self, request: Mapping[str, str]) -> Representation:
        if self._always in self._available:
            return self._representations[self._always]
        accepted = request.get("HTTP_ACCEPT_ENCODING")
        return self._representations[negotiation.choose(accepted, self._available)]

    def _answer(self, chosen: Representation, method: str, request: Mapping[str, str]) -> Answer:
        decided = _decide(chosen, method, request)
        if chosen.verified and isinstance(decided, Answer):
            return decided
        file = self._open(chosen)
        if isinstance(decided, Answer):
            file.close()
            return decided
        if decided is None:
            return Answer(HTTPStatus.OK, chosen.headers, file, chosen.size)
        headers, size = chosen.headers_of_part(decided), decided.stop - decided.start
        return Answer(HTTPStatus.PARTIAL_CONTENT, headers, Slice(file, decided), size)

    def _open(self, chosen: Representation) -> OpenFile:
        file = open_file(chosen.path, chosen.size, inside=self._inside, verified=chosen.verified)
        chosen.verified = file.identity
        return file

    def _not_acceptable(self) -> Answer:
        identity = self._representations[IDENTITY]
        return Answer(HTTPStatus.NOT_ACCEPTABLE, identity.headers_of_refusal())


def _decide(
    chosen: Representation, method: str, request: Mapping[str, str]
) -> Answer | Span | None:
    """The answer where it has no body; else the part that is asked for, None for the whole."""
    status = preconditions.outcome(request, chosen.etag, chosen.last_modified)
    if status is HTTPStatus.NOT_MODIFIED:
        return Answer(status, chosen.headers_of_304)
    if status is not None:
        return Answer(status, chosen.headers_of_refusal())
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
        headers = chosen.headers_of_refusal(("Content-Range", f"bytes */{chosen.size}"))
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
