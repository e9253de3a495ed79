"""What becomes an object: a file, read once when it is small."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

#: Files up to this size, in bytes, are held in memory; larger ones are read again to be sent.
IN_MEMORY = 1 << 18


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
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= IN_MEMORY:
                data = stream.read()
                digest.update(data)
                return cls(file, len(data), sha256 or digest.hexdigest(), data)
            while sha256 is None and (chunk := stream.read(1 << 20)):
                digest.update(chunk)
        return cls(file, size, sha256 or digest.hexdigest())
