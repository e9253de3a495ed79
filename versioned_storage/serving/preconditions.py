"""Conditional requests (RFC 9110, 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from django.utils.http import parse_http_date_safe

_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def evaluate(
    request: Mapping[str, str], etag: str | None, last_modified: int | None
) -> HTTPStatus | None:
    """Return 304 or 412 if the preconditions of a GET or HEAD demand it, None otherwise.

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
    """Return None if there is nothing to compare, or the date is malformed."""
    if last_modified is None or date is None:
        return None
    seconds = parse_http_date_safe(date)
    return None if seconds is None else last_modified > seconds
