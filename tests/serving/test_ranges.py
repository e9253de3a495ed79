"""Byte ranges, as RFC 9110, 14 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.serving.ranges import ByteRange, RangeNotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=3-5", (3, 6)),
        ("bytes=9-9", (9, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=9-", (9, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=-1", (9, 10)),
        ("bytes=-10", (0, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes=0-0", (0, 1)),
        ("bytes= 0-0 ", (0, 1)),
        ("bytes=,0-0,", (0, 1)),
        ("bytes=0000-0000", (0, 1)),
    ],
)
def test_a_single_range_of_every_form(header: str, span: tuple[int, int]) -> None:
    assert parse_range(header, 10) == ByteRange(*span)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 50}-"])
def test_a_range_without_a_byte_of_the_file_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 10)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-0,2-2",
        "bytes=5-3",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "lines=0-0",
        "bytes=a-b",
        "bytes=0 - 0",
        "bytes=+0-1",
        "bytes=--1",
        "bytes=٠-٩",
        f"bytes={'9' * 5000}-",
    ],
)
def test_what_is_no_single_range_of_bytes_is_ignored(header: str) -> None:
    assert parse_range(header, 10) is None


def test_of_an_empty_file_no_byte_can_be_sent() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-", 0)
    assert parse_range("bytes=-5", 0) is None


def test_the_words_of_content_range() -> None:
    assert ByteRange(3, 6).content_range(10) == "bytes 3-5/10"


@given(st.text(alphabet="bytes=-0123456789, ", max_size=30), st.integers(0, 100))
def test_any_header_at_all_gives_bytes_of_the_file_or_none(header: str, size: int) -> None:
    try:
        span = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.stop <= size
