"""The progress of long work: a bar on a terminal, one summary line in the log otherwise."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

logger = logging.getLogger("versioned_storage")

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, doing: str, unit: str) -> Iterator[T]:
    """Yield ``items``, and show a progress bar where stderr is a terminal."""
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


def log_summary(summary: str) -> None:
    """Log the line that sums up a stage.

    Where the site's LOGGING drops it, write it to stderr instead, so that whoever runs the deploy
    sees it.
    """
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():
        logger.info(summary)
    else:
        sys.stderr.write(f"{summary}\n")
        sys.stderr.flush()
