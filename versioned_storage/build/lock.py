"""One process at a time writes to a build directory."""

from __future__ import annotations

import fcntl
import os
from threading import RLock

from ..progress import log_summary
from .directory import BuildDirectory

# The descriptors of the directories that this process has locked, by their paths. The kernel
# releases a lock with the process, however that ends.
_locked: dict[str, int] = {}
# Reentrant: Python may collect an abandoned generator, and so call `unlock`, inside `lock`.
_guard = RLock()


def lock(directory: BuildDirectory) -> bool:
    """Wait until no other process writes to ``directory``, and keep others out until `unlock`.

    Returns True if it had to wait. Does nothing where this process has the lock already, and on
    file systems without locks. Raises `CannotWrite` if the directory cannot be made.
    """
    path = os.path.abspath(directory.root)  # noqa: PTH100 - links stay as they are
    with _guard:
        if path in _locked:
            return False
        directory.make()
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            waited = _wait_for(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        _locked[path] = descriptor
        return waited


def unlock(directory: BuildDirectory) -> None:
    """Let other processes write to ``directory`` again."""
    with _guard:
        descriptor = _locked.pop(os.path.abspath(directory.root), None)  # noqa: PTH100
        if descriptor is not None:
            os.close(descriptor)


def _wait_for(descriptor: int, path: str) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log_summary(f"Another collectstatic is writing to {path}: waiting until it ends")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    except OSError:
        # Some network file systems have no locks. Then two runs at once are not kept apart.
        return False
    return False
