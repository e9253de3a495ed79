"""The doctor tries on scratch keys what a publish, a prune and a page need.

It tries each permission where it is needed: below ``builds/``, where records are, and below the
STATIC_URL path, where builds are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any
from uuid import uuid4

from ..errors import Fault, VersionedStorageError
from . import record
from .s3 import S3Origin
from .s3_errors import DENIED, PERMISSIONS, NotDeleted, OriginError
from .shared_objects import Stage, read_sweep

#: S3 refuses a request whose time differs by more than this from its own.
REFUSED_SKEW = timedelta(minutes=15)
_WARNING_SKEW = timedelta(minutes=1)

#: The finding where a store lacks a feature that is not required.
NOT_AVAILABLE = "not available here"

_SCRATCH = b"Written by 'manage.py staticbuilds doctor'. Nobody needs it.\n"


class Level(str, Enum):
    """The severity of a finding; ``UNKNOWN`` where the check could not be made."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """The result of one check: its fault, or a text that says what passed."""

    check: str
    level: Level
    result: str | Fault

    @classmethod
    def of_fault(cls, level: Level, fault: Fault) -> Finding:
        """Return the finding of a check that is named by ``fault.what``."""
        return cls(fault.what, level, fault)

    @property
    def found(self) -> str:
        """What was found, for people."""
        return self.result.found if isinstance(self.result, Fault) else self.result

    @property
    def remedy(self) -> str:
        """The line that mends a fault; empty where there is none."""
        return self.result.remedy if isinstance(self.result, Fault) else ""


class CheckFailed(Exception):
    """The store accepted a request and did not do what it asks; or a check could not be made."""

    def __init__(
        self, found: str, expected: str, remedy: str, level: Level = Level.FAILURE
    ) -> None:
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.level = level
        super().__init__(found)

    def finding(self, check: str) -> Finding:
        """Return the finding of a check that raised this."""
        return Finding.of_fault(self.level, Fault(check, self.found, self.expected, self.remedy))


@dataclass(frozen=True)
class Doctor:
    """Examines the bucket of one site. Nothing that S3 answers is raised: it becomes a finding.

    ``shared_prefix`` is where the site keeps shared assets, empty if it has none.
    """

    origin: S3Origin
    shared_prefix: str = ""

    def examine(self) -> Iterator[Finding]:
        """Yield a finding for each check; only scratch keys are written."""
        bucket = self._bucket()
        yield bucket
        if bucket.level is Level.FAILURE:
            return
        yield self._clock()
        yield from self._permissions(record.PREFIX)
        yield from self._permissions(self.origin.prefix)
        if self.shared_prefix:
            yield self._try("shared assets", self._sweep, denied=_TO_READ_SWEEP)
        yield from _privacy(self.origin)

    def _bucket(self) -> Finding:
        url = self.origin.url("")
        try:
            self.origin.get(f"{record.PREFIX}.doctor-{uuid4().hex}")
        except VersionedStorageError as error:
            if not is_denied(error):
                return Finding("bucket", Level.FAILURE, str(error))
            remedy = (
                "Grant s3:ListBucket on the bucket, so that S3 answers 404: otherwise a missing "
                "key looks like a forbidden one."
            )
            fault = Fault("bucket", f"{url} answers 403 for a missing key", "404", remedy)
            return Finding.of_fault(Level.WARNING, fault)
        return Finding("bucket", Level.OK, f"{url} accepts these credentials")

    def _clock(self) -> Finding:
        skew = self.origin.now() - datetime.now(timezone.utc)
        seconds = round(abs(skew.total_seconds()))
        found = f"this machine's is {seconds} s {'behind' if skew > timedelta(0) else 'ahead'}"
        remedy = "Set it, and keep it set (NTP): S3 refuses requests from 15 minutes on."
        fault = Fault("clock", found, "S3's time", remedy)
        if abs(skew) >= REFUSED_SKEW:
            return Finding.of_fault(Level.FAILURE, fault)
        if abs(skew) >= _WARNING_SKEW:
            return Finding.of_fault(Level.WARNING, fault)
        return Finding("clock", Level.OK, "this machine's and S3's agree to a minute")

    def _permissions(self, prefix: str) -> list[Finding]:
        lists_shared = bool(self.shared_prefix) and prefix == self.origin.prefix
        to_list = _TO_LIST_SHARED if lists_shared else _TO_LIST
        listing = self._try(f"list {prefix}", lambda: self._list(prefix), denied=to_list)
        # Deleting a missing key needs the same permission: it is tried before anything is written.
        scratch = f"{prefix}.doctor-{uuid4().hex}"
        denied = _TO_DELETE_RECORDS if prefix == record.PREFIX else _TO_DELETE
        deleting = self._try(f"delete {prefix}", lambda: self._delete(scratch), denied=denied)
        if deleting.level is not Level.OK:
            # The key stays, so every run uses the same.
            scratch = f"{prefix}.doctor"
        try:
            findings = list(self._on_scratch(scratch, prefix))
        finally:
            if deleting.level is Level.OK:
                keys = (scratch, f"{scratch}-copy")
                deleting = self._try(f"delete {prefix}", lambda: self._delete(*keys), denied=denied)
        return [listing, *findings, deleting]

    def _on_scratch(self, scratch: str, prefix: str) -> Iterator[Finding]:
        write = self._try(f"write {prefix}", lambda: self._write(scratch), denied=_TO_WRITE)
        yield write
        if write.level is not Level.OK:
            return
        yield self._try(f"read {prefix}", lambda: self._read(scratch), denied=_TO_READ)
        if prefix == record.PREFIX:
            yield self._try("conditional writes", lambda: self._conditions(scratch))
            yield self._try("checksums", lambda: self._checksums(scratch))
        else:
            yield self._try(f"copy {prefix}", lambda: self._copy(scratch), denied=_TO_WRITE)

    def _try(
        self, check: str, work: Callable[[], str], *, denied: tuple[Level, str] | None = None
    ) -> Finding:
        try:
            return Finding(check, Level.OK, work())
        except CheckFailed as failed:
            return failed.finding(check)
        except VersionedStorageError as error:
            if denied is not None and is_denied(error):
                level, remedy = denied
                return Finding.of_fault(level, Fault(check, "access denied", "allowed", remedy))
            return Finding(check, Level.FAILURE, str(error))

    def _list(self, prefix: str) -> str:
        next(self.origin.list(f"{prefix}.doctor"), None)
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
        stored = self.origin.find(path)
        etag = stored.etag if stored else None
        if self.origin.put(path, _SCRATCH, replacing=etag, **record.HEADERS) is None:
            found = f"{self.origin.url(path)} with the ETag {etag} was not replaced on If-Match"
            raise CheckFailed(found, "a new ETag", _OTHER_STORE)

    def _read(self, path: str) -> str:
        stored = self.origin.get(path)
        if stored is None or stored.data != _SCRATCH:
            found = f"{self.origin.url(path)} has other bytes than were just written"
            remedy = "Use a store with read-after-write consistency, as S3 has it."
            raise CheckFailed(found, "the bytes that were just written", remedy)
        return "allowed"

    def _copy(self, path: str) -> str:
        stored = self.origin.find(path)
        etag, sha256 = (stored.etag, stored.sha256 or "") if stored else ("", "")
        copy = f"{path}-copy"
        # Where the last run could not delete it, it is replaced.
        previous = self.origin.find(copy)
        replacing = previous.etag if previous else None
        if not self.origin.copy(path, copy, etag=etag, sha256=sha256, replacing=replacing):
            found = f"{self.origin.url(path)} was not copied, though it has the ETag {etag!r}"
            remedy = "Set the option base_build to False: then nothing is copied."
            raise CheckFailed(found, "a copy", remedy)
        if not self.origin.conditional:
            return "allowed"
        again = self.origin.copy(path, copy, etag=etag, sha256=sha256)
        return f"allowed; its conditions are {'ignored' if again else 'honoured'}"

    def _sweep(self) -> str:
        """Return who deletes shared assets; a publish has to be able to read that."""
        sweep = read_sweep(self.origin)
        if sweep is None or sweep.stage is Stage.RELEASED:
            return "no prune of them is running"
        since = f"{sweep.since:%Y-%m-%d %H:%M:%S} UTC"
        if sweep.is_live(self.origin.now()):
            return f"pruned by {sweep.owner}, whose lease was renewed at {since}"
        found = f"the prune of {sweep.owner} died after {since}"
        raise CheckFailed(found, "a prune that ends", _TO_END_PRUNE, Level.WARNING)

    def _conditions(self, path: str) -> str:
        if not self.origin.conditional:
            found = "the option conditional_writes is False, so they were not tried"
            remedy = "Publish and prune from one process at a time."
            raise CheckFailed(found, "True", remedy, Level.WARNING)
        for condition, etag in (
            ("If-None-Match: *", None),
            ("If-Match with another ETag", f'"{uuid4().hex}"'),
        ):
            if self.origin.put(path, _SCRATCH, replacing=etag, **record.HEADERS) is not None:
                found = f"{condition} was ignored"
                raise CheckFailed(found, "412 Precondition Failed", _OTHER_STORE)
        self._overwrite(path)
        return "If-None-Match and If-Match are honoured"

    def _checksums(self, path: str) -> str:
        stored = self.origin.find(path)
        if stored is None or not stored.has_checksum:
            remedy = "Let staticbuilds verify download the objects: add --deep."
            raise CheckFailed(NOT_AVAILABLE, "a sha256 of each object", remedy, Level.UNKNOWN)
        return "S3 keeps a sha256 of each object"


def is_denied(error: VersionedStorageError) -> bool:
    """Return True if S3 refused for a lack of permission."""
    if isinstance(error, OriginError):
        return error.code in DENIED
    if isinstance(error, NotDeleted):
        return all(code in DENIED for _, code, _ in error.errors)
    return False


_OTHER_STORE = (
    "Without conditional writes two deploys at once can mix two builds. Use a store that has them, "
    "or set the option conditional_writes to False and publish from one process at a time."
)
_TO_END_PRUNE = "Run 'python manage.py staticbuilds prune': it deletes what is left of that."
_TO_LIST = (
    Level.WARNING,
    f"Grant {PERMISSIONS['ListObjectsV2']} on the bucket: publish resumes and copies with it.",
)
_TO_LIST_SHARED = (
    Level.FAILURE,
    f"Grant {PERMISSIONS['ListObjectsV2']} on the bucket: a publish of shared assets needs it.",
)
_TO_READ_SWEEP = (
    Level.FAILURE,
    "Grant s3:ListBucket on the bucket, and s3:GetObject below builds/.",
)
_TO_WRITE = (
    Level.FAILURE,
    f"Grant {PERMISSIONS['PutObject']} and {PERMISSIONS['GetObject']} there for publishing.",
)
_TO_READ = (Level.FAILURE, f"Grant {PERMISSIONS['GetObject']} there.")
_TO_DELETE = (
    Level.WARNING,
    f"Only a prune deletes: grant {PERMISSIONS['DeleteObjects']} there for it.",
)
_TO_DELETE_RECORDS = (
    Level.UNKNOWN,
    "Nobody needs to, because the records of pruned builds stay. So does the scratch key.",
)


# Codes of stores that know a bucket, but not these settings of AWS.
_UNKNOWN_TO_STORE = ("NotImplemented", "MethodNotAllowed", "InvalidRequest", "ResponseParserError")
_NOT_SET = ("NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError")


def _privacy(origin: S3Origin) -> Iterator[Finding]:
    """Yield a finding on Block Public Access and one on the ownership of objects."""
    yield _of_bucket(origin, "public access", "GetPublicAccessBlock", _public_access)
    yield _of_bucket(origin, "ownership", "GetBucketOwnershipControls", _ownership)


def _of_bucket(
    origin: S3Origin,
    check: str,
    operation: str,
    judge: Callable[[Mapping[str, Any]], Finding],
) -> Finding:
    try:
        return judge(origin.ask_of_bucket(operation))
    except OriginError as error:
        if is_denied(error):
            remedy = f"Grant {PERMISSIONS[operation]} to have it checked."
            fault = Fault(check, "could not look: access denied", "allowed", remedy)
            return Finding.of_fault(Level.UNKNOWN, fault)
        if error.code in _NOT_SET:
            return judge({})
        if error.code in _UNKNOWN_TO_STORE or error.status in (405, 501):
            return Finding(check, Level.UNKNOWN, NOT_AVAILABLE)
        return Finding(check, Level.WARNING, str(error))


def _public_access(response: Mapping[str, Any]) -> Finding:
    settings = response.get("PublicAccessBlockConfiguration", {})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    missing = [name for name in names if not settings.get(name)]
    if not missing:
        return Finding("public access", Level.OK, "blocked: only the CDN needs to read it")
    remedy = (
        "Let only the CDN read the bucket, and turn on 'Block all public access': records are in "
        "it too."
    )
    found = f"not blocked: {', '.join(missing)} not set"
    return Finding.of_fault(Level.WARNING, Fault("public access", found, "blocked", remedy))


def _ownership(response: Mapping[str, Any]) -> Finding:
    rules = response.get("OwnershipControls", {}).get("Rules", ())
    ownership = next((rule.get("ObjectOwnership") for rule in rules), None)
    if ownership == "BucketOwnerEnforced":
        return Finding("ownership", Level.OK, "BucketOwnerEnforced: ACLs are off")
    if ownership is None and response:
        # Ceph answers with something else; S3 answers with an error where nothing is set.
        return Finding("ownership", Level.UNKNOWN, NOT_AVAILABLE)
    remedy = (
        "Set ObjectOwnership to BucketOwnerEnforced: an ACL can make an object public, and an "
        "object that another account owns is not the bucket's to serve."
    )
    found = f"{ownership or 'not set'}: ACLs are on"
    return Finding.of_fault(Level.WARNING, Fault("ownership", found, "BucketOwnerEnforced", remedy))
