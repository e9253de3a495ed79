"""Tables and times for people; plain text, so that a pipe gets the same as a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

#: Where a cell has nothing to say.
NOTHING = "-"

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()
) -> str:
    """Columns as wide as their widest cell; those named in ``numbers`` are flush right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(header, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def time_text(at: datetime, now: datetime) -> str:
    """A time in UTC and how long ago it was: ``"2026-11-20 14:02, 18 hours ago"``."""
    return f"{at:%Y-%m-%d %H:%M}, {age_text(at, now)}"


def age_text(at: datetime, now: datetime) -> str:
    """How long ago a time was, in whole days, hours or minutes."""
    seconds = (now - at).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            number = int(seconds // length)
            return f"{number:,} {unit}{'' if number == 1 else 's'} ago"
    return "just now"
