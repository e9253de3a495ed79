"""Conditional requests, as RFC 9110, 13 has them."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.serving.preconditions import allows_range, evaluate

ETAG = '"abc-br"'
MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
FAILED = HTTPStatus.PRECONDITION_FAILED
SAME = HTTPStatus.NOT_MODIFIED


def status_of(**headers: str) -> HTTPStatus | None:
    return evaluate({f"HTTP_{name}": value for name, value in headers.items()}, ETAG, MODIFIED)


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
    assert evaluate({"HTTP_IF_MATCH": 'W/"a"'}, 'W/"a"', None) is FAILED


def test_if_unmodified_since_fails_for_what_is_newer() -> None:
    assert status_of(IF_UNMODIFIED_SINCE=BEFORE) is FAILED
    assert status_of(IF_UNMODIFIED_SINCE=DATE) is None
    assert status_of(IF_UNMODIFIED_SINCE="never") is None


def test_a_failed_if_match_comes_before_if_none_match() -> None:
    assert status_of(IF_MATCH='"x"', IF_NONE_MATCH=ETAG) is FAILED


def test_a_file_without_validators_matches_a_star_alone() -> None:
    assert evaluate({"HTTP_IF_NONE_MATCH": "*"}, None, None) is SAME
    assert evaluate({"HTTP_IF_NONE_MATCH": ETAG}, None, None) is None
    assert evaluate({"HTTP_IF_MODIFIED_SINCE": AFTER}, None, None) is None


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
