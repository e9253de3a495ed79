"""What is wrong of a published build is put right, with the very bytes that were published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..build.manifest import BuildFile, Manifest
from ..errors import VersionedStorageError
from ..progress import track
from .body import Body
from .plan import headers, metadata
from .record import NotPublished
from .s3 import LARGEST_COPY, Found
from .threads import map_in_threads
from .transfer import EnsureFile
from .verification import Repair, Verification, Wrong
from .verify import Verifier

_CHANGED = "was written by somebody else meanwhile: run the same command again"


class PrunedMeanwhile(VersionedStorageError):
    """While the build was repaired, somebody took it away."""

    def __init__(self, build: str, place: str, error: NotPublished) -> None:
        self.build = build
        self.place = place
        self.state = error.state
        super().__init__(
            f"{error} It was pruned while it was repaired: of what was put back something may be "
            f"left below {place}. No page refers to it; delete it by hand, or publish the build "
            "again."
        )


@dataclass(frozen=True)
class Repairer:
    """Repairs what a verification found.

    ``directory`` is where the build is on this machine, None where that is nowhere; ``ensure_file``
    makes an encoding there that it lacks. No byte is stored that has not the recorded sha256: a
    published build never changes, not in its encodings either.
    """

    verifier: Verifier
    directory: Path | None = None
    ensure_file: EnsureFile | None = None

    def repair(self, verification: Verification) -> Verification:
        """Put right what can be, verify it again, and say what was done and what is left.

        Raises `PrunedMeanwhile`, `OriginError`, and OSError for a file that cannot be read.
        """
        if verification.ok:
            return verification
        origin = self.verifier.origin
        started, asked = time.monotonic(), origin.requests
        manifest = self.verifier.published(verification.build)
        wrong = verification.wrong

        mend = partial(self._mend, manifest=manifest)
        mended = map_in_threads(mend, wrong, self.verifier.connections)
        repairs = tuple(track(mended, total=len(wrong), doing="Repairing", unit="objects"))
        again = self.verifier.check_each((one.path, one.file) for one in wrong)
        still_wrong = tuple(one for _, one in again if one is not None)
        try:
            self.verifier.published(verification.build)
        except NotPublished as error:
            raise PrunedMeanwhile(verification.build, verification.place, error) from error
        return replace(
            verification,
            wrong=still_wrong,
            repairs=repairs,
            requests=verification.requests + origin.requests - asked,
            seconds=verification.seconds + time.monotonic() - started,
        )

    def _mend(self, wrong: Wrong, manifest: Manifest) -> Repair:
        """Put one object right, from the nearest place that has its bytes."""
        repaired = partial(Repair, wrong.url)
        if wrong.found is not None and wrong.has_its_bytes:
            if self._copy(wrong, wrong.path, wrong.found, manifest):
                return repaired("has its headers again", done=True)
            return repaired(_CHANGED, done=False)
        local = self._local(wrong.file)
        body = Body.of(local) if local is not None else None
        if body is not None and body.sha256 == wrong.file.variant.sha256:
            if self._put(wrong, body, manifest):
                return repaired("was put back from the build directory", done=True)
            return repaired(_CHANGED, done=False)
        for path, source in self._other_names(wrong):
            if self._copy(wrong, path, source, manifest):
                url = self.verifier.origin.url(path)
                return repaired(f"was copied from {url}", done=True)
        return repaired(self._why_not(wrong.file), done=False)

    def _put(self, wrong: Wrong, body: Body, manifest: Manifest) -> bool:
        etag = self.verifier.origin.put_file(
            wrong.path,
            body,
            replacing=wrong.found.etag if wrong.found else None,
            metadata=metadata(wrong.file, manifest),
            **headers(wrong.file),
        )
        return etag is not None

    def _local(self, file: BuildFile) -> Path | None:
        """Where the bytes of a file are on this machine, if they are or can be made."""
        if self.directory is None:
            return None
        local = self.directory / file.source
        identity = self.directory / file.asset.hashed_name
        if not local.is_file() and identity.is_file() and self.ensure_file is not None:
            self.ensure_file(file)
        return local if local.is_file() else None

    def _other_names(self, wrong: Wrong) -> Iterator[tuple[str, Found]]:
        """Where S3 has the same bytes, right, under the asset's other name."""
        file = wrong.file
        # Read, because the copy is told the recorded sha256, whatever the source has.
        reader = replace(self.verifier, deep=True)
        for name in (file.asset.path, file.asset.original_path):
            path = reader.prefix + name + file.variant.suffix
            if path == wrong.path:
                continue
            found, fault = reader.check(path, file, reader.origin.find(path))
            if found is not None and (fault is None or fault.has_its_bytes):
                yield path, found

    def _copy(self, wrong: Wrong, path: str, source: Found, manifest: Manifest) -> bool:
        file = wrong.file
        if source.size > LARGEST_COPY:
            return False
        copied = self.verifier.origin.copy(
            path,
            wrong.path,
            etag=source.etag,
            sha256=str(file.variant.sha256),
            replacing=wrong.found.etag if wrong.found else None,
            metadata=metadata(file, manifest),
            **headers(file),
        )
        return copied is not None

    def _why_not(self, file: BuildFile) -> str:
        if self.directory is None:
            return "cannot be repaired here: STATIC_ROOT is not set, so there is no build directory"
        name = self.directory / file.source
        if not name.is_file():
            return f"cannot be repaired here: there is no {name}. Repair where the build was made"
        return (
            f"cannot be repaired here: {name} has other bytes than were published. Repair where "
            "the build was made, or publish under a new BUILD_VERSION"
        )
