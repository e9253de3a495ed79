"""The lease on a build's record: the right to write the build, which expires unless it is renewed.

Every step is a conditional write of the record, so of two processes that want the same lease, one
learns that it was not the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import TypeGuard
from uuid import uuid4

from ..build.manifest import Differences, Manifest, differences
from ..errors import OtherContent, VersionedStorageError
from . import record
from .record import Record, State, StoredRecord
from .s3 import S3Origin

#: Seconds between two renewals.
RENEW_EVERY = 60.0
#: A lease that was not renewed for this long has expired, and anybody may acquire it.
EXPIRES_AFTER = timedelta(minutes=15)

# Attempts to write a record that changes each time it was read.
_ATTEMPTS = 10


class BuildIsPublished(OtherContent):
    """Another content is, or was, published under this build version."""

    def __init__(self, build: str, url: str, differ: Differences, *, pruned: bool = False) -> None:
        self.build = build
        self.url = url
        self.differences = differ
        self.pruned = pruned
        state = "was published and pruned" if pruned else "is published"
        super().__init__(
            f"Build {build} {state} at {url} with other content. Against it, this build has\n"
            f"{differ}\nA published build never changes, because caches keep its URLs for years: "
            "set a new BUILD_VERSION and run collectstatic again."
        )


class AlreadyPublishing(OtherContent):
    """Another process is publishing another content under this build version."""

    def __init__(self, build: str, url: str, since: datetime) -> None:
        self.build = build
        self.url = url
        self.since = since
        minutes = EXPIRES_AFTER.seconds // 60
        super().__init__(
            f"Another process is publishing other content as build {build}. It renewed its lease "
            f"in {url} at {since:%Y-%m-%d %H:%M:%S} UTC. Set another BUILD_VERSION. If that "
            f"process is dead, the lease expires {minutes} minutes after that time; 'python "
            f"manage.py staticbuilds publish --abandon {build}' ends it now, and 'python manage.py "
            "staticbuilds prune' deletes what that process has uploaded."
        )


class BeingPruned(VersionedStorageError):
    """Another process is deleting the build."""

    def __init__(self, build: str, url: str) -> None:
        self.build = build
        self.url = url
        super().__init__(
            f"Build {build} is being pruned, as {url} says. After the prune it can be published "
            "again with the same content. If the prune has died, 'python manage.py staticbuilds "
            "prune' finishes it."
        )


class LeaseLost(VersionedStorageError):
    """The lease on a build was abandoned, or acquired by another process, or may have expired."""

    def __init__(self, build: str, url: str) -> None:
        self.build = build
        self.url = url
        super().__init__(
            f"This process has stopped its work on build {build}, because it lost the lease in "
            f"{url}: the lease was abandoned, or it expired while the process did not run. Run the "
            "same command again: it goes on with what is left, or says who has the build."
        )


class NoLease(VersionedStorageError):
    """There is no lease to abandon."""

    def __init__(self, build: str, url: str, state: State | None) -> None:
        self.build = build
        self.url = url
        self.state = state
        status = f"it is {state.value}" if state else "there is no record of it"
        super().__init__(
            f"Build {build} has no lease to abandon: {status} ({url}). Nothing was changed."
        )


class ConditionsIgnored(VersionedStorageError):
    """The store overwrites an object in spite of ``If-None-Match: *``."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The store overwrote {url}, though the request had If-None-Match: *. Without "
            "conditional writes two deploys at once can mix two builds. Use a store that honours "
            "them, or publish from one process at a time and set the option conditional_writes to "
            "False."
        )


class Unsettled(VersionedStorageError):
    """The record changes faster than it can be read, or the store contradicts itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"S3 refused to replace {url} {_ATTEMPTS} times, each time because it had changed "
            "since it was read. Other processes may be writing it: run the same command again."
        )


def clocks() -> tuple[float, ...]:
    """Return the readings of two clocks, in seconds; one also runs while the machine sleeps.

    ``time.monotonic()`` stands still while Linux is suspended, CLOCK_BOOTTIME does not. Where that
    is missing, the time of day takes its place.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return (time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))
    return (time.monotonic(), time.time())


def seconds_since(readings: tuple[float, ...]) -> float:
    """Return the time since these `clocks` were read, by the clock that says most."""
    return max(now - then for now, then in zip(clocks(), readings, strict=True))


def may_have_expired(renewed: tuple[float, ...]) -> bool:
    """Return True if another process may think that a lease has expired.

    ``renewed`` are the `clocks` before its last renewal was sent. Half of its life is for a request
    that is under way.
    """
    return seconds_since(renewed) > EXPIRES_AFTER.total_seconds() / 2


