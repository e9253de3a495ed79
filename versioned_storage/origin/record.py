"""The record of a build on S3: its state, its lease and its manifest.

A record is one JSON document below ``builds/``, which the edge may not read. Everything but the
manifest and the list of shared objects is on the first line, so that listing the builds takes a few
hundred bytes of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from itertools import groupby
from typing import Any
from uuid import uuid4

from ..build.manifest import Manifest, UnreadableManifest
from ..errors import VersionedStorageError
from .objects import ObjectContent
from .s3 import S3Origin
from .threads import map_in_threads

#: Records are private, and no cache may keep one either.
HEADERS = {"ContentType": "application/json", "CacheControl": "no-store"}

PREFIX = "builds/"
_SUFFIX = ".json"

#: The latest format of records that this version reads and writes.
FORMAT = 2
# The format of what versions of the package before shared assets read as well.
_FORMAT_BEFORE_SHARED = 1
# Records without a number have these keys in place of today's.
_KEYS_OF_FORMAT_0 = {"publish_id": "effort", "write_id": "writing"}

# Bytes; the first line of a record is shorter.
_HEAD_SIZE = 8192


class UnreadableRecord(VersionedStorageError):
    """An object below ``builds/`` is not a record that this version of the package reads."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"{url} is not a readable record of a build: {reason}. Only this package may write "
            f"below {PREFIX}. If nobody needs the build, delete the object."
        )


class NewerRecord(UnreadableRecord):
    """A later version of this package wrote the record."""

    def __init__(self, url: str, format_: int) -> None:
        self.url = url
        self.format = format_
        self.reason = f"its format is {format_}"
        VersionedStorageError.__init__(
            self,
            f"{url} has the record format {format_}, and this version of "
            f"django-versioned-storage reads formats up to {FORMAT}. Nothing was changed. Upgrade "
            "the package to the version that published the build.",
        )


class State(str, Enum):
    """The stage of a build's life.

    ``ABANDONED``: never published and given up; any content may take the build version.
    ``RETIRED``: published once and pruned; caches keep its URLs for years, so only the same
    content may be published again.
    """

    PUBLISHING = "publishing"
    PUBLISHED = "published"
    PRUNING = "pruning"
    RETIRED = "retired"
    ABANDONED = "abandoned"


def publish_remedy(build: str) -> str:
    """Return what publishes a build that has no record.

    collectstatic refuses where the directory has the build and the sources have changed since.
    """
    return (
        f"run 'python manage.py staticbuilds publish {build}' if STATIC_ROOT has it, else "
        f"collectstatic with BUILD_VERSION={build}."
    )


class NotPublished(VersionedStorageError):
    """The build is not published; ``state`` is None where there is no record."""

    def __init__(self, build: str, url: str, state: State | None) -> None:
        self.build = build
        self.url = url
        self.state = state
        status = f"it is {state.value}" if state else "there is no record of it"
        remedy = {
            None: f"Publish it: {publish_remedy(build)}",
            State.PUBLISHING: "When its publish has ended, run the same command again.",
        }.get(state, "Only the same content, published again, brings it back.")
        super().__init__(f"Build {build} is not published: {status} ({url}). {remedy}")


@dataclass(frozen=True)
class Totals:
    """The number of assets and objects of a published build; ``size`` is in bytes.

    ``shared_objects`` and ``shared_size`` are the part that it has in common with other builds.
    """

    assets: int
    objects: int
    size: int
    shared_objects: int = 0
    shared_size: int = 0

    @classmethod
    def of(cls, manifest: Manifest) -> Totals:
        sizes = [file.size for file in manifest.files()]
        shared = [file.size for file in manifest.shared_files()]
        return cls(len(manifest.assets), len(sizes), sum(sizes), len(shared), sum(shared))

    @property
    def own_objects(self) -> int:
        """How many objects belong to this build only."""
        return self.objects - self.shared_objects

    @property
    def own_size(self) -> int:
        """The bytes of the objects that belong to this build only."""
        return self.size - self.shared_size

    def to_json(self) -> list[int]:
        totals = [self.assets, self.objects, self.size]
        return [*totals, self.shared_objects, self.shared_size] if self.shared_objects else totals


