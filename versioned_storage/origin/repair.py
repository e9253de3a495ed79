"""Repair restores the faulty objects of a published build, with the bytes that were published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..build.codecs import Decoding
from ..build.compression import ensure
from ..build.directory import BuildDirectory
from ..build.manifest import BuildFile, Manifest
from ..errors import VersionedStorageError
from ..progress import track
from .objects import LARGEST_COPY, StoredObject, UploadBody
from .plan import METADATA, headers, metadata
from .record import NotPublished
from .threads import map_in_threads
from .verification import CHUNK, FaultyObject, Repair, Verification, Verifier

_CHANGED = "was written by another process meanwhile: run the same command again"


class PrunedMeanwhile(VersionedStorageError):
    """The build was pruned while it was repaired."""

    def __init__(self, build: str, place: str, error: NotPublished) -> None:
        self.build = build
        self.place = place
        self.state = error.state
        super().__init__(
            f"{error} It was pruned while it was repaired, so restored objects may be left below "
            f"{place}. No page refers to them: delete them by hand, or publish the build again."
        )


@dataclass(frozen=True)
class Repairer:
    """Repairs the faulty objects of a verification.

    ``directory`` is the build directory, None where STATIC_ROOT is not set. Only bytes with the
    recorded sha256 are stored: a published build never changes, not even in its encodings. Those of
    shared assets are the exception, because several machines may have made them: any that decodes
    to the asset is stored.
    """

    verifier: Verifier
    directory: BuildDirectory | None = None

    def repair(self, verification: Verification) -> Verification:
        """Repair what can be repaired, verify it again, and return both results.

        Raises `PrunedMeanwhile`, `OriginError`, and OSError for a file that cannot be read.
        """
        if verification.ok:
            return verification
        origin = self.verifier.origin
        started, requests = time.monotonic(), origin.requests
        manifest = self.verifier.manifest(verification.build)
        faulty = verification.faulty
        repair = partial(self._repair, manifest=manifest)
        running = map_in_threads(repair, faulty, origin.connections)
        repairs = tuple(track(running, total=len(faulty), doing="Repairing", unit="objects"))
        checked = self.verifier.check_each((item.path, item.file) for item in faulty)
        still_faulty = tuple(item for _, _, item in checked if item is not None)
        try:
            self.verifier.manifest(verification.build)
        except NotPublished as error:
            raise PrunedMeanwhile(verification.build, verification.place, error) from error
        return replace(
            verification,
            faulty=still_faulty,
            repairs=repairs,
            requests=verification.requests + origin.requests - requests,
            seconds=verification.seconds + time.monotonic() - started,
        )

    def _repair(self, faulty: FaultyObject, manifest: Manifest) -> Repair:
        """Restore one object from the nearest place that has its bytes."""
        result = partial(Repair, faulty.url)
        if faulty.stored is not None and faulty.has_its_bytes:
            if self._copy(faulty, faulty.path, faulty.stored, manifest):
                return result("has its headers again", repaired=True)
            return result(_CHANGED, repaired=False)
        local = self._local(faulty.file)
        body = UploadBody.of(local) if local is not None else None
        if body is not None and _has_bytes_of(body, faulty.file):
            if self._put(faulty, body, manifest):
                return result("was restored from the build directory", repaired=True)
            return result(_CHANGED, repaired=False)
        for path, source in self._same_bytes(faulty):
            if self._copy(faulty, path, source, manifest):
                url = self.verifier.origin.url(path)
                return result(f"was copied from {url}", repaired=True)
        return result(self._why_not(faulty.file), repaired=False)

    def _put(self, faulty: FaultyObject, body: UploadBody, manifest: Manifest) -> bool:
        etag = self.verifier.origin.put_file(
            faulty.path,
            body,
            replacing=faulty.stored.etag if faulty.stored else None,
            metadata=metadata(faulty.file, manifest),
            **headers(faulty.file),
        )
        return etag is not None

    def _local(self, file: BuildFile) -> Path | None:
        """Return the file on this machine that has the bytes, if there is one or can be."""
        if self.directory is None:
            return None
        for name in (file.source, file.asset.hashed_name):
            if self.directory.path(name).is_file():
                return ensure(self.directory, file)
        return None

    def _same_bytes(self, faulty: FaultyObject) -> Iterator[tuple[str, StoredObject]]:
        """Yield the correct object under the asset's other name, which has the same bytes."""
        file = faulty.file
        # Deep, because the copy gets the recorded sha256, whatever bytes the source has.
        verifier = replace(self.verifier, deep=True)
        for name in (file.asset.path, file.asset.original_path):
            path = verifier.origin.prefix + name + file.suffix
            if path == faulty.path:
                continue
            stored = verifier.origin.find(path)
            other = verifier.check(path, file, stored)
            if stored is not None and (other is None or other.has_its_bytes):
                yield path, stored

    def _copy(
        self, faulty: FaultyObject, path: str, source: StoredObject, manifest: Manifest
    ) -> bool:
        file = faulty.file
        if source.size > LARGEST_COPY:
            return False
        copied = self.verifier.origin.copy(
            path,
            faulty.path,
            etag=source.etag,
            sha256=str(source.sha256 if file.may_be_of_another_encoder else file.sha256),
            replacing=faulty.stored.etag if faulty.stored else None,
            metadata={**metadata(file, manifest), **_encoding_metadata(source)},
            **headers(file),
        )
        return copied is not None

    def _why_not(self, file: BuildFile) -> str:
        if self.directory is None:
            return "cannot be repaired here: STATIC_ROOT is not set, so there is no build directory"
        name = self.directory.path(file.source)
        if not name.is_file():
            return f"cannot be repaired here: {name} is missing. Repair where the build was made"
        return (
            f"cannot be repaired here: {name} has other bytes than were published. Repair where "
            "the build was made, or publish under a new BUILD_VERSION"
        )


def _has_bytes_of(body: UploadBody, file: BuildFile) -> bool:
    if body.sha256 == file.sha256:
        return True
    if not file.may_be_of_another_encoder:
        return False
    decoding = Decoding(file.encoding)
    with body.file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            decoding.take(chunk)
    return decoding.integrity == file.asset.integrity


def _encoding_metadata(source: StoredObject) -> dict[str, str]:
    return {name: source.metadata[name] for name in METADATA if name in source.metadata}
