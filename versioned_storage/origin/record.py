"""What S3 keeps of one build: its state, outside of what the edge may read.

A record is one JSON document. Its first line has everything but the manifest, so that a list of
builds needs a few hundred bytes of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from itertools import groupby
from typing import Any
from uuid import uuid4

from ..build.manifest import Manifest, UnreadableManifest
from ..errors import VersionedStorageError
from .s3 import S3Origin, Stored

#: Records are not public, but a cache in between must not keep one either.
HEADERS = {"ContentType": "application/json", "CacheControl": "no-store"}

PREFIX = "builds/"
_SUFFIX = ".json"
# More than the first line of a record has.
_HEAD = 8192


class UnreadableRecord(VersionedStorageError):
    """An object where records are that is none, or one of another version of this package."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"{url} is not the record of a build: {reason}. Nothing but this package may write "
            f"below {PREFIX}. If a later version of it wrote this, use that version; if nobody "
            "needs the build, delete the object."
        )


class State(str, Enum):
    """Where a build is in its life.

    ``ABANDONED`` is a build that was never published and is given up: any content may have its
    build version. ``RETIRED`` is one that was published and pruned: caches hold its URLs for
    years, so only the same content may come back.
    """

    PUBLISHING = "publishing"
    PUBLISHED = "published"
    PRUNING = "pruning"
    RETIRED = "retired"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Totals:
    """What a published build has on S3; ``size`` in bytes."""

    assets: int
    objects: int
    size: int

    @classmethod
    def of(cls, manifest: Manifest) -> Totals:
        sizes = [file.variant.size for file in manifest.files()]
        return cls(len(manifest.assets), len(sizes), sum(sizes))


@dataclass(frozen=True)
class Record:
    """The state of a build on S3.

    ``since`` is S3's own time: of the claim's last renewal while publishing, of the activation
    once published. ``base`` is the build that a running publish copies from. ``encodings`` and
    ``skip_compress_extensions`` are what the edge may ask for. ``manifest`` is that of the build
    once it was published, whatever became of it; None where only the head was read too.
    """

    build: str
    state: State
    content: str
    since: datetime
    #: Of all publishes of one content that help each other; a prune ends it, and then no object is
    #: left.
    effort: str = ""
    base: str | None = None
    totals: Totals | None = None
    encodings: tuple[str, ...] = ()
    skip_compress_extensions: tuple[str, ...] = ()
    manifest: Manifest | None = field(default=None, repr=False)
    #: Of one writing: two records are never the same bytes, so no ETag ever comes back.
    writing: str = ""

    @property
    def was_published(self) -> bool:
        """Say whether caches may hold this build, so that no other content may have its name."""
        return self.totals is not None

    def claimed(self, since: datetime, base: str | None) -> Record:
        """The record of a publish of the same content that begins, or that helps another one."""
        effort = self.effort if self.state is State.PUBLISHING else uuid4().hex
        return replace(self, state=State.PUBLISHING, since=since, base=base, effort=effort)

    def given_up(self, since: datetime, *, empty: bool = False) -> Record:
        """The record of a build that is published no more; ``empty`` when no object is left."""
        state = State.RETIRED if self.was_published else State.ABANDONED
        effort = "" if empty else self.effort
        return replace(self, state=state, since=since, effort=effort, base=None)

    def published(self, manifest: Manifest, since: datetime) -> Record:
        """The record once every object is there."""
        return Record(
            build=self.build,
            state=State.PUBLISHED,
            content=manifest.content,
            since=since,
            effort=self.effort,
            totals=Totals.of(manifest),
            encodings=tuple(manifest.encoders),
            skip_compress_extensions=manifest.skip_compress_extensions,
            manifest=manifest,
        )

    def to_json(self) -> bytes:
        totals = self.totals and [self.totals.assets, self.totals.objects, self.totals.size]
        head = {
            "build": self.build,
            "state": self.state.value,
            "content": self.content,
            "since": self.since.isoformat(),
            "effort": self.effort,
            "base": self.base,
            "totals": totals,
            "encodings": self.encodings,
            "skip_compress_extensions": self.skip_compress_extensions,
            "writing": self.writing,
        }
        manifest = self.manifest.to_json() if self.manifest else "null"
        return f'{json.dumps(head)[:-1]}, "manifest":\n{manifest}}}\n'.encode()

    @classmethod
    def from_json(cls, data: bytes, *, name: str, head: bool = False) -> Record:
        """Read a record, or with ``head`` its first line alone. Raises `UnreadableRecord`."""
        try:
            line, _, rest = data.decode().partition("\n")
            kept: Any = json.loads(f"{line}null}}" if head else line + rest)
            manifest = kept["manifest"]
            return cls(
                build=kept["build"],
                state=State(kept["state"]),
                content=kept["content"],
                since=datetime.fromisoformat(kept["since"]),
                effort=kept["effort"],
                base=kept["base"],
                totals=Totals(*kept["totals"]) if kept["totals"] else None,
                encodings=tuple(kept["encodings"]),
                skip_compress_extensions=tuple(kept["skip_compress_extensions"]),
                manifest=None if manifest is None else Manifest.from_stored(manifest, name=name),
                writing=kept["writing"],
            )
        except UnreadableManifest as error:
            raise UnreadableRecord(name, error.reason) from error
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableRecord(name, f"{type(error).__name__}, {error}") from error


