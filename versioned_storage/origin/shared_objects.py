"""Objects that builds have in common: on which a publish may rely, and who may delete them.

A publisher writes what its build relies on into its lease, *then* reads ``builds/_sweep``, *then*
lists the objects. A prune writes ``builds/_sweep``, *then* lists the objects, *then* reads all
records, and writes what it is going to delete into ``builds/_sweep`` before it deletes any. So
either the prune sees the publisher's list, or the publisher sees the prune.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any
from uuid import uuid4

from ..build.manifest import BuildFile
from ..errors import VersionedStorageError
from ..progress import logger
from . import record
from .lease import EXPIRES_AFTER, RENEW_EVERY, clocks, may_have_expired, seconds_since
from .objects import ListedObject, StoredObject
from .record import Record
from .s3 import S3Origin
from .threads import map_in_threads

#: Not the name of a record, so versions of the package without shared assets pass over it.
SWEEP = f"{record.PREFIX}_sweep"
# The clock of a listing and that of a record differ by less.
_SKEW = timedelta(seconds=5)
#: The metadata that names the build whose publish changed the headers of a shared object.
HEADERS_OF = "headers-of"


class SharedObjectDiffers(VersionedStorageError):
    """S3 has other bytes under the name of a shared asset."""

    def __init__(self, url: str, name: str, sha256: str | None) -> None:
        self.url = url
        self.name = name
        self.sha256 = sha256
        super().__init__(
            f"{url} has other bytes than {name} of this build (its sha256 is {sha256}). A shared "
            "object is never overwritten, because published builds may have it. If it is damaged, "
            "'python manage.py staticbuilds verify BUILD --repair' restores it, with a published "
            f"build that has it. If both files are right, keep this one below its build: add "
            f"'!{name}' to the option shared_assets."
        )


class SweepLost(VersionedStorageError):
    """This process may no longer delete shared objects."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"This process has stopped deleting shared objects, because it lost the lease in "
            f"{url}: it expired while the process did not run. Nothing that a build needs was "
            f"deleted. Run 'python manage.py staticbuilds prune' again "
            f"{EXPIRES_AFTER.seconds // 60} minutes from now."
        )


class UnreadableSweep(VersionedStorageError):
    """The object ``builds/_sweep`` is not what this version of the package writes there."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"{url} is not readable: {reason}. Only this package may write it. When no prune is "
            "running, delete the object."
        )


def has_bytes_of(file: BuildFile, stored: StoredObject, sha256: Callable[[], str | None]) -> bool:
    """Return True if a shared object has the bytes of ``file``, or an encoding of them.

    ``sha256`` returns that of the bytes that are expected, in hex; it is called if it is needed.
    Those of an encoding may be another encoder's: what it encodes is in its metadata.
    """
    if stored.sha256 is None or stored.metadata.get("sha256", stored.sha256) != stored.sha256:
        # Its bytes are no longer those that were uploaded.
        return False
    if file.encoding is not None and stored.metadata.get("encoding-of") == file.asset.integrity:
        return True
    return stored.sha256 == sha256()


class Stage(str, Enum):
    """What the holder of the sweep is doing."""

    LISTING = "listing"
    DELETING = "deleting"
    RELEASED = "released"


@dataclass(frozen=True)
class Sweep:
    """The right to delete shared objects, which expires unless it is renewed.

    ``owner`` is for people. ``candidates`` are the paths that it may delete, each with the time at
    which its object was written. A process that takes over an expired sweep, or releases its own,
    keeps those that the last request of a prune which died may still delete.
    """

    owner: str
    since: datetime
    stage: Stage
    candidates: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: New with every write.
    write_id: str = ""

    def is_live(self, now: datetime) -> bool:
        """Return True if its holder may delete objects; ``now`` is a time of S3's clock."""
        return self.stage is not Stage.RELEASED and now - self.since <= EXPIRES_AFTER

    def may_delete(self, path: str, now: datetime) -> bool:
        """Return True if its holder may delete whatever is at a path, now or later."""
        return self.is_live(now) and (self.stage is Stage.LISTING or path in self.candidates)

    def may_have_deleted(self, item: ListedObject) -> bool:
        """Return True if a deletion of the object may be under way, though nobody waits for it."""
        return self.candidates.get(item.path) == written_at(item)

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "owner": self.owner,
                "since": self.since.isoformat(),
                "stage": self.stage.value,
                "candidates": dict(self.candidates),
                "write_id": self.write_id,
            }
        ).encode()


