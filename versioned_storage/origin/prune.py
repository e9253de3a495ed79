"""Builds are deleted from S3: taken by their record first, so that nobody publishes meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..progress import track
from . import lease, record, retention
from .lease import Lease
from .problems import NotDeleted
from .record import State, StoredRecord
from .retention import Activated, Verdict
from .s3 import S3Origin


@dataclass(frozen=True)
class Doomed:
    """A build that is to go, as it was when that was decided. ``reason`` is for people."""

    held: StoredRecord
    reason: str

    @property
    def build(self) -> str:
        return self.held.record.build


@dataclass(frozen=True)
class Plan:
    """What a prune will do: the verdict on each published build, and all that is to go.

    ``doomed`` has the published builds that may go, and what publishes and prunes that died have
    left. ``busy`` says since when others are pruned by somebody who may still be at it.
    """

    verdicts: tuple[Verdict, ...]
    doomed: tuple[Doomed, ...]
    busy: Mapping[str, datetime]


@dataclass(frozen=True)
class Pruned:
    """What became of a build that was to go; ``objects`` were deleted.

    ``changed`` says that somebody published it, or took it, between the plan and its execution,
    and that it was left alone for that.
    """

    build: str
    objects: int
    changed: bool = False


@dataclass(frozen=True)
class Pruner:
    """Prunes builds of one site; ``prefix`` is the STATIC_URL path without its first slash."""

    origin: S3Origin
    prefix: str
    connections: int

    def plan(
        self, *, keep: int, older_than: timedelta, protected: Mapping[str, str] | None = None
    ) -> Plan:
        """What there is to prune; `retention.decide` says what the arguments mean."""
        held = record.heads(self.origin, self.connections)
        now = self.origin.now()
        verdicts = retention.decide(
            [Activated(one.record.build, one.record.since) for one in _in(State.PUBLISHED, held)],
            keep=keep,
            older_than=older_than,
            now=now,
            protected={**_bases_in_use(held, now), **(protected or {})},
        )
        may_go = {one.build: one.reason for one in verdicts if not one.keep}
        published = [
            Doomed(one, may_go[one.record.build])
            for one in _in(State.PUBLISHED, held)
            if one.record.build in may_go
        ]
        busy = {
            one.record.build: one.record.since
            for one in _in(State.PRUNING, held)
            if not lease.is_expired(one.record, now)
        }
        doomed = (*published, *_leftovers(held, now, older_than))
        return Plan(tuple(verdicts), doomed, busy)

    def execute(self, plan: Plan) -> Iterator[Pruned]:
        """Delete what the plan says; yields each build when it is gone.

        Raises `NotDeleted` when S3 keeps an object, and the next prune goes on with that build;
        `LeaseLost` and `OriginError`, after which it is marked as being pruned, and a prune goes on
        with it once that claim is dead.
        """
        for doomed in plan.doomed:
            yield self._prune(doomed)

    def _prune(self, doomed: Doomed) -> Pruned:
        taken = self._take(doomed.held)
        if taken is None:
            return Pruned(doomed.build, 0, changed=True)
        paths = (one.path for one in self.origin.list(f"{self.prefix}{doomed.build}/"))
        try:
            objects = sum(
                self.origin.delete(
                    _while_held(paths, taken, doomed.held), before_attempt=taken.check
                )
            )
        except NotDeleted:
            # Every deletion was answered, so nothing is under way: whoever comes next, to prune or
            # to publish it, need not wait until the claim is dead.
            taken.commit(taken.record.released(self.origin.now()))
            raise
        taken.commit(taken.record.released(self.origin.now(), empty=True))
        return Pruned(doomed.build, objects)

    def _take(self, held: StoredRecord) -> Lease | None:
        """The right to delete a build; None when its record is not any more as it was."""
        found = record.read(self.origin, held.record.build)
        if found is None or found.etag != held.etag:
            return None
        going = replace(found.record, state=State.PRUNING, since=self.origin.now(), base=None)
        return lease.try_acquire(self.origin, going, found.etag)


def _in(state: State, held: Iterable[StoredRecord]) -> list[StoredRecord]:
    return [one for one in held if one.record.state is state]


def _bases_in_use(held: Iterable[StoredRecord], now: datetime) -> dict[str, str]:
    return {
        one.record.base: f"is copied from by the publish of {one.record.build}"
        for one in _in(State.PUBLISHING, held)
        if one.record.base is not None and not lease.is_expired(one.record, now)
    }


def _leftovers(
    held: Iterable[StoredRecord], now: datetime, older_than: timedelta
) -> Iterator[Doomed]:
    for one in held:
        found = one.record
        if found.state is State.ABANDONED and found.publish_id:
            yield Doomed(one, "its publish was abandoned")
        elif found.state is State.RETIRED and found.publish_id:
            yield Doomed(one, "something of it may be left")
        elif not lease.is_expired(found, now):
            continue
        elif found.state is State.PRUNING:
            yield Doomed(one, "a prune of it did not end")
        elif found.state is State.PUBLISHING and now - found.since >= older_than:
            yield Doomed(one, "its publish did not end")


def _while_held(paths: Iterable[str], taken: Lease, held: StoredRecord) -> Iterator[str]:
    """The paths, as long as the build is ours: whoever has it next may publish it again."""
    total = held.record.totals.objects if held.record.totals else 0
    for path in track(paths, total=total, doing=f"Pruning {held.record.build}", unit="objects"):
        taken.renew_if_due()
        yield path
