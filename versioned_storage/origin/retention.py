"""Which builds to keep: a pure function of their activations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..text import duration_text


@dataclass(frozen=True)
class Activation:
    """A published build and the time of its last publish."""

    build: str
    at: datetime


@dataclass(frozen=True)
class Verdict:
    """Whether a build is kept, and why; ``superseded`` is None for the current one."""

    build: str
    activated: datetime
    superseded: datetime | None
    keep: bool
    reason: str


def newest_first(activations: Iterable[Activation]) -> list[Activation]:
    """Return the activations, that of the current build first."""
    return sorted(activations, key=lambda item: (item.at, item.build), reverse=True)


def superseded(activations: Iterable[Activation]) -> dict[str, datetime | None]:
    """Return when each build stopped being the current one; None for the current one.

    A build is superseded when another one is activated. Only its last activation is recorded, so
    an older build may count as superseded later than it was, never earlier.
    """
    ordered = newest_first(activations)
    successors = [None, *(item.at for item in ordered)]
    return {item.build: at for item, at in zip(ordered, successors, strict=False)}


def decide(
    activations: Iterable[Activation],
    *,
    keep: int,
    older_than: timedelta,
    now: datetime,
    protected: Mapping[str, str],
) -> list[Verdict]:
    """Return the verdict on each build, the current one first.

    A build is kept while it is among the ``keep`` newest *or* was superseded less than
    ``older_than`` ago: the age of its publish says nothing about the pages that still refer to
    it. ``protected`` maps builds that are kept at any age to the reason.
    """
    ordered = newest_first(activations)
    ended = superseded(ordered)

    def judge(rank: int, build: str) -> tuple[bool, str]:
        at = ended[build]
        if at is None:
            return True, "is the current build"
        if build in protected:
            return True, protected[build]
        if rank < keep:
            return True, f"is among the {keep} newest"
        if now - at < older_than:
            return True, f"was superseded less than {duration_text(older_than)} ago"
        return False, f"was superseded more than {duration_text(older_than)} ago"

    return [
        Verdict(item.build, item.at, ended[item.build], *judge(rank, item.build))
        for rank, item in enumerate(ordered)
    ]