def written_at(item: ListedObject) -> str:
    """Return the time of an object as candidates have it, in whole seconds.

    Not every listing has fractions, and an object is written again only after a lease has expired.
    """
    return item.modified.replace(microsecond=0).isoformat()


def read_sweep(origin: S3Origin) -> Sweep | None:
    """Return the sweep; None where there never was one. Raises `UnreadableSweep`, `OriginError`."""
    stored = _read_sweep(origin)
    return stored[0] if stored else None


def _read_sweep(origin: S3Origin) -> tuple[Sweep, str] | None:
    stored = origin.get(SWEEP)
    if stored is None:
        return None
    try:
        content: Any = json.loads(stored.data)
        sweep = Sweep(
            owner=content["owner"],
            since=datetime.fromisoformat(content["since"]),
            stage=Stage(content["stage"]),
            candidates=dict(content["candidates"]),
            write_id=content["write_id"],
        )
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableSweep(origin.url(SWEEP), f"{type(error).__name__}, {error}") from error
    return sweep, stored.etag


@dataclass
class SweepLease:
    """A sweep that this process holds; `acquire` makes it.

    Publishers act on an expired sweep without a write to it, so it is not renewed after half of its
    life, and a renewal counts from when it was sent: nothing is deleted if S3 received it too late.
    """

    origin: S3Origin
    sweep: Sweep
    etag: str
    #: The `clocks` before the last renewal was sent.
    renewed: tuple[float, ...]
    _expires_by_itself: bool = False

    @classmethod
    def acquire(cls, origin: S3Origin) -> SweepLease | Sweep:
        """Return the lease, or the sweep of another process that is still running."""
        stored = _read_sweep(origin)
        if stored is not None and stored[0].is_live(origin.now()):
            return stored[0]
        sweep = Sweep(
            owner=f"{socket.gethostname()}, process {os.getpid()}",
            since=origin.now(),
            stage=Stage.LISTING,
            candidates=stored[0].candidates if stored else {},
        )
        started = clocks()
        etag = _write(origin, sweep, stored[1] if stored else None)
        if etag is None:
            # Another process was faster.
            return read_sweep(origin) or sweep
        return cls(origin, sweep, etag, started)

    def check(self) -> None:
        """Raise `SweepLost` if another process may think that the lease has expired.

        No request is made, so this is called before each request that deletes.
        """
        if may_have_expired(self.renewed):
            raise SweepLost(self.origin.url(SWEEP))

    def renew_if_due(self) -> None:
        """Call `renew` once a minute."""
        if seconds_since(self.renewed) > RENEW_EVERY:
            self.renew()

    def write_candidates(self, candidates: Mapping[str, str]) -> None:
        """Write what may be deleted from now on, before the first deletion."""
        self.renew(stage=Stage.DELETING, candidates=candidates)

    def let_expire(self) -> None:
        """Let the lease expire instead of being released: a deletion is sent again.

        The attempt before may be under way. It would delete what a publish has written again.
        """
        self._expires_by_itself = True

    def release(self, doubtful: Mapping[str, str]) -> None:
        """End the lease when every deletion was answered.

        ``doubtful`` are the candidates of a sweep that died, whose deletions may be under way.
        """
        if self._expires_by_itself:
            logger.warning(
                "A deletion was sent again, and its first attempt may be under way, so this prune "
                "keeps its lease on shared objects until %s UTC. A publish waits for the deleted "
                "objects that it needs.",
                f"{self.sweep.since + EXPIRES_AFTER:%Y-%m-%d %H:%M:%S}",
            )
            return
        self.renew(stage=Stage.RELEASED, candidates=doubtful)

    def renew(self, **changes: Any) -> None:
        """Renew the lease. Raises `SweepLost`, `OriginError`."""
        self.check()
        started = clocks()
        renewed = replace(self.sweep, since=self.origin.now(), **changes)
        etag = _write(self.origin, renewed, self.etag)
        if etag is None:
            raise SweepLost(self.origin.url(SWEEP))
        self.sweep, self.etag, self.renewed = renewed, etag, started


