"""The right to write a build: taken before its first object, kept while it is used, then settled.

Every step is a conditional write of the record, so of two that want the same, one sees that it
was not the first. A claim is renewed while it is used; one that is not renewed any more is dead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeGuard
from uuid import uuid4

from ..build.manifest import Differences, Manifest, differences
from ..errors import OtherContent, VersionedStorageError
from . import record
from .record import Held, Record, State
from .s3 import S3Origin

#: Seconds after which a claim is renewed.
RENEWED_EVERY = 60.0
#: After this time without a renewal a claim is dead, whoever held it.
DEAD_AFTER = timedelta(minutes=15)

# How often a record may change under us, each time read again, before it is called unsettled.
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


class ClaimedElsewhere(OtherContent):
    """Somebody else is publishing another content under this build version."""

    def __init__(self, build: str, url: str, since: datetime) -> None:
        self.build = build
        self.url = url
        self.since = since
        minutes = DEAD_AFTER.seconds // 60
        super().__init__(
            f"Build {build} is being published with other content by another process, which said "
            f"so at {since:%Y-%m-%d %H:%M:%S} UTC in {url}. Set another BUILD_VERSION. If that "
            f"process is dead, its claim ends {minutes} minutes after that time; 'python manage.py "
            f"staticbuilds publish --abandon {build}' ends it now."
        )


class BeingPruned(VersionedStorageError):
    """The build is being deleted."""

    def __init__(self, build: str, url: str) -> None:
        self.build = build
        self.url = url
        super().__init__(
            f"Build {build} is being pruned ({url} says so). When that is done it can be published "
            "again with the same content; 'python manage.py staticbuilds prune' finishes what a "
            "prune that died has left."
        )


class ClaimLost(VersionedStorageError):
    """While this process worked on a build, somebody else took it over."""

    def __init__(self, build: str, url: str) -> None:
        self.build = build
        self.url = url
        super().__init__(
            f"This process has stopped its work on build {build}: its claim in {url} was abandoned "
            "or taken over meanwhile. Run the same command again to see where it stands."
        )


class NotClaimed(VersionedStorageError):
    """There is no claim to abandon."""

    def __init__(self, build: str, url: str, state: State | None) -> None:
        self.build = build
        self.url = url
        self.state = state
        found = f"it is {state.value}" if state else "there is no record of it"
        super().__init__(
            f"Build {build} has no claim to abandon: {found} ({url}). Nothing was changed."
        )


class ConditionsIgnored(VersionedStorageError):
    """The store overwrites what it was asked not to overwrite."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The store wrote {url} twice, though it was told to write it only where nothing is "
            "(If-None-Match: *). Without conditional writes two deploys at once can mix two "
            "builds. Use a store that has them, or see to it that only one process publishes at a "
            "time and set the option conditional_writes to False."
        )


