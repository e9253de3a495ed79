"""Content negotiation by Accept-Encoding (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache

from ..constants import IDENTITY

_ELEMENT = re.compile(
    r"[ \t]*(?P<coding>[!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*"
    r"(?:;[ \t]*q=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.IGNORECASE,
)
#: The q-value of identity if the header does not name it: acceptable, and below every other.
_LOWEST_QUALITY = 0.0005
_ALIASES = {"x-gzip": "gzip"}


class NotAcceptable(Exception):
    """The client refuses every available encoding, identity included."""


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str | None, available: tuple[str, ...]) -> str:
    """Return the encoding to send: one of ``available``, the preferred one first, or identity.

    ``accept_encoding`` is the value of the header, None if there is none. Among encodings of the
    same q-value, one that the header names comes before identity, and identity before one that only
    ``*`` allows: a client that names no encoding has not said which ones it decodes. Malformed
    elements are ignored. Raises `NotAcceptable`.
    """
    qualities = _qualities(accept_encoding or "")
    wildcard = qualities.get("*")
    identity = qualities.get(IDENTITY, _LOWEST_QUALITY if wildcard is None else wildcard)
    candidates = [(identity, 1, 0, IDENTITY)]
    for position, encoding in enumerate(available):
        if encoding in qualities:
            candidates.append((qualities[encoding], 2, -position, encoding))
        elif wildcard is not None:
            candidates.append((wildcard, 0, -position, encoding))
    quality, _, _, encoding = max(candidates)
    if not quality:
        raise NotAcceptable
    return encoding


def _qualities(header: str) -> dict[str, float]:
    """Return the q-value of each coding in the header, by its lower-case name."""
    qualities = {}
    for element in header.split(","):
        match = _ELEMENT.fullmatch(element)
        if match:
            coding = match["coding"].lower()
            qualities[_ALIASES.get(coding, coding)] = float(match["quality"] or 1)
    return qualities