def _write(origin: S3Origin, sweep: Sweep, replacing: str | None) -> str | None:
    sweep = replace(sweep, write_id=uuid4().hex)
    return record.put(origin, SWEEP, sweep.to_json(), replacing)


def relied_on(origin: S3Origin, apart_from: Collection[str] = ()) -> set[str]:
    """Return the paths, below the location, of the shared objects that a record lists.

    ``apart_from`` are builds whose records do not count. Raises `UnreadableRecord` rather than
    miss one, and `OriginError`.
    """
    builds = [
        head.record.build
        for head in record.heads(origin)
        if head.record.may_rely_on_shared_objects and head.record.build not in apart_from
    ]
    records = map_in_threads(partial(record.read, origin), builds, origin.connections)
    return {
        origin.prefix + path
        for stored in records
        if stored is not None
        for path in stored.record.shared_paths()
    }


@dataclass(frozen=True)
class SharedObjects:
    """What a publisher knows of the shared objects of its build, once its lease lists them.

    By path below the location: ``stored`` are the objects that S3 has, ``vouched`` those of them
    that are as the record of a published build says, ``doubtful`` those that a prune which died may
    delete. ``contested`` are those that a running prune may delete: nothing is known of them.
    """

    stored: Mapping[str, StoredObject]
    vouched: frozenset[str]
    doubtful: frozenset[str]
    contested: frozenset[str]

    @classmethod
    def read(
        cls, origin: S3Origin, files: Iterable[BuildFile], published: Record | None
    ) -> SharedObjects:
        """Read the sweep, then list the objects, then ask for those that no record vouches for.

        ``files`` are the shared files of the build, ``published`` is the record of a published
        build. Raises `OriginError`, also for a lack of permission, and `UnreadableSweep`.
        """
        needed = {origin.prefix + file.path: file for file in files}
        sweep, now = read_sweep(origin), origin.now()
        prefixes = {file.asset.shared_prefix for file in needed.values()}
        listed = {
            item.path: item
            for prefix in prefixes
            for item in origin.list(f"{origin.prefix}{prefix}/")
            if item.path in needed
        }
        contested = {path for path in needed if sweep is not None and sweep.may_delete(path, now)}
        doubtful = {
            path
            for path, item in listed.items()
            if path not in contested and sweep is not None and sweep.may_have_deleted(item)
        }
        recorded, vouched, committed = {}, {}, None
        if published is not None and published.manifest is not None:
            published_files = published.manifest.shared_files()
            recorded = {origin.prefix + file.path: file for file in published_files}
            committed = published.committed
        for path in listed.keys() & recorded.keys() - doubtful - contested:
            # An object that was written later can have other headers, which no listing shows.
            is_older = committed is not None and listed[path].modified < committed + _SKEW
            if is_older and _is_as_recorded(listed[path], recorded[path], needed[path]):
                vouched[path] = _as_recorded(listed[path], recorded[path])
        unknown = sorted(listed.keys() - vouched.keys() - contested)
        heads = zip(unknown, map_in_threads(origin.find, unknown, origin.connections), strict=True)
        return cls(
            stored={**vouched, **{path: item for path, item in heads if item is not None}},
            vouched=frozenset(vouched),
            doubtful=frozenset(doubtful),
            contested=frozenset(contested),
        )


def _is_as_recorded(listed: ListedObject, recorded: BuildFile, needed: BuildFile) -> bool:
    """Return True if a listed object is the recorded one, and right for the file of a new build."""
    return (
        recorded.etag is not None
        and recorded.sha256 is not None
        and (recorded.etag, recorded.size) == (listed.etag.strip('"'), listed.size)
        and recorded.asset.integrity == needed.asset.integrity
        and recorded.asset.content_type == needed.asset.content_type
    )


def _as_recorded(listed: ListedObject, recorded: BuildFile) -> StoredObject:
    return StoredObject(
        size=listed.size,
        etag=listed.etag,
        sha256=recorded.sha256,
        has_checksum=False,
        headers={},
        metadata={},
    )
