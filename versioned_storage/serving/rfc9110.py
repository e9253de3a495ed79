"""What RFC 9110 says of a GET: content negotiation, preconditions and byte ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from django.utils.http import parse_http_date_safe

from ..constants import IDENTITY

_ELEMENT = re.compile(
    r"[ \t]*(?P<coding>[!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    r"(?:;[ \t]*q=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)
#: The q-value of identity if the header does not name it: acceptable, and below every other.
_LOWEST_QUALITY = 0.0005
_ALIASES = {"x-gzip": "gzip"}
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# No size has more digits, and Python refuses to read very long numbers.
_RANGE = re.compile(r"(?P<first>[0-9]{0,100})-(?P<last>[0-9]{0,100})")


class NotAcceptable(Exception):
    """The client refuses every available encoding, identity included."""


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str | None, available: tuple[str, ...]) -> str:
    """Return the encoding to send (12.5.3): one of ``available``, preferred first, or identity.

    ``accept_encoding`` is the value of the header, None if there is none. Among encodings of the
    same q-value, one that the header names comes before identity, and identity before one that only
    ``*`` allows: a client that names no encoding has not said which ones it decodes. Malformed
    elements are ignored. Raises `NotAcceptable`.
    """
    qualities = _qualities(accept_encoding or "")
    wildcard = qualities.get("*")
    identity = qualities.get(IDENTITY, _LOWEST_QUALITY if wildcard is None else wildcard)
    candidates = [(identity, 1, 0, IDENTITY)]
    for position, encoding in enumerate(available):
        if encoding in qualities:
            candidates.append((qualities[encoding], 2, -position, encoding))
        elif wildcard is not None:
            candidates.append((wildcard, 0, -position, encoding))
    quality, _, _, encoding = max(candidates)
    if not quality:
        raise NotAcceptable
    return encoding


def _qualities(header: str) -> dict[str, float]:
    """Return the q-value of each coding in the header, by its lower-case name."""
    qualities = {}
    for element in header.split(","):
        match = _ELEMENT.fullmatch(element)
        if match:
            coding = match["coding"].lower()
            qualities[_ALIASES.get(coding, coding)] = float(match["quality"] or 1)
    return qualities


def evaluate_preconditions(
    request: Mapping[str, str], etag: str | None, last_modified: int | None
) -> HTTPStatus | None:
    """Return 304 or 412 if the preconditions of a GET or HEAD demand it (13), None otherwise.

    ``request`` has the headers by their WSGI names. ``etag`` and ``last_modified`` (seconds since
    the epoch) are those of the representation that would be sent. The order is that of 13.2.2; a
    date counts only if there is no list of entity-tags beside it.
    """
    if "HTTP_IF_MATCH" in request:
        if not _matches(etag, request["HTTP_IF_MATCH"], strongly=True):
            return HTTPStatus.PRECONDITION_FAILED
    elif _is_newer(last_modified, request.get("HTTP_IF_UNMODIFIED_SINCE")):
        return HTTPStatus.PRECONDITION_FAILED
    if "HTTP_IF_NONE_MATCH" in request:
        if _matches(etag, request["HTTP_IF_NONE_MATCH"], strongly=False):
            return HTTPStatus.NOT_MODIFIED
    elif _is_newer(last_modified, request.get("HTTP_IF_MODIFIED_SINCE")) is False:
        return HTTPStatus.NOT_MODIFIED
    return None


def allows_range(if_range: str | None, etag: str | None, last_modified: int | None) -> bool:
    """Return True if a Range is to be honoured: there is no If-Range, or it matches (13.1.5).

    A weak validator never matches.
    """
    if if_range is None:
        return True
    validator = if_range.strip()
    if validator.startswith(('"', "W/")):
        return validator == etag and not validator.startswith("W/")
    return last_modified is not None and parse_http_date_safe(validator) == last_modified


def _matches(etag: str | None, header: str, *, strongly: bool) -> bool:
    if header.strip() == "*":
        return True
    if etag is None or (strongly and etag.startswith("W/")):
        return False
    if header == etag:
        return True
    tags = _ENTITY_TAG.findall(header)
    if strongly:
        return etag in tags
    return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]


def _is_newer(last_modified: int | None, date: str | None) -> bool | None:
    """Return True if it was modified after ``date``; None if either is missing or malformed."""
    if last_modified is None or date is None:
        return None
    seconds = parse_http_date_safe(date)
    return None if seconds is None else last_modified > seconds


class ByteRange(NamedTuple):
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def content_range(self, complete_length: int) -> str:
        """Return the value of Content-Range."""
        return f"bytes {self.start}-{self.stop - 1}/{complete_length}"


class RangeNotSatisfiable(Exception):
    """The range has no byte of the representation in it."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """Return the range that a Range header asks for (14), of a representation of ``size`` bytes.

    None if the header is to be ignored, as 14.2 allows or demands: another unit, several ranges, or
    a malformed one. Raises `RangeNotSatisfiable`.
    """
    unit, _, listed = header.partition("=")
    ranges = [element.strip(" \t") for element in listed.split(",") if element.strip(" \t")]
    match = _RANGE.fullmatch(ranges[0]) if len(ranges) == 1 else None
    if unit.strip(" \t").lower() != "bytes" or match is None:
        return None
    first, last = match["first"], match["last"]
    if not first:
        return _suffix(int(last), size) if last else None
    if last and int(first) > int(last):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable
    return ByteRange(int(first), min(int(last or size), size - 1) + 1)


def _suffix(length: int, size: int) -> ByteRange | None:
    if length == 0:
        raise RangeNotSatisfiable
    # Content-Range cannot express the whole of an empty representation.
    return ByteRange(max(size - length, 0), size) if size else None
