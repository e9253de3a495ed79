"""What a person sees of long work: a bar on a terminal, one line each otherwise."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

logger = logging.getLogger("versioned_storage")

T = TypeVar("T")

# How many of many things are shown.
_SHOWN = 10


def track(items: Iterable[T], *, total: int, doing: str, unit: str) -> Iterator[T]:
    """Pass ``items`` on and show how far they are, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    # Only for a terminal: importing it takes as long as fingerprinting some thirty files.
    from tqdm import tqdm

    bar = tqdm(items, total=total, desc=doing, unit=f" {unit}", leave=False)
    try:
        yield from bar
    finally:
        bar.close()


def say(summary: str) -> None:
    """Give the one line that sums up a stage.

    It goes to the log. Where the site's LOGGING does not show it, it goes to stderr, because
    whoever runs a deploy has to see it.
    """
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():
        logger.info(summary)
    else:
        sys.stderr.write(f"{summary}\n")
        sys.stderr.flush()


def bytes_text(size: float) -> str:
    """A number of bytes for people, in powers of 1,000: ``"1.5 MB"``."""
    for unit in ("B", "kB", "MB"):
        rounded = f"{size:.0f}" if unit == "B" else f"{size:.1f}"
        if float(rounded) < 1000:
            return f"{rounded} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def count_text(number: int, noun: str) -> str:
    """``"1 file"``, ``"1,234 files"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lines_text(items: Sequence[object]) -> str:
    """The first ten of many things, a line each, and how many more there are."""
    lines = [f"  {item}" for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        lines.append(f"  and {len(items) - _SHOWN:,} more")
    return "\n".join(lines)


def names_text(names: Sequence[str]) -> str:
    """The first ten of many names, on one line, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