@dataclass(frozen=True)
class Record:
    """The state of a build on S3.

    ``since`` is a time of S3's clock: the last renewal of the lease while publishing, the
    activation once published. ``base`` is the build that a running publish copies from.
    ``encodings`` and ``skip_compress_extensions`` are what the edge function may rely on.
    ``manifest`` is set from the first publish on; it is None where only the first line was read.

    ``shared_prefix`` is where the shared objects of the build are, empty if it has none. ``shared``
    lists them, by their path below the STATIC_URL path, while the build is being published; once
    it is published its manifest does. See `shared_paths`. ``committed`` is when the publish of a
    build with shared objects ended; a no-op publish renews ``since`` and writes no object.
    """

    build: str
    state: State
    content: str
    since: datetime
    #: Shared by all publishers that work on one publish. Empty once no object of it is left.
    publish_id: str = ""
    base: str | None = None
    totals: Totals | None = None
    encodings: tuple[str, ...] = ()
    skip_compress_extensions: tuple[str, ...] = ()
    manifest: Manifest | None = field(default=None, repr=False)
    shared_prefix: str = ""
    shared: tuple[str, ...] = field(default=(), repr=False)
    committed: datetime | None = None
    #: New with every write, so that no two records have the same bytes, nor the same ETag.
    write_id: str = ""

    @property
    def is_published(self) -> bool:
        """Every object of the build is on S3, and pages may refer to it."""
        return self.state is State.PUBLISHED

    @property
    def was_published(self) -> bool:
        """Caches may have the build, so no other content may take its version."""
        return self.totals is not None

    @property
    def may_rely_on_shared_objects(self) -> bool:
        """Return True if shared objects may have to stay for this build."""
        gone = (State.RETIRED, State.ABANDONED)
        return bool(self.shared_prefix) and self.state not in gone

    def shared_paths(self) -> set[str]:
        """Return the shared objects that have to stay, below the STATIC_URL path.

        Those of a publish that died are among them, because it may be resumed.
        """
        if not self.may_rely_on_shared_objects:
            return set()
        files = self.manifest.shared_files() if self.manifest else ()
        return {*self.shared, *(file.path for file in files)}

    def relying_on(self, manifest: Manifest) -> Record:
        """Return the record with the list of the shared objects of the build to publish."""
        shared = tuple(file.path for file in manifest.shared_files())
        return replace(self, shared=shared, shared_prefix=manifest.shared_prefix if shared else "")

    def leased(self, since: datetime, base: str | None) -> Record:
        """Return the record of a publisher that starts or joins a publish of this content.

        Whoever joins copies from the same base build: two builds can have other bytes of an
        encoding, and a store may ignore the conditions on copies.
        """
        if self.state is State.PUBLISHING:
            return replace(self, since=since)
        publish_id = uuid4().hex
        return replace(self, state=State.PUBLISHING, since=since, base=base, publish_id=publish_id)

    def released(self, since: datetime, *, empty: bool = False) -> Record:
        """Return the record of a build that is not published; ``empty`` if no object is left."""
        state = State.RETIRED if self.was_published else State.ABANDONED
        publish_id = "" if empty else self.publish_id
        return replace(self, state=state, since=since, publish_id=publish_id, base=None, shared=())

    def published(self, manifest: Manifest, since: datetime) -> Record:
        """Return the record of the build with all of its objects on S3."""
        return Record(
            build=self.build,
            state=State.PUBLISHED,
            content=manifest.content,
            since=since,
            publish_id=self.publish_id,
            totals=Totals.of(manifest),
            encodings=tuple(manifest.encoders),
            skip_compress_extensions=manifest.skip_compress_extensions,
            manifest=manifest,
            shared_prefix=self.shared_prefix,
            committed=since if self.shared_prefix else None,
        )

    @property
    def format(self) -> int:
        """The first format that has what is in this record."""
        globs = self.manifest is not None and not isinstance(self.manifest.keep_originals, bool)
        return FORMAT if self.shared_prefix or globs else _FORMAT_BEFORE_SHARED

    def to_json(self) -> bytes:
        head = {
            "format": self.format,
            "build": self.build,
            "state": self.state.value,
            "content": self.content,
            "since": self.since.isoformat(),
            "publish_id": self.publish_id,
            "base": self.base,
            "totals": self.totals and self.totals.to_json(),
            "encodings": self.encodings,
            "skip_compress_extensions": self.skip_compress_extensions,
            "write_id": self.write_id,
            **({"shared_prefix": self.shared_prefix} if self.shared_prefix else {}),
            **({"committed": self.committed.isoformat()} if self.committed else {}),
        }
        manifest = self.manifest.to_json() if self.manifest else "null"
        shared = f', "shared":\n{json.dumps(self.shared)}' if self.shared else ""
        return f'{json.dumps(head)[:-1]}, "manifest":\n{manifest}{shared}}}\n'.encode()

    @classmethod
    def from_json(cls, data: bytes, *, name: str, head: bool = False) -> Record:
        """Parse a record, or only its first line with ``head``.

        Raises `UnreadableRecord`, and `NewerRecord` for one of a later format.
        """
        try:
            line, _, rest = data.decode().partition("\n")
            stored: Any = json.loads(f"{line}null}}" if head else line + rest)
            format_ = stored.get("format", 0)
            if not isinstance(format_, int) or format_ > FORMAT:
                raise NewerRecord(name, format_)
            keys = {key: key for key in _KEYS_OF_FORMAT_0} if format_ else _KEYS_OF_FORMAT_0
            manifest, committed = stored["manifest"], stored.get("committed")
            return cls(
                build=stored["build"],
                state=State(stored["state"]),
                content=stored["content"],
                since=datetime.fromisoformat(stored["since"]),
                publish_id=stored[keys["publish_id"]],
                base=stored["base"],
                totals=Totals(*stored["totals"]) if stored["totals"] else None,
                encodings=tuple(stored["encodings"]),
                skip_compress_extensions=tuple(stored["skip_compress_extensions"]),
                manifest=None if manifest is None else Manifest.from_stored(manifest, name=name),
                shared_prefix=stored.get("shared_prefix", ""),
                shared=tuple(stored.get("shared", ())),
                committed=datetime.fromisoformat(committed) if committed else None,
                write_id=stored[keys["write_id"]],
            )
        except UnreadableManifest as error:
            raise UnreadableRecord(name, error.reason) from error
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise UnreadableRecord(name, f"{type(error).__name__}, {error}") from error


