"""A file in one encoding: its validators and its headers."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.headers import Headers

from django.utils.http import parse_http_date_safe

from .answers import EMPTY, NO_STORE, HeaderList
from .files import FileIdentity
from .negotiation import IDENTITY
from .ranges import Span

# What a 304 has (RFC 9110, 15.4.5), and CORS, without which a cache that took up its headers would
# fail a later load; who has the file has its other headers too.
_OF_304 = {"cache-control", "content-location", "etag", "expires", "vary"}
_CORS = "access-control-"
# What is not true of an answer that is not the file.
_OF_THE_FILE = {
    "accept-ranges", "cache-control", "content-encoding", "content-language", "content-length",
    "content-type", "etag", "expires", "last-modified",
}  # fmt: skip


class Representation:
    """One file on disk in one encoding, with its validators and the headers of a 200."""

    __slots__ = (
        "encoding", "etag", "headers", "headers_of_304", "last_modified", "path", "size", "verified"
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
        self.headers_of_304: HeaderList = tuple(
            (name, value)
            for name, value in self.headers
            if name.lower() in _OF_304 or name.lower().startswith(_CORS)
        )
        #: The file that was opened last; None before the first time, when nothing is said of it.
        self.verified: FileIdentity | None = None

    def headers_of_part(self, span: Span) -> HeaderList:
        """Those of a 206."""
        content_range = ("Content-Range", span.content_range(self.size))
        length = ("Content-Length", str(span.stop - span.start))
        return self._without({"content-length"}, content_range, length)

    def headers_of_refusal(self, *more: tuple[str, str]) -> HeaderList:
        """Those of an answer without a body that is no success, and ``more``."""
        return self._without(_OF_THE_FILE, NO_STORE, EMPTY, *more)

    def _without(self, names: Iterable[str], *more: tuple[str, str]) -> HeaderList:
        return (*(header for header in self.headers if header[0].lower() not in names), *more)


def _encoded(etag: str, encoding: str, size: int) -> str:
    # Strong tags promise the same bytes. The identity bytes of one digest are the same everywhere;
    # the encoded ones are not where another zlib made them, which their size nearly always tells.
    return f'{etag[:-1]}-{encoding}-{size:x}"'
