"""S3 objects: the bytes to upload, and what the responses to GET, HEAD, LIST and copy say."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from ..build.compression import ensure
from ..build.directory import BuildDirectory
from ..build.manifest import BuildFile, Manifest
from ..errors import VersionedStorageError

#: Files up to this size, in bytes, are held in memory; larger ones are read again to be sent.
IN_MEMORY = 1 << 18
#: The largest object that S3 copies in one request, in bytes.
LARGEST_COPY = 5 * 1024**3

_CHUNK = 1 << 20


class FileChanged(VersionedStorageError):
    """A file has other bytes than when its sha256 was computed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(
            f"{file} has changed since it was read. Run collectstatic again, and let no other "
            "process write to STATIC_ROOT meanwhile."
        )


@dataclass(frozen=True)
class UploadBody:
    """The bytes of a file: their number, their sha256 in hex, and themselves if they are few."""

    file: Path
    size: int
    sha256: str
    data: bytes | None = None

    @classmethod
    def of(cls, file: Path, sha256: str | None = None) -> UploadBody:
        """Read a file, whose ``sha256`` may be known already. Raises OSError."""
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= IN_MEMORY:
                data = stream.read()
                return cls(file, len(data), sha256 or hashlib.sha256(data).hexdigest(), data)
            return cls(file, size, sha256 or _sha256(stream))

    @contextmanager
    def open(self) -> Iterator[bytes | BinaryIO]:
        """Yield the bytes, or the file at its beginning. Raises `FileChanged`.

        boto3 signs the bytes that a file has when it is sent, so these are checked here: stores
        without checksums would accept others.
        """
        if self.data is not None:
            yield self.data
            return
        with self.file.open("rb") as stream:
            if _sha256(stream) != self.sha256:
                raise FileChanged(self.file)
            stream.seek(0)
            yield stream


@dataclass(frozen=True)
class LocalBuild:
    """A build on this disk, complete or with encodings that are being made.

    ``wait_for`` returns once a file is made. Until then its size in ``manifest`` is an estimate.
    """

    manifest: Manifest
    directory: BuildDirectory
    wait_for: Callable[[BuildFile], None] = lambda _: None

    def body(self, file: BuildFile) -> UploadBody:
        """Return the bytes of a file, which is made if this disk does not have it."""
        self.wait_for(file)
        return UploadBody.of(ensure(self.directory, file))

    def sha256(self, file: BuildFile) -> str | None:
        """Return the sha256 of a file in hex; None if this disk does not have it."""
        self.wait_for(file)
        path = self.directory.path(file.source)
        return UploadBody.of(path).sha256 if path.is_file() else None


@dataclass(frozen=True)
class ObjectContent:
    """The content of an object, or its first bytes."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing; ``path`` is below the location, ``size`` in bytes.

    ``version`` is set in a listing of versions only: the VersionId to delete the object by, None in
    a bucket without versions. ``is_current`` is False for a version that another one has replaced.
    """

    path: str
    size: int
    etag: str
    modified: datetime
    version: str | None = None
    is_current: bool = True


@dataclass(frozen=True)
class StoredObject:
    """What S3 says of an object; ``size`` in bytes.

    ``sha256``, in hex, is what S3 computed if ``has_checksum``, otherwise what the publisher put
    into the metadata. ``headers`` are the parameters of the object that a publish sets.
    """

    size: int
    etag: str
    sha256: str | None
    has_checksum: bool
    headers: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class CopyResult:
    """A copy inside S3; ``sha256``, in hex, is what S3 computed, None if the store does not."""

    etag: str
    sha256: str | None


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
