"""Byte ranges (RFC 9110, 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

# More digits than any size has; more than these Python would refuse to read as a number.
_RANGE = re.compile(r"(?P<first>[0-9]{0,100})-(?P<last>[0-9]{0,100})")


class Span(NamedTuple):
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class Unsatisfiable(Exception):
    """No byte of the representation is in the range."""


def parse(header: str, size: int) -> Span | None:
    """The one range that a Range header asks for, of ``size`` bytes.

    None where the header is to be ignored, as 14.2 allows or demands: another unit, more than one
    range, no range at all. Raises `Unsatisfiable`.
    """
    unit, _, listed = header.partition("=")
    ranges = [one for one in (element.strip(" \t") for element in listed.split(",")) if one]
    match = _RANGE.fullmatch(ranges[0]) if len(ranges) == 1 else None
    if unit.strip(" \t").lower() != "bytes" or match is None:
        return None
    first, last = match["first"], match["last"]
    if first:
        return _from(int(first), int(last) if last else size - 1, size, bounded=bool(last))
    return _suffix(int(last), size) if last else None


def _from(first: int, last: int, size: int, *, bounded: bool) -> Span | None:
    if bounded and first > last:
        return None
    if first >= size:
        raise Unsatisfiable
    return Span(first, min(last, size - 1) + 1)


def _suffix(length: int, size: int) -> Span | None:
    if length == 0:
        raise Unsatisfiable
    # All of nothing is a range that Content-Range has no words for.
    return Span(max(size - length, 0), size) if size else None
