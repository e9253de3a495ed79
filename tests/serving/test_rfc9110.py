"""Content negotiation, preconditions and byte ranges, as RFC 9110 (12.5.3, 13, 14) has them."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.serving.rfc9110 import (
    ByteRange,
    NotAcceptable,
    RangeNotSatisfiable,
    allows_range,
    choose_encoding,
    evaluate_preconditions,
    parse_range,
)

BOTH = ("br", "gzip")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("BR;Q=0.5", "br"),
        ("deflate", "identity"),
        ("notbr, gzipped", "identity"),
        ("gzip;q=0.5, br;q=0.4", "gzip"),
        ("gzip;q=0.5,br;q=0.500", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0", "identity"),
        ("br;q=0.000, gzip;q=0.0", "identity"),
        ("br;q=0.001", "br"),
        ("identity, br;q=0.5", "identity"),
        ("identity;q=0.5, br;q=0.5", "br"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        (" br ; q=0.9\t,\tgzip ; q=1 ", "gzip"),
    ],
)
def test_the_highest_q_value_wins_and_then_our_preference(header: str, chosen: str) -> None:
    assert choose_encoding(header, BOTH) == chosen


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("*", "identity"),
        ("gzip;q=0.5, *", "identity"),
        ("gzip, *;q=0", "gzip"),
        ("gzip, *;q=0.5", "gzip"),
        ("br;q=0, *", "identity"),
        ("identity;q=0, *", "br"),
        ("identity;q=0, br;q=0, *", "gzip"),
        ("identity, *;q=0", "identity"),
    ],
)
def test_a_star_stands_for_what_is_not_named_and_is_no_proof_that_it_can_be_decoded(
    header: str, chosen: str
) -> None:
    assert choose_encoding(header, BOTH) == chosen


@pytest.mark.parametrize(
    "header", ["identity;q=0", "*;q=0", "br;q=0, gzip;q=0, identity;q=0", "identity;q=0, deflate"]
)
def test_a_client_that_refuses_all_there_is_gets_none(header: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_encoding(header, BOTH)


@pytest.mark.parametrize(
    "header", ["br;q=2", "br;q=-1", "br;q=0.1234", "br;q=x", "b r", "br;", ";"]
)
def test_an_element_that_is_not_well_formed_says_nothing(header: str) -> None:
    assert choose_encoding(header, BOTH) == "identity"
    assert choose_encoding(f"{header}, gzip", BOTH) == "gzip"


def test_only_what_is_there_is_chosen() -> None:
    assert choose_encoding("br, gzip", ("gzip",)) == "gzip"
    assert choose_encoding("br, gzip", ()) == "identity"
    with pytest.raises(NotAcceptable):
        choose_encoding("br, identity;q=0", ("gzip",))


@given(st.text(alphabet="brgzip*identyqQ=;,. 01\t\x00é", max_size=60))
def test_any_header_at_all_has_an_answer(header: str) -> None:
    try:
        assert choose_encoding(header, BOTH) in (*BOTH, "identity")
    except NotAcceptable:
        assert "0" in header


ETAG = '"abc-br"'
MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
FAILED = HTTPStatus.PRECONDITION_FAILED
SAME = HTTPStatus.NOT_MODIFIED


def status_of(**headers: str) -> HTTPStatus | None:
    return evaluate_preconditions(
        {f"HTTP_{name}": value for name, value in headers.items()}, ETAG, MODIFIED
    )


def test_without_a_precondition_the_answer_is_as_without_one() -> None:
    assert status_of() is None


@pytest.mark.parametrize(
    "header", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', f'"a,b",W/{ETAG} , "y"', "*", " * "]
)
def test_a_tag_that_is_listed_is_not_sent_again_weak_or_strong(header: str) -> None:
    assert status_of(IF_NONE_MATCH=header) is SAME


@pytest.mark.parametrize("header", ['"abc"', '"abc-gzip"', "abc-br", "", '"', "W/"])
def test_a_tag_that_is_not_listed_is_sent(header: str) -> None:
    assert status_of(IF_NONE_MATCH=header) is None


@pytest.mark.parametrize("date", [DATE, AFTER, "Sunday, 06-Nov-94 08:49:37 GMT"])
def test_what_was_not_modified_since_is_not_sent_again(date: str) -> None:
    assert status_of(IF_MODIFIED_SINCE=date) is SAME


@pytest.mark.parametrize(
    "date", [BEFORE, "yesterday", "", "Sun, 06 Nov 1994 08:49:1626426577S GMT"]
)
def test_what_was_modified_since_and_a_date_that_is_none_is_sent(date: str) -> None:
    assert status_of(IF_MODIFIED_SINCE=date) is None


def test_a_date_is_looked_at_only_where_there_is_no_tag() -> None:
    assert status_of(IF_NONE_MATCH='"x"', IF_MODIFIED_SINCE=AFTER) is None
    assert status_of(IF_NONE_MATCH=ETAG, IF_MODIFIED_SINCE=BEFORE) is SAME
    assert status_of(IF_MATCH=ETAG, IF_UNMODIFIED_SINCE=BEFORE) is None


def test_if_match_takes_the_very_bytes() -> None:
    assert status_of(IF_MATCH=f'"x", {ETAG}') is None
    assert status_of(IF_MATCH="*") is None
    assert status_of(IF_MATCH=f"W/{ETAG}") is FAILED
    assert status_of(IF_MATCH='"x"') is FAILED
    assert evaluate_preconditions({"HTTP_IF_MATCH": 'W/"a"'}, 'W/"a"', None) is FAILED


def test_if_unmodified_since_fails_for_what_is_newer() -> None:
    assert status_of(IF_UNMODIFIED_SINCE=BEFORE) is FAILED
    assert status_of(IF_UNMODIFIED_SINCE=DATE) is None
    assert status_of(IF_UNMODIFIED_SINCE="never") is None


def test_a_failed_if_match_comes_before_if_none_match() -> None:
    assert status_of(IF_MATCH='"x"', IF_NONE_MATCH=ETAG) is FAILED


def test_a_file_without_validators_matches_a_star_alone() -> None:
    assert evaluate_preconditions({"HTTP_IF_NONE_MATCH": "*"}, None, None) is SAME
    assert evaluate_preconditions({"HTTP_IF_NONE_MATCH": ETAG}, None, None) is None
    assert evaluate_preconditions({"HTTP_IF_MODIFIED_SINCE": AFTER}, None, None) is None


def test_a_range_holds_for_the_very_representation_alone() -> None:
    assert allows_range(None, ETAG, MODIFIED)
    assert allows_range(ETAG, ETAG, MODIFIED)
    assert allows_range(DATE, ETAG, MODIFIED)
    for value in ('"other"', f"W/{ETAG}", BEFORE, AFTER, "nonsense", "", "*"):
        assert not allows_range(value, ETAG, MODIFIED)
    assert not allows_range('W/"a"', 'W/"a"', MODIFIED)
    assert not allows_range(DATE, ETAG, None)


@given(st.text(max_size=40), st.sampled_from(["IF_MATCH", "IF_NONE_MATCH", "IF_MODIFIED_SINCE"]))
def test_any_value_at_all_has_an_outcome(value: str, name: str) -> None:
    assert status_of(**{name: value}) in (None, SAME, FAILED)
    assert allows_range(value, ETAG, MODIFIED) in (True, False)


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
