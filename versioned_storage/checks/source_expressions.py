"""Source expressions of a Content Security Policy: does one allow the files below a URL?

https://www.w3.org/TR/CSP3/#match-url-to-source-expression
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, urlsplit

_HOST_SOURCE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?"
    r"(?P<host>\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>\d+|\*))?"
    r"(?P<path>/.*)?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_allowed(url: str, sources: Iterable[str], own_hosts: Collection[str]) -> bool:
    """Say whether ``sources`` let a page load files below ``url``, which ends with a slash.

    ``own_hosts`` are those that 'self' may stand for. A source for a part of what is below the URL
    counts as one for all.
    """
    parts = urlsplit(url)
    return any(_matches(source, parts, own_hosts) for source in sources)


def _matches(source: str, url: SplitResult, own_hosts: Collection[str]) -> bool:
    if source.lower() == "'self'":
        return url.hostname in own_hosts
    if source == "*":
        return True
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:", source):
        return _scheme_matches(source[:-1].lower(), url.scheme)
    found = _HOST_SOURCE.fullmatch(source)
    # What is in quotes, a hash or a keyword, is not about hosts.
    return found is not None and (
        (found["scheme"] is None or _scheme_matches(found["scheme"].lower(), url.scheme))
        and _host_matches(found["host"].lower(), (url.hostname or "").lower())
        and _port_matches(found["port"], url)
        and _path_matches(found["path"] or "/", url.path)
    )


def _scheme_matches(allowed: str, scheme: str) -> bool:
    return allowed == scheme or (allowed, scheme) == ("http", "https")


def _host_matches(allowed: str, host: str) -> bool:
    if allowed.startswith("*"):
        return host.endswith(allowed[1:])
    return host == allowed.strip("[]")


def _port_matches(allowed: str | None, url: SplitResult) -> bool:
    default = _DEFAULT_PORTS.get(url.scheme)
    port = url.port or default
    if allowed is None:
        return port == default
    # An upgrade of the scheme is one of the port too.
    return allowed == "*" or int(allowed) == port or (allowed, port) == ("80", 443)


def _path_matches(allowed: str, path: str) -> bool:
    if allowed.endswith("/") and path.startswith(allowed):
        return True
    return allowed.startswith(path)
