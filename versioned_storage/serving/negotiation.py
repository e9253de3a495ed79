"""Which encoding a client gets: Accept-Encoding (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache

IDENTITY = "identity"

_ELEMENT = re.compile(
    r"[ \t]*(?P<coding>[!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    r"(?:;[ \t]*q=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)
#: Of identity where the header does not name it: acceptable, and below every q-value.
_LEAST = 0.0005
_ALIASES = {"x-gzip": "gzip"}


class NotAcceptable(Exception):
    """The client refuses each encoding that there is, identity among them."""


@lru_cache(maxsize=256)
def choose(accept_encoding: str | None, available: tuple[str, ...]) -> str:
    """The encoding to send, one of ``available`` (the preferred one first) or `IDENTITY`.

    ``accept_encoding`` is the header's value, None where there is none. Among those of the highest
    q-value an encoding that is named comes before identity, and identity before what only ``*``
    allows: a client that names none has not said which it can decode. An element that is not well
    formed says nothing. Raises `NotAcceptable`.
    """
    qualities = _qualities(accept_encoding or "")
    anything = qualities.get("*")
    of_identity = qualities.get(IDENTITY, _LEAST if anything is None else anything)
    candidates = [(of_identity, 1, 0, IDENTITY)]
    for place, name in enumerate(available):
        if name in qualities:
            candidates.append((qualities[name], 2, -place, name))
        elif anything is not None:
            candidates.append((anything, 0, -place, name))
    best = max(candidates)
    if not best[0]:
        raise NotAcceptable
    return best[3]


def _qualities(header: str) -> dict[str, float]:
    """The q-value of each coding that the header names, in lower case."""
    found = {}
    for element in header.split(","):
        match = _ELEMENT.fullmatch(element)
        if match:
            coding = match["coding"].lower()
            found[_ALIASES.get(coding, coding)] = float(match["quality"] or 1)
    return found
