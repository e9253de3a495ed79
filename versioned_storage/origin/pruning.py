"""Pruning deletes builds from S3: each is leased through its record first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..progress import track
from . import lease, record, retention
from .lease import Lease
from .record import Record, State, StoredRecord
from .retention import Activation, Verdict
from .s3 import S3Origin
from .s3_errors import NotDeleted


@dataclass(frozen=True)
class PruneCandidate:
    """A build to delete, with its record as the plan saw it. ``reason`` is for people."""

    stored: StoredRecord
    reason: str

    @property
    def build(self) -> str:
        return self.stored.record.build


@dataclass(frozen=True)
class PrunePlan:
    """The verdict on each published build, and all builds to delete.

    ``candidates`` are the published builds that may go, and the leftovers of publishes and prunes
    that died. ``busy`` has the builds that another process is pruning, with the time of its lease.
    """

    verdicts: tuple[Verdict, ...]
    candidates: tuple[PruneCandidate, ...]
    busy: Mapping[str, datetime]


@dataclass(frozen=True)
class PrunedBuild:
    """The result for one candidate; ``objects`` were deleted.

    ``changed`` is True if the record changed after the plan, and the build was left alone.
    """

    build: str
    objects: int
    changed: bool = False


@dataclass(frozen=True)
class Pruner:
    """Prunes the builds of one site."""

    origin: S3Origin

    def plan(
        self, *, keep: int, older_than: timedelta, protected: Mapping[str, str] | None = None
    ) -> PrunePlan:
        """Return what to prune; `retention.decide` describes the arguments."""
        heads = record.heads(self.origin)
        now = self.origin.now()
        published = [head for head in heads if head.record.is_published]
        verdicts = retention.decide(
            [Activation(head.record.build, head.record.since) for head in published],
            keep=keep,
            older_than=older_than,
            now=now,
            protected={**_running_bases(heads, now), **(protected or {})},
        )
        reasons = {verdict.build: verdict.reason for verdict in verdicts if not verdict.keep}
        superseded = [
            PruneCandidate(head, reasons[head.record.build])
            for head in published
            if head.record.build in reasons
        ]
        busy = {
            head.record.build: head.record.since
            for head in heads
            if head.record.state is State.PRUNING and not lease.is_expired(head.record, now)
        }
        return PrunePlan(tuple(verdicts), (*superseded, *_leftovers(heads, now, older_than)), busy)

    def execute(self, plan: PrunePlan) -> Iterator[PrunedBuild]:
        """Delete the candidates of a plan; yield each build once it is deleted.

        Raises `NotDeleted` when S3 keeps an object; the next prune continues with that build.
        After `LeaseLost` or `OriginError` the build is still marked as being pruned, and a prune
        continues with it when the lease has expired.
        """
        for candidate in plan.candidates:
            yield self._prune(candidate)

    def _prune(self, candidate: PruneCandidate) -> PrunedBuild:
        build_lease = self._acquire(candidate.stored)
        if build_lease is None:
            return PrunedBuild(candidate.build, 0, changed=True)
        listed = self.origin.list(f"{self.origin.prefix}{candidate.build}/")
        paths = _while_leased((item.path for item in listed), build_lease)
        try:
            objects = sum(self.origin.delete(paths, before_attempt=build_lease.check))
        except NotDeleted:
            # S3 answered every deletion, so nothing is under way, and the next pruner or publisher
            # need not wait until the lease expires.
            build_lease.commit(build_lease.record.released(self.origin.now()))
            raise
        build_lease.commit(build_lease.record.released(self.origin.now(), empty=True))
        return PrunedBuild(candidate.build, objects)

    def _acquire(self, planned: StoredRecord) -> Lease | None:
        """Return the lease to delete a build; None if its record has changed since the plan."""
        stored = record.read(self.origin, planned.record.build)
        if stored is None or stored.etag != planned.etag:
            return None
        pruning = replace(stored.record, state=State.PRUNING, since=self.origin.now(), base=None)
        return lease.try_acquire(self.origin, pruning, stored.etag)


def _running_bases(heads: Iterable[StoredRecord], now: datetime) -> dict[str, str]:
    """Return the builds that a running publish copies from, each with the reason to keep it."""
    return {
        head.record.base: f"is copied from by the publish of {head.record.build}"
        for head in heads
        if head.record.state is State.PUBLISHING
        and head.record.base is not None
        and not lease.is_expired(head.record, now)
    }


def _leftovers(
    heads: Iterable[StoredRecord], now: datetime, older_than: timedelta
) -> Iterator[PruneCandidate]:
    for head in heads:
        reason = _leftover_reason(head.record, now, older_than)
        if reason is not None:
            yield PruneCandidate(head, reason)


def _leftover_reason(leftover: Record, now: datetime, older_than: timedelta) -> str | None:
    if leftover.state is State.ABANDONED and leftover.publish_id:
        return "its publish was abandoned"
    if leftover.state is State.RETIRED and leftover.publish_id:
        return "some of its objects may be left"
    if not lease.is_expired(leftover, now):
        return None
    if leftover.state is State.PRUNING:
        return "a prune of it did not end"
    if leftover.state is State.PUBLISHING and now - leftover.since >= older_than:
        return "its publish did not end"
    return None


def _while_leased(paths: Iterable[str], build_lease: Lease) -> Iterator[str]:
    """Yield the paths and keep the lease: its next holder may publish the build again."""
    pruned = build_lease.record
    total = pruned.totals.objects if pruned.totals else 0
    for path in track(paths, total=total, doing=f"Pruning {pruned.build}", unit="objects"):
        build_lease.renew_if_due()
        yield path
