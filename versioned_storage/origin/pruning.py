"""Pruning deletes builds from S3, each leased through its record first, then shared objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from ..progress import track
from . import lease, record, retention
from .lease import Lease
from .objects import ListedObject
from .record import Record, State, StoredRecord
from .retention import Activation, Verdict
from .s3 import S3Origin
from .s3_errors import DENIED, NotDeleted, OriginError
from .shared_objects import Sweep, SweepLease, relied_on, written_at
from .threads import in_background

#: A shared object that no build lists is kept this long: a publish that died may be resumed.
SHARED_AGE = timedelta(days=1)
# Seconds; an interrupted process does not wait for what S3 does not answer.
_WAIT_FOR_RELEASE = 2.0


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
    ``shared_prefixes`` are where shared objects may be, of which those go that no build lists and
    that are older than ``shared_age``.
    """

    verdicts: tuple[Verdict, ...]
    candidates: tuple[PruneCandidate, ...]
    busy: Mapping[str, datetime]
    shared_prefixes: tuple[str, ...] = ()
    shared_age: timedelta = SHARED_AGE


@dataclass(frozen=True)
class PrunedBuild:
    """The result for one candidate; ``objects`` were deleted.

    ``changed`` is True if the record changed after the plan, and the build was left alone.
    """

    build: str
    objects: int
    changed: bool = False


@dataclass(frozen=True)
class SweptObjects:
    """The shared objects that were deleted, or would be; ``size`` is in bytes.

    ``busy`` is the sweep of another process, because of which nothing was deleted.
    """

    objects: int = 0
    size: int = 0
    busy: Sweep | None = None

    @classmethod
    def of(cls, items: Iterable[ListedObject]) -> SweptObjects:
        sizes = [item.size for item in items if item.is_current]
        return cls(len(sizes), sum(sizes))


@dataclass(frozen=True)
class Pruner:
    """Prunes the builds of one site.

    ``shared_prefix`` is where the site keeps shared assets, empty if it has none. Prefixes that
    builds had before are known from their records.
    """

    origin: S3Origin
    shared_prefix: str = ""

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
        prefixes = {self.shared_prefix, *(head.record.shared_prefix for head in heads)} - {""}
        return PrunePlan(
            verdicts=tuple(verdicts),
            candidates=(*superseded, *_leftovers(heads, now, older_than, protected or {})),
            busy=busy,
            shared_prefixes=tuple(sorted(prefixes)),
            shared_age=min(SHARED_AGE, older_than),
        )

    def execute(self, plan: PrunePlan) -> Iterator[PrunedBuild]:
        """Delete the candidates of a plan; yield each build once it is deleted.

        Raises `NotDeleted` when S3 keeps an object; the next prune continues with that build.
        After `LeaseLost` or `OriginError` the build is still marked as being pruned, and a prune
        continues with it when the lease has expired.
        """
        for candidate in plan.candidates:
            yield self._prune(candidate)

    def sweep(self, plan: PrunePlan) -> SweptObjects | None:
        """Delete the shared objects that no record lists; None where there are no shared assets.

        The builds of the plan are pruned first, see `execute`. Raises `NotDeleted`, `SweepLost`,
        `OriginError`, and `UnreadableRecord` before anything is deleted.
        """
        if not plan.shared_prefixes:
            return None
        sweep_lease = SweepLease.acquire(self.origin)
        if isinstance(sweep_lease, Sweep):
            return SweptObjects(busy=sweep_lease)
        try:
            listed = []
            for item in self._shared_objects(plan):
                sweep_lease.renew_if_due()
                listed.append(item)
            unneeded = self._unneeded(listed, plan)
        except BaseException:
            # Nothing was deleted, so no publish need wait until the lease expires.
            release = partial(sweep_lease.release, sweep_lease.sweep.candidates)
            wait([in_background(release)], _WAIT_FOR_RELEASE)
            raise
        # A process that died may have sent deletions of these, which may still arrive.
        doubtful = {
            item.path: written_at(item)
            for item in listed
            if item.is_current
            and item.path not in unneeded
            and sweep_lease.sweep.may_have_deleted(item)
        }
        items = [item for item in listed if item.path in unneeded]
        if items:
            sweep_lease.write_candidates({**doubtful, **unneeded})
            try:
                self._delete_shared(items, sweep_lease)
            except NotDeleted:
                sweep_lease.release(doubtful)
                raise
        sweep_lease.release(doubtful)
        return SweptObjects.of(items)

    def would_sweep(self, plan: PrunePlan) -> SweptObjects | None:
        """Return what `sweep` would delete after the builds of the plan; nothing is written."""
        if not plan.shared_prefixes:
            return None
        listed = [item for item in self._shared_objects(plan) if item.is_current]
        unneeded = self._unneeded(listed, plan, pruned={item.build for item in plan.candidates})
        return SweptObjects.of(item for item in listed if item.path in unneeded)

    def _delete_shared(self, items: Sequence[ListedObject], sweep_lease: SweepLease) -> None:
        deletions = self.origin.delete(
            _while_sweeping(items, sweep_lease),
            before_attempt=sweep_lease.check,
            before_retry=sweep_lease.let_expire,
        )
        for _ in deletions:
            pass

    def _shared_objects(self, plan: PrunePlan) -> Iterator[ListedObject]:
        """Yield the shared objects, with all of their versions if the store tells them."""
        for prefix in plan.shared_prefixes:
            path = f"{self.origin.prefix}{prefix}/"
            try:
                yield from self.origin.list_versions(path)
            except OriginError as error:
                if error.code not in DENIED and error.status not in (400, 405, 501):
                    raise
                yield from self.origin.list(path)

    def _unneeded(
        self, listed: Iterable[ListedObject], plan: PrunePlan, pruned: Collection[str] = ()
    ) -> dict[str, str]:
        """Return the paths that may be deleted, each with the time of its object."""
        now = self.origin.now()
        old = {
            item.path: written_at(item)
            for item in listed
            if item.is_current and now - item.modified >= plan.shared_age
        }
        needed = relied_on(self.origin, pruned) if old else set()
        return {path: written for path, written in old.items() if path not in needed}

    def _prune(self, candidate: PruneCandidate) -> PrunedBuild:
        build_lease = self._acquire(candidate.stored)
        if build_lease is None:
            return PrunedBuild(candidate.build, 0, changed=True)
        listed = self.origin.list(f"{self.origin.prefix}{candidate.build}/")
        items = _while_leased(listed, build_lease)
        try:
            objects = sum(self.origin.delete(items, before_attempt=build_lease.check))
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
    heads: Iterable[StoredRecord],
    now: datetime,
    older_than: timedelta,
    protected: Collection[str],
) -> Iterator[PruneCandidate]:
    for head in heads:
        reason = _leftover_reason(head.record, now, older_than)
        # An abandoned or half deleted build cannot be kept.
        resumable = head.record.state is State.PUBLISHING and head.record.build in protected
        if reason is not None and not resumable:
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


def _while_leased(items: Iterable[ListedObject], build_lease: Lease) -> Iterator[ListedObject]:
    """Yield the objects and renew the lease, so that nobody publishes the build meanwhile."""
    pruned = build_lease.record
    total = pruned.totals.own_objects if pruned.totals else 0
    for item in track(items, total=total, doing=f"Pruning {pruned.build}", unit="objects"):
        build_lease.renew_if_due()
        yield item


def _while_sweeping(
    items: Sequence[ListedObject], sweep_lease: SweepLease
) -> Iterator[ListedObject]:
    for item in track(items, total=len(items), doing="Pruning shared assets", unit="objects"):
        sweep_lease.renew_if_due()
        yield item
