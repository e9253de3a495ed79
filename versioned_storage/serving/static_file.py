"""A static file at one URL: its representations, their headers, the response to each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.headers import Headers

from django.utils.http import parse_http_date_safe
from whitenoise.responders import MissingFileError

from ..constants import IDENTITY
from . import rfc9110
from .regular_files import FileId, FileSlice, OpenFile, open_file
from .rfc9110 import ByteRange
from .static_response import EMPTY, METHOD_NOT_ALLOWED, NO_STORE, HeaderList, StaticResponse

# The headers of a 304 (RFC 9110, 15.4.5), and CORS: a cache updates what it stored with them.
_HEADERS_OF_304 = {"cache-control", "content-location", "etag", "expires", "vary"}
_CORS = "access-control-"
# Headers that describe the file, which error responses leave out.
_FILE_HEADERS = {
    "accept-ranges", "cache-control", "content-encoding", "content-language", "content-length",
    "content-type", "etag", "expires", "last-modified",
}  # fmt: skip


class FileOnDisk(NamedTuple):
    """A file of ``size`` bytes; ``inside`` is as for `open_file`."""

    path: str
    size: int
    inside: str | None = None


class StaticFile:
    """One URL, in the place of WhiteNoise's StaticFile.

    ``files`` are pairs of an encoding, identity included, and a file that has it; the preferred
    encoding comes first. Of several files in one encoding the first that is on disk is sent.
    ``forced`` is the encoding that is sent whatever the client accepts, if it is on disk: that of a
    URL with its suffix.
    """

    def __init__(
        self,
        files: Iterable[tuple[str, FileOnDisk]],
        headers: Headers,
        *,
        forced: str | None = None,
    ) -> None:
        self._forced = forced
        copies: dict[str, list[FileOnDisk]] = {}
        for encoding, file in files:
            copies.setdefault(encoding, []).append(file)
        if len(copies) > 1 and "accept-encoding" not in (headers["Vary"] or "").lower():
            headers["Vary"] = ", ".join(filter(None, (headers["Vary"], "Accept-Encoding")))
        self._representations = {
            encoding: tuple(Representation(file, encoding, headers) for file in files_of_encoding)
            for encoding, files_of_encoding in copies.items()
        }
        self._available = tuple(encoding for encoding in copies if encoding != IDENTITY)
        self.path = copies[IDENTITY][0].path

    def get_response(self, method: str, request: Mapping[str, str]) -> StaticResponse:
        """Respond to a request whose headers have their WSGI names. Raises `MissingFileError`."""
        if method not in ("GET", "HEAD"):
            return METHOD_NOT_ALLOWED
        while True:
            try:
                representation = self._negotiate(request)
            except rfc9110.NotAcceptable:
                identity = self._representations[IDENTITY][0]
                return StaticResponse(HTTPStatus.NOT_ACCEPTABLE, identity.error_headers())
            try:
                return self._respond(representation, method, request)
            except MissingFileError:
                if not self._leave_out(representation):
                    raise

    def was_opened_for(self, request: Mapping[str, str]) -> bool:
        """Return True if the file that `get_response` will open has been opened before."""
        try:
            return self._negotiate(request).verified is not None
        except rfc9110.NotAcceptable:
            return True

    def _negotiate(self, request: Mapping[str, str]) -> Representation:
        if self._forced in self._available:
            return self._representations[self._forced][0]
        accept_encoding = request.get("HTTP_ACCEPT_ENCODING")
        encoding = rfc9110.choose_encoding(accept_encoding, self._available)
        return self._representations[encoding][0]

    def _leave_out(self, missing: Representation) -> bool:
        """Leave out a file that is not on disk; return False for the last identity file."""
        encoding = missing.encoding
        others = tuple(file for file in self._representations[encoding] if file is not missing)
        if others:
            self._representations[encoding] = others
        elif encoding == IDENTITY:
            return False
        else:
            # A build from another machine may have come without its encodings.
            self._available = tuple(name for name in self._available if name != encoding)
        return True

    def _respond(
        self, representation: Representation, method: str, request: Mapping[str, str]
    ) -> StaticResponse:
        response = representation.bodiless_response(method, request)
        if response is not None and representation.verified:
            return response
        file = self._open(representation)
        if response is not None:
            file.close()
            return response
        try:
            byte_range = representation.requested_range(request)
        except rfc9110.RangeNotSatisfiable:
            file.close()
            return representation.range_error()
        if byte_range is None:
            return StaticResponse(HTTPStatus.OK, representation.headers, file, representation.size)
        headers = representation.range_headers(byte_range)
        part = FileSlice(file, byte_range)
        return StaticResponse(HTTPStatus.PARTIAL_CONTENT, headers, part, byte_range.size)

    def _open(self, representation: Representation) -> OpenFile:
        file = open_file(
            representation.path,
            representation.size,
            inside=representation.inside,
            verified=representation.verified,
        )
        representation.verified = file.file_id
        return file


class Representation:
    """A file on disk in one encoding, with its validators and the headers of a 200."""

    __slots__ = (
        "encoding", "etag", "headers", "headers_of_304", "inside", "last_modified", "path", "size",
        "verified",
    )  # fmt: skip

    def __init__(self, file: FileOnDisk, encoding: str, common: Headers) -> None:
        self.path, self.size, self.inside = file
        size = file.size
        self.encoding = encoding
        headers = Headers(common.items())
        self.etag = headers["ETag"]
        if encoding != IDENTITY:
            headers["Content-Encoding"] = encoding
            if self.etag is not None:
                self.etag = _etag_of_encoding(self.etag, encoding, size)
                headers["ETag"] = self.etag
        headers["Accept-Ranges"] = "bytes"
        headers["Content-Length"] = str(size)
        modified = headers["Last-Modified"]
        self.last_modified = None if modified is None else parse_http_date_safe(modified)
        self.headers: HeaderList = tuple(headers.items())
        self.headers_of_304: HeaderList = tuple(
            (name, value)
            for name, value in self.headers
            if name.lower() in _HEADERS_OF_304 or name.lower().startswith(_CORS)
        )
        #: The id of the file that was opened last; None before the first time.
        self.verified: FileId | None = None

    def bodiless_response(self, method: str, request: Mapping[str, str]) -> StaticResponse | None:
        """Return the response if its preconditions or HEAD settle it."""
        status = rfc9110.evaluate_preconditions(request, self.etag, self.last_modified)
        if status is HTTPStatus.NOT_MODIFIED:
            return StaticResponse(status, self.headers_of_304)
        if status is not None:
            return StaticResponse(status, self.error_headers())
        return StaticResponse(HTTPStatus.OK, self.headers) if method == "HEAD" else None

    def requested_range(self, request: Mapping[str, str]) -> ByteRange | None:
        """Return the range to send, None for all of it. Raises `RangeNotSatisfiable`."""
        header = request.get("HTTP_RANGE")
        if header is None or not rfc9110.allows_range(
            request.get("HTTP_IF_RANGE"), self.etag, self.last_modified
        ):
            return None
        return rfc9110.parse_range(header, self.size)

    def range_headers(self, byte_range: ByteRange) -> HeaderList:
        """The headers of a 206."""
        content_range = ("Content-Range", byte_range.content_range(self.size))
        length = ("Content-Length", str(byte_range.size))
        return self._without({"content-length"}, content_range, length)

    def range_error(self) -> StaticResponse:
        headers = self.error_headers(("Content-Range", f"bytes */{self.size}"))
        return StaticResponse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)

    def error_headers(self, *more: tuple[str, str]) -> HeaderList:
        """The headers of an error response without a body, and ``more``."""
        return self._without(_FILE_HEADERS, NO_STORE, EMPTY, *more)

    def _without(self, names: Iterable[str], *more: tuple[str, str]) -> HeaderList:
        return (*(header for header in self.headers if header[0].lower() not in names), *more)


def _etag_of_encoding(etag: str, encoding: str, size: int) -> str:
    # A strong tag promises the same bytes. Identity bytes with one digest are the same everywhere;
    # encoded ones differ where another zlib made them, which nearly always shows in their size.
    return f'{etag[:-1]}-{encoding}-{size:x}"'
