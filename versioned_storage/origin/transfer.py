"""Carries out the plan of a publish: uploads or copies each object, and reads each response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from threading import Event, Thread

from ..errors import VersionedStorageError
from ..progress import track
from ..text import lines_text
from .lease import Lease, LeaseLost, clocks
from .objects import CopyResult, LocalBuild, StoredObject, UploadBody
from .plan import Action, CopySource, PublishPlan, Step, headers, matches, metadata
from .s3 import S3Origin
from .shared_objects import HEADERS_OF, SharedObjectDiffers, has_bytes_of

# Attempts to write an object that another process writes too.
_ATTEMPTS = 5
#: Seconds between two checks of the threads and the lease. A thread that is woken for each object
#: would compete with them for the GIL.
LOOK = 0.05


class PublishFailed(VersionedStorageError):
    """Objects did not get to S3; the build is not published."""

    def __init__(
        self, build: str, failures: Sequence[VersionedStorageError | OSError], total: int
    ) -> None:
        self.build = build
        self.failures = tuple(failures)
        self.total = total
        super().__init__(
            f"Build {build} is not published: {len(self.failures)} of its {total} objects failed, "
            f"and the upload was stopped.\n{lines_text(self.failures)}\nNo page refers to this "
            "build yet, and the published ones are as they were. Correct the cause and run the "
            "same command again: it goes on with what is left."
        )


class Contended(VersionedStorageError):
    """An object changes each time it is read."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"Another process wrote {url} {_ATTEMPTS} times while it was being published. Only "
            "this package may write below the prefix of a build."
        )


class DamagedObject(VersionedStorageError):
    """An object has other bytes than its metadata says."""

    def __init__(self, url: str, sha256: str, expected: str) -> None:
        self.url = url
        self.sha256 = sha256
        self.expected = expected
        super().__init__(
            f"{url} has the sha256 {sha256}, and its metadata says {expected}. Delete the object "
            "and run the same command again."
        )


class PublishedMeanwhile(Exception):
    """No error: another process finished the same build."""


class Stopped(BaseException):
    """The transfer was stopped from outside before it was complete."""


@dataclass(frozen=True)
class TransferredObject:
    """An object that S3 has now, and what was done for it; ``size`` in bytes."""

    step: Step
    action: Action
    size: int
    etag: str
    sha256: str


