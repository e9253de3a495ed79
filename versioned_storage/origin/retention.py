"""Which builds may go: decided from what is known of them, without asking anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Activated:
    """A build that is published, and when it last was."""

    build: str
    at: datetime


@dataclass(frozen=True)
class Verdict:
    """Whether a build stays, and why; ``superseded`` is None for the current one."""

    build: str
    activated: datetime
    superseded: datetime | None
    keep: bool
    reason: str


def newest_first(builds: Iterable[Activated]) -> list[Activated]:
    """The builds by their activation; the first one is the current build."""
    return sorted(builds, key=lambda one: (one.at, one.build), reverse=True)


def superseded(builds: Iterable[Activated]) -> dict[str, datetime | None]:
    """When each build stopped being the current one; None for the current one.

    That is the next activation of any other build. Of a build that was activated twice only the
    last time is known, so a build before it may count as superseded later than it was, never
    earlier.
    """
    ordered = newest_first(builds)
    next_ones = [None, *(one.at for one in ordered)]
    return {one.build: at for one, at in zip(ordered, next_ones, strict=False)}


def decide(
    builds: Iterable[Activated],
    *,
    keep: int,
    older_than: timedelta,
    now: datetime,
    protected: Mapping[str, str],
) -> list[Verdict]:
    """The verdict on each build, the current one first.

    A build is kept while it is among the ``keep`` newest *or* was superseded less than
    ``older_than`` ago: how long ago it was published says nothing about the pages that still
    refer to it. ``protected`` has builds that stay whatever their age, each with the reason.
    """
    ordered = newest_first(builds)
    ended = superseded(ordered)

    def verdict(rank: int, one: Activated) -> tuple[bool, str]:
        at = ended[one.build]
        if at is None:
            return True, "is the current build"
        if one.build in protected:
            return True, protected[one.build]
        if rank < keep:
            return True, f"is among the {keep} newest"
        if now - at < older_than:
            return True, f"was superseded less than {duration_text(older_than)} ago"
        return False, f"was superseded more than {duration_text(older_than)} ago"

    return [
        Verdict(one.build, one.at, ended[one.build], *verdict(rank, one))
        for rank, one in enumerate(ordered)
    ]


def duration_text(duration: timedelta) -> str:
    """A duration for people, in its largest whole unit: ``"30 days"``, ``"1 hour"``."""
    seconds = int(duration.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}{'' if seconds == length else 's'}"
    return f"{seconds} seconds"