class Unsettled(VersionedStorageError):
    """The record changes faster than it can be read, or the store contradicts itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"S3 refused to change {url} {_ATTEMPTS} times, each time because it was not as S3 had "
            "said before. Other processes may be writing it: run the same command again."
        )


@dataclass
class Claim:
    """The record of a build in a state that is ours; `take` and `hold` make it."""

    origin: S3Origin
    record: Record
    etag: str
    #: When it was asked for, on this machine's clock: S3 may have had it a little later.
    renewed: float

    def renew_if_due(self) -> bool:
        """Say that we are still at it; False when the very same build is published by now.

        Raises `ClaimLost`, and `OriginError` when S3 does not answer.
        """
        if time.monotonic() - self.renewed < RENEWED_EVERY:
            return True
        return self._replace(self.record) is not None

    def check_fresh(self) -> None:
        """Raise `ClaimLost` if somebody may think by now that we are dead; asks nobody.

        For the moment before a request that writes: a copy cannot be conditional, and of other
        content even a new object would be one too many.
        """
        if time.monotonic() - self.renewed > DEAD_AFTER.total_seconds() / 2:
            raise ClaimLost(self.record.build, self.origin.url(record.path(self.record.build)))

    def settle(self, wanted: Record) -> None:
        """Leave the record in the state that the work was for. Raises `ClaimLost`."""
        self._replace(wanted)

    def _replace(self, wanted: Record) -> str | None:
        """Write a record in the place of ours; None when the same content is published already."""
        build = self.record.build
        for _ in range(_ATTEMPTS):
            asked = time.monotonic()
            etag = record.write(self.origin, replace(wanted, since=self.origin.now()), self.etag)
            if etag is not None:
                self.etag, self.renewed = etag, asked
                return etag
            found = record.read(self.origin, build)
            if not self._is_helped_by(found):
                break
            if found.record.state is State.PUBLISHED:
                return None
            self.etag = found.etag
        raise ClaimLost(build, self.origin.url(record.path(build)))

    def _is_helped_by(self, found: Held | None) -> TypeGuard[Held]:
        """Say whether somebody helps to publish the same: then each of us may renew and commit.

        Not who began anew after a prune: what was there when we looked may be gone.
        """
        return (
            found is not None
            and self.record.state is State.PUBLISHING
            and found.record.effort == self.record.effort
            and found.record.state in (State.PUBLISHING, State.PUBLISHED)
        )


def take(
    origin: S3Origin,
    manifest: Manifest,
    held: Held | None,
    base: str | None = None,
    before: Callable[[], None] | None = None,
) -> Claim | None:
    """Claim a build; None when this very build is published, which renews its activation.

    ``held`` is the record as it was read last, ``base`` the build that will be copied from.
    ``before`` is called once before a claim is made, and may raise; to renew is none. Raises
    `BuildIsPublished`, `ClaimedElsewhere`, `BeingPruned` for what is in the way,
    `ConditionsIgnored` for a store that cannot keep a claim, `Unsettled`, `OriginError`.
    """
    build = str(manifest.build)
    for _ in range(_ATTEMPTS):
        check(origin, manifest, held)
        if held is not None and held.record.state is State.PUBLISHED:
            if record.write(origin, replace(held.record, since=origin.now()), held.etag):
                return None
        else:
            if before is not None:
                before()
                before = None
            claimed = _claimed(manifest, held, origin.now(), base)
            ours = hold(origin, claimed, held.etag if held else None)
            if ours is not None:
                if held is None and origin.conditional:
                    _check_conditions_are_kept(origin, claimed)
                return ours
        held = record.read(origin, build)
    raise Unsettled(origin.url(record.path(build)))


def hold(origin: S3Origin, wanted: Record, replacing: str | None) -> Claim | None:
    """Put a record in a state that is ours; None when it is another one than ``replacing``."""
    asked = time.monotonic()
    etag = record.write(origin, wanted, replacing)
    return None if etag is None else Claim(origin, wanted, etag, asked)


def check(origin: S3Origin, manifest: Manifest, held: Held | None) -> None:
    """Raise what `take` raises if a record is in the way of publishing ``manifest``."""
    if held is None:
        return
    found, build = held.record, str(manifest.build)
    url = origin.url(record.path(build))
    same = found.content == manifest.content
    if found.was_published and not same:
        differ = differences(found.manifest or Manifest({}), manifest)
        raise BuildIsPublished(build, url, differ, pruned=found.state is not State.PUBLISHED)
    if found.state is State.PRUNING:
        raise BeingPruned(build, url)
    if found.state is State.PUBLISHING and not same and not is_dead(found, origin.now()):
        raise ClaimedElsewhere(build, url, found.since)


def is_dead(claimed: Record, now: datetime) -> bool:
    """Say whether nobody renews a claim any more; ``now`` is S3's time."""
    return now - claimed.since > DEAD_AFTER


def abandon(origin: S3Origin, build: str) -> None:
    """Give up a claim, so that any content may have the build version. Raises `NotClaimed`."""
    held = record.read(origin, build)
    url = origin.url(record.path(build))
    if held is None or held.record.state is not State.PUBLISHING:
        raise NotClaimed(build, url, held.record.state if held else None)
    if record.write(origin, held.record.given_up(origin.now()), held.etag) is None:
        raise Unsettled(url)


def _claimed(manifest: Manifest, held: Held | None, now: datetime, base: str | None) -> Record:
    if held is not None and held.record.content == manifest.content:
        return held.record.claimed(now, base)
    build, effort = str(manifest.build), uuid4().hex
    return Record(build, State.PUBLISHING, manifest.content, now, effort, base)


def _check_conditions_are_kept(origin: S3Origin, claimed: Record) -> None:
    # The claim is there, so writing it where nothing is has to be refused. A store that ignores
    # the condition says yes to everything, to two publishers at once too.
    path = record.path(claimed.build)
    if origin.put(path, claimed.to_json(), **record.HEADERS) is not None:
        raise ConditionsIgnored(origin.url(path))
