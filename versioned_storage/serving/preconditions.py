"""Conditional requests (RFC 9110, 13): what a client has already, and whether it still holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from django.utils.http import parse_http_date_safe

_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def outcome(
    request: Mapping[str, str], etag: str | None, last_modified: int | None
) -> HTTPStatus | None:
    """The status that the preconditions of a GET or HEAD ask for; None to answer as without them.

    ``request`` has the headers by their WSGI names. ``etag`` and ``last_modified`` (seconds since
    the epoch) are those of the representation that would be sent. In the order of 13.2.2; a date
    is looked at only where there is no list of entity-tags beside it.
    """
    if "HTTP_IF_MATCH" in request:
        if not _is_among(etag, request["HTTP_IF_MATCH"], strongly=True):
            return HTTPStatus.PRECONDITION_FAILED
    elif _is_newer(last_modified, request.get("HTTP_IF_UNMODIFIED_SINCE")):
        return HTTPStatus.PRECONDITION_FAILED
    if "HTTP_IF_NONE_MATCH" in request:
        if _is_among(etag, request["HTTP_IF_NONE_MATCH"], strongly=False):
            return HTTPStatus.NOT_MODIFIED
    elif _is_newer(last_modified, request.get("HTTP_IF_MODIFIED_SINCE")) is False:
        return HTTPStatus.NOT_MODIFIED
    return None


def range_holds(if_range: str | None, etag: str | None, last_modified: int | None) -> bool:
    """Say whether a Range is to be honoured: If-Range is absent, or is what would be sent (13.1.5).

    A weak validator never is.
    """
    if if_range is None:
        return True
    value = if_range.strip()
    if value.startswith(('"', "W/")):
        return value == etag and not value.startswith("W/")
    return last_modified is not None and parse_http_date_safe(value) == last_modified


def _is_among(etag: str | None, header: str, *, strongly: bool) -> bool:
    if header.strip() == "*":
        return True
    if etag is None or (strongly and etag.startswith("W/")):
        return False
    if header == etag:
        return True
    listed = _ENTITY_TAG.findall(header)
    if strongly:
        return etag in listed
    return etag.removeprefix("W/") in [one.removeprefix("W/") for one in listed]


def _is_newer(last_modified: int | None, date: str | None) -> bool | None:
    """None where there is nothing to compare, a date that is none among it."""
    if last_modified is None or date is None:
        return None
    seconds = parse_http_date_safe(date)
    return None if seconds is None else last_modified > seconds
