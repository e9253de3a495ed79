"""Sizes, counts, lists, times and tables, worded for people.

Everything is plain text, so a pipe gets the same as a terminal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

#: How many items of a long list are shown.
SHOWN = 10

#: A table cell without a value.
NOTHING = "-"

_UNITS = (("day", "d", 86400), ("hour", "h", 3600), ("minute", "min", 60))


def bytes_text(size: float) -> str:
    """Return a size in bytes with a unit in powers of 1,000: ``"1.5 MB"``."""
    for unit in ("B", "kB", "MB"):
        rounded = f"{size:.0f}" if unit == "B" else f"{size:.1f}"
        if float(rounded) < 1000:
            return f"{rounded} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def count_text(number: int, noun: str) -> str:
    """Return a number and its noun: ``"1 file"``, ``"1,234 files"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lines_text(items: Sequence[object]) -> str:
    """Return the first ten items, one per line, and the number of those left out."""
    lines = [f"  {item}" for item in items[:SHOWN]]
    if len(items) > SHOWN:
        lines.append(f"  and {len(items) - SHOWN:,} more")
    return "\n".join(lines)


def names_text(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first ``shown`` names on one line, and the number of those left out."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()
) -> str:
    """Return a table whose columns are as wide as their widest cell.

    The columns named in ``numbers`` are aligned to the right.
    """
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
    """Return a time in UTC and its age: ``"2026-11-20 14:02, 18 hours ago"``."""
    return f"{at:%Y-%m-%d %H:%M}, {age_text(at, now)}"


def age_text(at: datetime, now: datetime) -> str:
    """Return the age of a time in whole days, hours or minutes: ``"18 hours ago"``."""
    number, unit, _ = _age(at, now)
    return f"{count_text(number, unit)} ago" if number else "just now"


def short_age_text(at: datetime, now: datetime) -> str:
    """Return the same for a narrow column: ``"18 h ago"``."""
    number, _, symbol = _age(at, now)
    return f"{number:,} {symbol} ago" if number else "just now"


def duration_text(duration: timedelta) -> str:
    """Return a duration in its largest whole unit: ``"30 days"``, ``"1 hour"``."""
    seconds = int(duration.total_seconds())
    for unit, _, length in _UNITS:
        if seconds >= length and seconds % length == 0:
            return count_text(seconds // length, unit)
    return count_text(seconds, "second")


def _age(at: datetime, now: datetime) -> tuple[int, str, str]:
    seconds = (now - at).total_seconds()
    for unit, symbol, length in _UNITS:
        if seconds >= length:
            return int(seconds // length), unit, symbol
    return 0, "", ""
