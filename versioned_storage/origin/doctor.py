"""What would stop a publish, tried on scratch keys before it does.

Each permission is tried where it is needed: below ``builds/``, where records are, and below the
STATIC_URL path, where builds are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from uuid import uuid4

from ..errors import VersionedStorageError
from . import record
from .finding import NOT_AVAILABLE, Finding, Level, is_denied
from .privacy import privacy
from .s3 import S3Origin

#: S3 refuses what is signed at a time that is further off than that.
REFUSED_SKEW = timedelta(minutes=15)
_WORTH_A_WARNING = timedelta(minutes=1)

_SCRATCH = b"Written by 'manage.py staticbuilds doctor'. Nobody needs it.\n"


@dataclass(frozen=True)
class Doctor:
    """Examines the bucket of one site; ``prefix`` is the STATIC_URL path without its first slash.

    It raises nothing for what S3 answers: that is what the findings are.
    """

    origin: S3Origin
    prefix: str

    def examine(self) -> Iterator[Finding]:
        """Try all that a publish, a prune and a page need; nothing but scratch keys is written."""
        bucket = self._bucket()
        yield bucket
        if bucket.level is Level.FAILURE:
            return
        yield self._clock()
        yield from self._permissions(record.PREFIX)
        yield from self._permissions(self.prefix)
        yield from privacy(self.origin)

    def _bucket(self) -> Finding:
        url = self.origin.url("")
        try:
            self.origin.get(f"{record.PREFIX}.doctor-{uuid4().hex}")
        except VersionedStorageError as error:
            if not is_denied(error):
                return Finding("bucket", Level.FAILURE, str(error))
            return Finding(
                "bucket",
                Level.WARNING,
                f"{url} answers 403 for a key that is not there",
                "Grant s3:ListBucket on the bucket, so that it is 404: else nobody can tell what "
                "is missing from what is forbidden.",
            )
        return Finding("bucket", Level.OK, f"{url} answers these credentials")

    def _clock(self) -> Finding:
        off = self.origin.now() - datetime.now(timezone.utc)
        seconds = round(abs(off.total_seconds()))
        found = f"this machine's is {seconds} s {'behind' if off > timedelta(0) else 'ahead'}"
        remedy = "Set it, and keep it set (NTP): S3 refuses requests from 15 minutes on."
        if abs(off) >= REFUSED_SKEW:
            return Finding("clock", Level.FAILURE, found, remedy)
        if abs(off) >= _WORTH_A_WARNING:
            return Finding("clock", Level.WARNING, found, remedy)
        return Finding("clock", Level.OK, "this machine's is that of S3, give or take a minute")

    def _permissions(self, below: str) -> list[Finding]:
        listing = self._tried(f"list {below}", lambda: self._list(below), denied=_TO_LIST)
        # What is not there can be deleted too: so it is known before there is something to delete.
        scratch = f"{below}.doctor-{uuid4().hex}"
        denied = _TO_DELETE_RECORDS if below == record.PREFIX else _TO_DELETE
        deleting = self._tried(f"delete {below}", lambda: self._delete(scratch), denied=denied)
        if deleting.level is not Level.OK:
            # Not another one with each run.
            scratch = f"{below}.doctor"
        try:
            tried = list(self._on_scratch(scratch, below))
        finally:
            if deleting.level is Level.OK:
                both = (scratch, f"{scratch}-copy")
                deleting = self._tried(f"delete {below}", lambda: self._delete(*both))
        return [listing, *tried, deleting]

    def _on_scratch(self, scratch: str, below: str) -> Iterator[Finding]:
        writing = self._tried(f"write {below}", lambda: self._write(scratch), denied=_TO_WRITE)
        yield writing
        if writing.level is not Level.OK:
            return
        yield self._tried(f"read {below}", lambda: self._read(scratch), denied=_TO_READ)
        if below == record.PREFIX:
            yield self._tried("conditional writes", lambda: self._conditions(scratch))
            yield self._tried("checksums", lambda: self._checksums(scratch))
        else:
            yield self._tried(f"copy {below}", lambda: self._copy(scratch), denied=_TO_WRITE)

    def _tried(
        self, check: str, work: Callable[[], str], *, denied: tuple[Level, str] | None = None
    ) -> Finding:
        try:
            return Finding(check, Level.OK, work())
        except _Strange as error:
            return Finding(check, error.level, error.found, error.remedy)
        except VersionedStorageError as error:
            if denied is not None and is_denied(error):
                level, remedy = denied
                return Finding(check, level, "access denied", remedy)
            return Finding(check, Level.FAILURE, str(error))

    def _list(self, below: str) -> str:
        next(self.origin.list(f"{below}.doctor"), None)
        return "allowed"

    def _delete(self, *paths: str) -> str:
        for _ in self.origin.delete(paths):
            pass
        return "allowed"

    def _write(self, path: str) -> str:
        if self.origin.put(path, _SCRATCH, **record.HEADERS) is None:
            self._overwrite(path)
        return "allowed"

    def _overwrite(self, path: str) -> None:
        there = self.origin.find(path)
        etag = there.etag if there else None
        if self.origin.put(path, _SCRATCH, replacing=etag, **record.HEADERS) is None:
            found = f"{self.origin.url(path)} with the ETag {etag} was not replaced on If-Match"
            raise _Strange(found, _OTHER_STORE)

    def _read(self, path: str) -> str:
        stored = self.origin.get(path)
        if stored is None or stored.data != _SCRATCH:
            found = f"{self.origin.url(path)} is not what was written there a moment ago"
            raise _Strange(found, "Use a store with read-after-write consistency, as S3 has it.")
        return "allowed"

    def _copy(self, path: str) -> str:
        found = self.origin.find(path)
        etag, sha256 = (found.etag, found.sha256 or "") if found else ("", "")
        if not self.origin.copy(path, f"{path}-copy", etag=etag, sha256=sha256):
            said = f"{self.origin.url(path)} was not copied, though it has the ETag {etag!r}"
            raise _Strange(said, "Set the option base_build to False: nothing is copied then.")
        return "allowed"

    def _conditions(self, path: str) -> str:
        if not self.origin.conditional:
            found = "the option conditional_writes is False, so they were not tried"
            remedy = "See to it that only one process publishes or prunes at a time."
            raise _Strange(found, remedy, Level.WARNING)
        for said, etag in (
            ("If-None-Match: *", None),
            ("If-Match with another ETag", f'"{uuid4().hex}"'),
        ):
            if self.origin.put(path, _SCRATCH, replacing=etag, **record.HEADERS) is not None:
                ignored = f"{said} was ignored"
                raise _Strange(ignored, _OTHER_STORE)
        self._overwrite(path)
        return "If-None-Match and If-Match are honoured"

    def _checksums(self, path: str) -> str:
        found = self.origin.find(path)
        if found is None or not found.checked:
            remedy = "To be sure of the objects, staticbuilds verify has to read them: add --deep."
            raise _Strange(NOT_AVAILABLE, remedy, Level.UNKNOWN)
        return "S3 keeps a sha256 of what it stores"


class _Strange(Exception):
    """No error of S3: it said yes and did not do it."""

    def __init__(self, found: str, remedy: str, level: Level = Level.FAILURE) -> None:
        self.found = found
        self.remedy = remedy
        self.level = level
        super().__init__(found)


_OTHER_STORE = (
    "Without conditional writes two deploys at once can mix two builds. Use a store that has them, "
    "or set the option conditional_writes to False and publish from one process at a time."
)
_TO_LIST = (Level.WARNING, "Grant s3:ListBucket on the bucket: publish resumes and copies with it.")
_TO_WRITE = (Level.FAILURE, "Grant s3:PutObject and s3:GetObject there to who publishes.")
_TO_READ = (Level.FAILURE, "Grant s3:GetObject there.")
_TO_DELETE = (
    Level.WARNING,
    "Only a prune deletes: grant s3:DeleteObject there to who prunes. The scratch key stays there.",
)
_TO_DELETE_RECORDS = (
    Level.UNKNOWN,
    "Nobody needs to, because the records of pruned builds stay. So does the scratch key.",
)
