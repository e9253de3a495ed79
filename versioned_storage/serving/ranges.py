"""Byte ranges (RFC 9110, 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

# No size has more digits, and Python refuses to read very long numbers.
_RANGE = re.compile(r"(?P<first>[0-9]{0,100})-(?P<last>[0-9]{0,100})")


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
    """Return the range that a Range header asks for, of a representation of ``size`` bytes.

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
