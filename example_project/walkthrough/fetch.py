"""Plain HTTP, without a proxy: a request in, an answer out."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from .edge import Request
from .errors import DemoError

_SECONDS = 20
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What came back; header names are looked up in any case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(request: Request) -> Answer:
    """Return the answer, whatever its status. Raises `DemoError` if there is none."""
    try:
        with _opener.open(
            urllib.request.Request(request.url, headers=dict(request.headers)), timeout=_SECONDS
        ) as answer:
            return Answer(request.url, answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return Answer(request.url, answer.code, answer.headers, answer.read())
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DemoError(f"nobody answers at {request.url}: {reason}") from error
