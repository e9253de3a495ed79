"""A file in one encoding: its validators and its headers."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.headers import Headers

from django.utils.http import parse_http_date_safe

from .answers import EMPTY, NO_STORE, HeaderList
from .negotiation import IDENTITY
from .ranges import Span

# What describes a body (RFC 9110, 15.4.5): not for an answer that has none, or another.
_OF_THE_BODY = {"content-type", "content-encoding", "content-language", "content-length"}
_OF_THE_FILE = _OF_THE_BODY | {"accept-ranges", "cache-control", "etag", "last-modified"}


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
        self.headers_of_304 = self._without(_OF_THE_BODY | {"accept-ranges"})
        #: Whether it was seen on disk; before that, nothing is said of it.
        self.found = False

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