@dataclass(frozen=True)
class Held:
    """A record as it was read; ``etag`` is what replacing it takes."""

    record: Record
    etag: str


def path(build: str) -> str:
    """Where the record of a build is, below the origin's location."""
    return f"{PREFIX}{build}{_SUFFIX}"


def read(origin: S3Origin, build: str) -> Held | None:
    """The record of a build; None when there is none. Raises `OriginError`."""
    stored = origin.get(path(build))
    return _held(stored, origin, path(build)) if stored else None


def write(origin: S3Origin, record: Record, replacing: str | None) -> str | None:
    """Replace the record that has the ETag ``replacing``; None is for where there is none yet.

    Returns the new ETag, or None when the record is another one by now.
    """
    record = replace(record, writing=uuid4().hex)
    etag = origin.put(path(record.build), record.to_json(), replacing=replacing, **HEADERS)
    if etag is None:
        # Refused, or done by a first attempt whose answer was lost.
        found = read(origin, record.build)
        if found is not None and found.record.writing == record.writing:
            return found.etag
    return etag


def newest_first(origin: S3Origin) -> Iterator[Held]:
    """The heads of all records, the last written first, each read when it is asked for."""
    listed = sorted(origin.list(PREFIX), key=lambda one: one.modified, reverse=True)
    # A listing has whole seconds; the records themselves are more exact.
    for _, same_second in groupby(listed, key=lambda one: one.modified.replace(microsecond=0)):
        found = (_head(origin, one.path) for one in same_second)
        yield from sorted(filter(None, found), key=lambda held: held.record.since, reverse=True)


def heads(origin: S3Origin, connections: int) -> list[Held]:
    """The heads of all records, by build version."""
    paths = [one.path for one in origin.list(PREFIX)]
    with ThreadPoolExecutor(min(connections, len(paths)) or 1) as pool:
        found = pool.map(lambda path: _head(origin, path), paths)
        return [one for one in found if one is not None]


def _head(origin: S3Origin, at: str) -> Held | None:
    if not at.endswith(_SUFFIX):
        return None
    stored = origin.get(at, first=_HEAD)
    if stored is not None and b"\n" not in stored.data:
        stored = origin.get(at)
    return _held(stored, origin, at, head=True) if stored else None


def _held(stored: Stored, origin: S3Origin, at: str, *, head: bool = False) -> Held:
    url = origin.url(at)
    record = Record.from_json(stored.data, name=url, head=head)
    if path(record.build) != at:
        raise UnreadableRecord(url, f"it says that it is that of {record.build!r}")
    return Held(record, stored.etag)
