"""What becomes an object: a file, read once when it is small."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

#: Files up to this size, in bytes, are held in memory; larger ones are read again to be sent.
IN_MEMORY = 1 << 18


@dataclass(frozen=True)
class Body:
    """The bytes of a file: their number, their sha256 in hex, and themselves if they are few."""

    file: Path
    size: int
    sha256: str
    data: bytes | None = None

    @classmethod
    def of(cls, file: Path) -> Body:
        """Read a file. Raises OSError."""
        digest, size = hashlib.sha256(), 0
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size <= IN_MEMORY:
                data = stream.read()
                digest.update(data)
                return cls(file, len(data), digest.hexdigest(), data)
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        return cls(file, size, digest.hexdigest())