@dataclass
class Lease:
    """A lease that this process holds; `acquire` and `try_acquire` make it."""

    origin: S3Origin
    record: Record
    etag: str
    #: The `clocks` before the last renewal was sent: S3 may have received it a little later.
    renewed: tuple[float, ...]
    #: Another process may work on the same publish.
    is_joined: bool = False
    _lock: Lock = field(default_factory=Lock)

    def renew_if_due(self) -> bool:
        """Renew if the last renewal is a minute old; return False as `renew` does."""
        return seconds_since(self.renewed) < RENEW_EVERY or self.renew()

    def renew(self, *, unless_since: tuple[float, ...] | None = None) -> bool:
        """Renew the lease; return False if the same content has been published meanwhile.

        A renewal that was sent after ``unless_since``, a reading of `clocks`, is enough.
        Raises `LeaseLost`, and `OriginError` when S3 does not answer.
        """
        with self._lock:
            if unless_since is not None and self.renewed > unless_since:
                return True
            return self._replace(self.record)

    def check(self) -> None:
        """Raise `LeaseLost` if another process may think that the lease has expired.

        No request is made, so this is called before each attempt of a request that writes.
        """
        if may_have_expired(self.renewed):
            raise self._lost()

    def commit(self, final: Record) -> bool:
        """Replace the lease by the final state of the record. Returns what `renew` returns."""
        with self._lock:
            return self._replace(final)

    def release(self) -> None:
        """Give up the lease, unless another process may rely on it. Raises `OriginError`."""
        if not self.is_joined:
            with self._lock:
                # Whoever has joined since has written the record.
                record.write(self.origin, self.record.released(self.origin.now()), self.etag)

    def _lost(self) -> LeaseLost:
        build = self.record.build
        return LeaseLost(build, self.origin.url(record.path(build)))

    def _replace(self, new: Record) -> bool:
        for _ in range(_ATTEMPTS):
            started = clocks()
            etag = record.write(self.origin, replace(new, since=self.origin.now()), self.etag)
            if etag is not None:
                self.etag, self.renewed = etag, started
                return True
            stored = record.read(self.origin, self.record.build)
            if not self._is_same_publish(stored):
                break
            if stored.record.is_published:
                return False
            self.etag = stored.etag
        raise self._lost()

    def _is_same_publish(self, stored: StoredRecord | None) -> TypeGuard[StoredRecord]:
        """Return True if the record is of the same publish: each of its publishers may commit.

        A publish that was started after a prune is another one: objects that this process saw may
        be gone.
        """
        return (
            stored is not None
            and self.record.state is State.PUBLISHING
            and stored.record.publish_id == self.record.publish_id
            and stored.record.state in (State.PUBLISHING, State.PUBLISHED)
        )


def acquire(
    origin: S3Origin,
    manifest: Manifest,
    stored: StoredRecord | None,
    base: str | None = None,
    before: Callable[[], None] | None = None,
) -> Lease | None:
    """Return the lease to publish a build; None, after renewing the activation, if it is published.

    ``stored`` is the record as it was last read, ``base`` the build to copy from. ``before`` is
    called once before a lease is written, and may raise; not before an activation is renewed.
    Raises what `check_publishable` raises, `ConditionsIgnored` for a store without conditional
    writes, `Unsettled`, `OriginError`.
    """
    build = str(manifest.build)
    for _ in range(_ATTEMPTS):
        check_publishable(origin, manifest, stored)
        if stored is not None and stored.record.is_published:
            if record.write(origin, replace(stored.record, since=origin.now()), stored.etag):
                return None
        else:
            if before is not None:
                before()
                before = None
            leased = _leased(manifest, stored, origin.now(), base)
            lease = try_acquire(origin, leased, stored.etag if stored else None)
            if lease is not None:
                lease.is_joined = (
                    stored is not None and stored.record.publish_id == leased.publish_id
                )
                if stored is None and origin.conditional:
                    _check_conditional_writes(origin, leased)
                return lease
        stored = record.read(origin, build)
    raise Unsettled(origin.url(record.path(build)))


def try_acquire(origin: S3Origin, leased: Record, replacing: str | None) -> Lease | None:
    """Write a record of a lease; None if the record no longer has the ETag ``replacing``."""
    started = clocks()
    etag = record.write(origin, leased, replacing)
    return None if etag is None else Lease(origin, leased, etag, started)


def check_publishable(origin: S3Origin, manifest: Manifest, stored: StoredRecord | None) -> None:
    """Raise if the record does not allow to publish ``manifest``.

    Raises `BuildIsPublished`, `BeingPruned`, `AlreadyPublishing`.
    """
    if stored is None:
        return
    current, build = stored.record, str(manifest.build)
    url = origin.url(record.path(build))
    same = current.content == manifest.content
    if current.was_published and not same:
        differ = differences(current.manifest or Manifest({}), manifest)
        raise BuildIsPublished(build, url, differ, pruned=not current.is_published)
    if current.state is State.PRUNING:
        raise BeingPruned(build, url)
    if current.state is State.PUBLISHING and not same and not is_expired(current, origin.now()):
        raise AlreadyPublishing(build, url, current.since)


def is_expired(leased: Record, now: datetime) -> bool:
    """Return True if a lease was not renewed in time; ``now`` is a time of S3's clock."""
    return now - leased.since > EXPIRES_AFTER


def abandon(origin: S3Origin, build: str) -> None:
    """End a publisher's lease, so that any content may take the build version. Raises `NoLease`."""
    stored = record.read(origin, build)
    url = origin.url(record.path(build))
    if stored is None or stored.record.state is not State.PUBLISHING:
        raise NoLease(build, url, stored.record.state if stored else None)
    if record.write(origin, stored.record.released(origin.now()), stored.etag) is None:
        raise Unsettled(url)


def _leased(
    manifest: Manifest, stored: StoredRecord | None, now: datetime, base: str | None
) -> Record:
    if stored is not None and stored.record.content == manifest.content:
        return stored.record.leased(now, base).relying_on(manifest)
    leased = Record(
        build=str(manifest.build),
        state=State.PUBLISHING,
        content=manifest.content,
        since=now,
        publish_id=uuid4().hex,
        base=base,
    )
    return leased.relying_on(manifest)


def _check_conditional_writes(origin: S3Origin, leased: Record) -> None:
    # The record exists now, so a store that honours If-None-Match refuses to write it again. A
    # store that ignores the condition would give the lease to two publishers at once.
    path = record.path(leased.build)
    if origin.put(path, leased.to_json(), **record.HEADERS) is not None:
        raise ConditionsIgnored(origin.url(path))
