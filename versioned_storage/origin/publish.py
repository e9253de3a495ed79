"""A build on disk becomes a build on S3: every object first, the record last."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..build.manifest import BuildFile, Differences, Manifest, differences
from ..errors import VersionedStorageError
from ..progress import bytes_text, count_text, track
from . import record
from .s3 import OriginError, S3Origin

#: Ten years, as WhiteNoise has it: what is under a build prefix never changes.
CACHE_CONTROL = "max-age=315360000, public, immutable"


class BuildIsPublished(VersionedStorageError):
    """Another content is published under this build version."""

    def __init__(self, build: str, url: str, differ: Differences) -> None:
        self.build = build
        self.url = url
        self.differences = differ
        super().__init__(
            f"Build {build} is published at {url} with other content. Against it, this build has\n"
            f"{differ}\nA published build never changes, because caches keep its URLs for years: "
            "set a new BUILD_VERSION and run collectstatic again."
        )


class PublishFailed(VersionedStorageError):
    """Objects did not get to S3; the build is not published."""

    def __init__(self, build: str, failures: Sequence[OriginError | OSError], total: int) -> None:
        self.build = build
        self.failures = tuple(failures)
        self.total = total
        listed = "\n".join(f"  {failure}" for failure in self.failures[:10])
        more = f"\n  and {len(self.failures) - 10} more" if len(self.failures) > 10 else ""
        super().__init__(
            f"Build {build} is not published: {len(self.failures)} of its {total} objects failed, "
            f"and the upload was stopped.\n{listed}{more}\nNo page refers to this build yet, and "
            "the published ones are as they were. Run the same command again when it is mended."
        )


class Unsettled(VersionedStorageError):
    """The store contradicts itself about a record."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"S3 refused to create {url} because it is there, and then said that it is not. "
            "Another process may be writing it: run the same command again."
        )


@dataclass(frozen=True)
class Upload:
    """One object to be: its key's path, the file with its bytes, its headers."""

    path: str
    file: Path
    size: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """All that a publish will upload, the largest first."""

    build: str
    uploads: tuple[Upload, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(upload.size for upload in self.uploads)


@dataclass(frozen=True)
class Published:
    """What a publish did; nothing was uploaded when the very same build was there."""

    build: str
    place: str
    uploaded: int
    size: int
    seconds: float

    def __str__(self) -> str:
        """One line for whoever runs the deploy."""
        if not self.uploaded:
            return f"Build {self.build} is published at {self.place} already: nothing to upload"
        return (
            f"Published build {self.build} to {self.place}: "
            f"{count_text(self.uploaded, 'object')} uploaded, {bytes_text(self.size)}, "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True)
class Publisher:
    """Publishes builds of one site; ``prefix`` is the STATIC_URL path without its first slash."""

    origin: S3Origin
    prefix: str
    connections: int

    def check(self, build: str) -> None:
        """Ask S3 for the record, so that what cannot work is known before a long build.

        Raises `OriginError`. Access denied is none: without permission to list the bucket S3 says
        it of every key that is not there.
        """
        with _without_permission_to_look():
            record.read(self.origin, build)

    def publish(self, manifest: Manifest, directory: Path) -> Published:
        """Upload the build in ``directory`` and then its record.

        Raises `BuildIsPublished` when another content has that build version, `PublishFailed` when
        objects do not get there, `OriginError` when the record does not.
        """
        started = time.monotonic()
        build = str(manifest.build)
        place = self.origin.url(f"{self.prefix}{build}/")
        with _without_permission_to_look():
            if self._is_published(manifest):
                return Published(build, place, 0, 0, 0.0)
        planned = plan(manifest, directory, self.prefix)
        for _ in track(
            self._upload(planned), total=len(planned.uploads), doing="Publishing", unit="objects"
        ):
            pass
        self._commit(manifest)
        seconds = time.monotonic() - started
        return Published(build, place, len(planned.uploads), planned.size, seconds)

    def _is_published(self, manifest: Manifest) -> bool:
        """Say whether this very build is there. Raises `BuildIsPublished` if another one is."""
        build = str(manifest.build)
        found = record.read(self.origin, build)
        if found is None:
            return False
        if found.manifest.content != manifest.content:
            url = self.origin.url(record.path(build))
            raise BuildIsPublished(build, url, differences(found.manifest, manifest))
        return True

    def _upload(self, planned: Plan) -> Iterator[Upload]:
        """Yield each object once S3 has it.

        After the first failure nothing new is begun, and what is under way is waited for.
        """
        failures: list[OriginError | OSError] = []
        threads = min(self.connections, len(planned.uploads)) or 1
        with ThreadPoolExecutor(threads) as pool:
            futures: dict[Future[int], Upload] = {
                pool.submit(self.origin.put_file, one.path, one.file, **one.headers): one
                for one in planned.uploads
            }
            try:
                for future in as_completed(futures):
                    if future.cancelled():
                        continue
                    try:
                        future.result()
                    except (OriginError, OSError) as error:
                        failures.append(error)
                        _cancel(futures)
                    else:
                        yield futures[future]
            finally:
                _cancel(futures)
        if failures:
            raise PublishFailed(planned.build, failures, len(planned.uploads))

    def _commit(self, manifest: Manifest) -> None:
        build = str(manifest.build)
        made = record.create(self.origin, build, record.Record(manifest))
        if not made and not self._is_published(manifest):
            raise Unsettled(self.origin.url(record.path(build)))


def plan(manifest: Manifest, directory: Path, prefix: str) -> Plan:
    """What there is to upload of the build in ``directory``; ``prefix`` is the STATIC_URL path."""
    uploads = [
        Upload(
            path=f"{prefix}{file.path}",
            file=directory / file.source,
            size=file.variant.size,
            headers=_headers(file),
        )
        for file in manifest.files()
    ]
    uploads.sort(key=lambda upload: (-upload.size, upload.path))
    return Plan(str(manifest.build), tuple(uploads))


@contextmanager
def _without_permission_to_look() -> Iterator[None]:
    """Go on where S3 denies to say whether there is a record: the commit is conditional anyway."""
    try:
        yield
    except OriginError as error:
        if error.code != "AccessDenied":
            raise


def _headers(file: BuildFile) -> dict[str, str]:
    headers = {"ContentType": file.asset.content_type, "CacheControl": CACHE_CONTROL}
    if file.variant.encoding is not None:
        headers["ContentEncoding"] = file.variant.encoding
    return headers


def _cancel(futures: dict[Future[int], Upload]) -> None:
    for future in futures:
        future.cancel()
