"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import VersionedStorageError
from .problems import DENIED, NotDeleted, OriginError

#: What is found where a store lacks what was looked for, and can do without.
NOT_AVAILABLE = "not available here"


class Level(str, Enum):
    """How bad it is; ``UNKNOWN`` where nobody could look, or there is nothing to look at."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What one check found, and what mends it; all for people but ``level``."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def is_denied(error: VersionedStorageError) -> bool:
    """Say whether S3 refused for a lack of permission."""
    if isinstance(error, OriginError):
        return error.code in DENIED
    if isinstance(error, NotDeleted):
        return all(code in DENIED for _, code, _ in error.errors)
    return False