@dataclass
class Transfer:
    """Carries out the plan of one build.

    The lease is checked before each attempt of a request that writes. An object is overwritten
    only if the lease was renewed after the object was last read: otherwise it may be of the next
    holder of an abandoned lease, or of a build that is published by now.
    ``stop`` ends the transfer from another thread. ``damaged`` collects the URLs of objects whose
    copies had other bytes than recorded, ``mended`` those of shared objects that have other headers
    now.
    """

    origin: S3Origin
    build: LocalBuild
    lease: Lease
    stop: Event = field(default_factory=Event)
    damaged: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    _planned: tuple[float, ...] = field(default_factory=clocks)

    def run(self, plan: PublishPlan) -> Iterator[TransferredObject]:
        """Yield each object once S3 has it; the one under an original name follows the hashed one.

        After the first failure no object is started, and the running requests are waited for.
        Raises `PublishFailed`, `LeaseLost`, `PublishedMeanwhile`, `Stopped`.
        """
        self._planned = clocks()
        objects, total = self._objects(plan), len(plan.steps)
        yield from track(objects, total=total, doing="Publishing", unit="objects")

    def _objects(self, plan: PublishPlan) -> Iterator[TransferredObject]:
        originals = {step.file.source: step for step in plan.originals}
        failures: list[BaseException] = []
        results: SimpleQueue[TransferredObject] = SimpleQueue()
        # All threads take from this one; a tuple's iterator gives each step once.
        work = partial(self._work, iter(plan.hashed), originals, results, failures)
        # Daemons, because an interrupted process must not wait for what S3 does not answer.
        number = min(self.origin.connections, len(plan.hashed))
        threads = [Thread(target=work, daemon=True) for _ in range(number)]
        self._keep_lease()
        for thread in threads:
            thread.start()
        try:
            yield from self._watch(threads, results)
        except BaseException as error:
            self.stop.set()
            if isinstance(error, Exception):
                for thread in threads:
                    thread.join()
            raise
        self._raise(failures, len(plan.steps))
        if self.stop.is_set():
            # Some steps were never made, so nobody may commit the build.
            raise Stopped

    def _work(
        self,
        remaining: Iterator[Step],
        originals: Mapping[str, Step],
        results: SimpleQueue[TransferredObject],
        failures: list[BaseException],
    ) -> None:
        for step in remaining:
            if self.stop.is_set():
                return
            try:
                transferred = self._bring(step)
                results.put(transferred)
                original = originals.get(step.file.source)
                if original is not None:
                    results.put(self._bring_original(original, transferred))
            except (Stopped, CancelledError):
                # The file is not going to be made.
                self.stop.set()
                return
            except BaseException as error:  # noqa: BLE001  # raised by the main thread
                failures.append(error)
                self.stop.set()

    def _watch(
        self, threads: Iterable[Thread], results: SimpleQueue[TransferredObject]
    ) -> Iterator[TransferredObject]:
        """Yield the results until all threads have ended, and keep the lease meanwhile."""
        for thread in threads:
            while thread.is_alive():
                thread.join(LOOK)
                self._keep_lease()
                while not results.empty():
                    yield results.get()
        while not results.empty():
            yield results.get()

    def _raise(self, failures: Sequence[BaseException], total: int) -> None:
        expected = [
            error for error in failures if isinstance(error, (VersionedStorageError, OSError))
        ]
        for error in failures:
            if error not in expected or isinstance(error, LeaseLost):
                raise error
        if expected:
            raise PublishFailed(str(self.build.manifest.build), expected, total)

    def _keep_lease(self) -> None:
        if not self.lease.renew_if_due():
            raise PublishedMeanwhile

    def _before_attempt(self) -> None:
        if self.stop.is_set():
            raise Stopped
        self.lease.check()

    def _before_overwriting(self, step: Step, stored: StoredObject | CopyResult | None) -> None:
        """Renew the lease, unless it was renewed since the object was read."""
        if isinstance(stored, StoredObject):
            seen = self._planned if stored is step.stored else clocks()
            if not self.lease.renew(unless_since=seen):
                raise PublishedMeanwhile

    def _bring(self, step: Step) -> TransferredObject:
        """Bring an object under its hashed name to S3."""
        if step.action is Action.SKIP and step.stored is not None:
            return _skipped(step, step.stored)
        if step.file.is_shared:
            return self._bring_shared(step)
        if step.action is Action.COPY and step.source is not None:
            return self._bring_copy(step, step.source)
        return self._upload(step, step.stored)

    def _bring_copy(self, step: Step, source: CopySource) -> TransferredObject:
        copied = self._copy(step, source.path, source.etag, source.sha256, step.stored)
        if copied is None:
            # The base build is being pruned, or another publisher of this build was faster.
            stored = self.origin.find(step.path)
            if stored is not None and self._matches(stored, step, source.sha256):
                return _skipped(step, stored)
            return self._upload(step, step.stored)
        if copied.sha256 not in (None, source.sha256):
            self.damaged.append(self.origin.url(source.path))
            return self._upload(step, copied)
        return TransferredObject(step, Action.COPY, source.size, copied.etag, source.sha256)

    def _bring_shared(self, step: Step) -> TransferredObject:
        """Bring an object to S3 that other builds may have too: its bytes never change."""
        stored = step.stored
        for _ in range(_ATTEMPTS):
            if stored is None:
                body = self.build.body(step.file)
                etag = self._put(step, body, None)
                if etag is not None:
                    return TransferredObject(step, Action.UPLOAD, body.size, etag, body.sha256)
            else:
                if not has_bytes_of(step.file, stored, partial(self.build.sha256, step.file)):
                    url = self.origin.url(step.path)
                    raise SharedObjectDiffers(url, step.file.asset.name, stored.sha256)
                if step.action is not Action.COPY and stored.headers == headers(step.file):
                    return _skipped(step, stored)
                copied = self._write_again(step, stored)
                if copied is not None:
                    return copied
            # Another publisher was faster, or the first attempt's response was lost.
            stored = self.origin.find(step.path)
        raise Contended(self.origin.url(step.path))

    def _write_again(self, step: Step, stored: StoredObject) -> TransferredObject | None:
        """Copy a shared object onto itself, with the headers of this build."""
        metadata_of = {name: value for name, value in stored.metadata.items() if name != "sha256"}
        other_headers = stored.headers != headers(step.file)
        if other_headers:
            # For `verify`, whose builds have other headers in their records.
            metadata_of[HEADERS_OF] = str(self.build.manifest.build)
        sha256 = str(stored.sha256)
        copied = self._copy(step, step.path, stored.etag, sha256, stored, metadata_of)
        if copied is None:
            return None
        url = self.origin.url(step.path)
        if copied.sha256 not in (None, sha256):
            raise DamagedObject(url, str(copied.sha256), sha256)
        if other_headers:
            self.mended.append(url)
        return TransferredObject(step, Action.COPY, stored.size, copied.etag, sha256)

    def _bring_original(self, step: Step, hashed: TransferredObject) -> TransferredObject:
        """Bring an object under its original name to S3, with the bytes of the hashed one."""
        stored = step.stored
        for _ in range(_ATTEMPTS):
            if stored is not None and _is_same(stored, step, hashed):
                return _skipped(step, stored)
            if hashed.action is Action.UPLOAD:
                # S3 checks the sha256, so a file that has changed since is refused.
                body = UploadBody.of(self.build.directory.path(step.file.source), hashed.sha256)
                etag = self._put(step, body, stored)
            else:
                copied = self._copy(step, hashed.step.path, hashed.etag, hashed.sha256, stored)
                if copied is not None and copied.sha256 not in (None, hashed.sha256):
                    url = self.origin.url(hashed.step.path)
                    raise DamagedObject(url, str(copied.sha256), hashed.sha256)
                etag = _etag(copied)
                if etag is None and hashed.step.file.is_shared:
                    # Another publisher may have written it again, which can change its ETag.
                    source = self.origin.find(hashed.step.path)
                    if source is not None and source.sha256 == hashed.sha256:
                        hashed = replace(hashed, etag=source.etag)
            if etag is not None:
                action = Action.UPLOAD if hashed.action is Action.UPLOAD else Action.COPY
                return TransferredObject(step, action, hashed.size, etag, hashed.sha256)
            stored = self.origin.find(step.path)
        raise Contended(self.origin.url(step.path))

    def _upload(self, step: Step, replacing: StoredObject | CopyResult | None) -> TransferredObject:
        body = self.build.body(step.file)
        for _ in range(_ATTEMPTS):
            etag = self._put(step, body, replacing)
            if etag is not None:
                return TransferredObject(step, Action.UPLOAD, body.size, etag, body.sha256)
            # Another publisher of this build was faster, or the first attempt's response was lost.
            stored = self.origin.find(step.path)
            if stored is not None and self._matches(stored, step, body.sha256):
                return _skipped(step, stored)
            replacing = stored
        raise Contended(self.origin.url(step.path))

    def _matches(self, stored: StoredObject, step: Step, sha256: str) -> bool:
        return matches(stored, step.file, lambda: sha256, self.build.manifest)

    def _put(
        self, step: Step, body: UploadBody, stored: StoredObject | CopyResult | None
    ) -> str | None:
        self._before_overwriting(step, stored)
        return self.origin.put_file(
            step.path,
            body,
            replacing=_etag(stored),
            metadata=metadata(step.file, self.build.manifest),
            before_attempt=self._before_attempt,
            **headers(step.file),
        )

    def _copy(
        self,
        step: Step,
        source: str,
        etag: str,
        sha256: str,
        stored: StoredObject | None,
        metadata_of: Mapping[str, str] | None = None,
    ) -> CopyResult | None:
        self._before_overwriting(step, stored)
        return self.origin.copy(
            source,
            step.path,
            etag=etag,
            sha256=sha256,
            replacing=_etag(stored),
            metadata=metadata(step.file, self.build.manifest)
            if metadata_of is None
            else metadata_of,
            before_attempt=self._before_attempt,
            **headers(step.file),
        )


def _etag(stored: StoredObject | CopyResult | None) -> str | None:
    return stored.etag if stored is not None else None


def _skipped(step: Step, stored: StoredObject) -> TransferredObject:
    return TransferredObject(step, Action.SKIP, stored.size, stored.etag, stored.sha256 or "")


def _is_same(stored: StoredObject, step: Step, hashed: TransferredObject) -> bool:
    return stored.sha256 == hashed.sha256 and stored.headers == headers(step.file)