@dataclass(frozen=True)
class StoredRecord:
    """A record and the ETag that a conditional write needs to replace it."""

    record: Record
    etag: str


def path(build: str) -> str:
    """Return the path of a build's record, below the origin's location."""
    return f"{PREFIX}{build}{_SUFFIX}"


def read(origin: S3Origin, build: str) -> StoredRecord | None:
    """Return the record of a build; None when there is none. Raises `OriginError`."""
    stored = origin.get(path(build))
    return _parsed(stored, origin, path(build)) if stored else None


def read_published(origin: S3Origin, build: str) -> Manifest:
    """Return the manifest of a published build. Raises `NotPublished`, `OriginError`."""
    stored = read(origin, build)
    if stored is None or not stored.record.is_published or stored.record.manifest is None:
        raise NotPublished(build, origin.url(path(build)), stored.record.state if stored else None)
    return stored.record.manifest


def write(origin: S3Origin, record: Record, replacing: str | None) -> str | None:
    """Replace the record that has the ETag ``replacing``; None expects no record.

    Returns the new ETag, or None when the record has changed.
    """
    record = replace(record, write_id=uuid4().hex)
    return put(origin, path(record.build), record.to_json(), replacing)


def put(origin: S3Origin, at: str, data: bytes, replacing: str | None) -> str | None:
    """Replace the document below ``builds/`` that has the ETag ``replacing``; as `write`.

    ``data`` must be new with every call: by its bytes a process knows a document as its own.
    """
    etag = origin.put(at, data, replacing=replacing, **HEADERS)
    if etag is None:
        # S3 refused, or a first attempt succeeded and its response was lost.
        stored = origin.get(at)
        if stored is not None and stored.data == data:
            return stored.etag
    return etag


def newest_first(origin: S3Origin) -> Iterator[StoredRecord]:
    """Yield the first line of each record, the last written first; each is read when needed."""
    listed = sorted(origin.list(PREFIX), key=lambda item: item.modified, reverse=True)
    # Listings have a resolution of one second; ``since`` is finer.
    for _, same_second in groupby(listed, key=lambda item: item.modified.replace(microsecond=0)):
        stored = (_head(origin, item.path) for item in same_second)
        yield from sorted(filter(None, stored), key=lambda item: item.record.since, reverse=True)


def heads(origin: S3Origin) -> list[StoredRecord]:
    """Return the heads of all records, sorted by build version."""
    paths = [item.path for item in origin.list(PREFIX)]
    stored = map_in_threads(lambda path: _head(origin, path), paths, origin.connections)
    return [item for item in stored if item is not None]


def _head(origin: S3Origin, path: str) -> StoredRecord | None:
    if not path.endswith(_SUFFIX):
        return None
    stored = origin.get(path, first=_HEAD_SIZE)
    if stored is not None and b"\n" not in stored.data:
        stored = origin.get(path)
    return _parsed(stored, origin, path, head=True) if stored else None


def _parsed(
    stored: ObjectContent, origin: S3Origin, at: str, *, head: bool = False
) -> StoredRecord:
    url = origin.url(at)
    record = Record.from_json(stored.data, name=url, head=head)
    if path(record.build) != at:
        raise UnreadableRecord(url, f"it says that it is that of {record.build!r}")
    return StoredRecord(record, stored.etag)
