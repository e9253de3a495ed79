"""The manifest of a build, loaded when it is first needed: from the disk, else from the origin."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from .build.manifest import Manifest

#: Seconds until a manifest that could not be loaded is looked for again.
RETRY_AFTER = 5.0
#: Seconds that a page waits for the origin to answer.
ORIGIN_TIMEOUT = 2.0


class ManifestLoader:
    """The hashed names of one build, loaded once: one thread loads them while the others wait.

    ``load`` returns the paths and the hash of the manifest, empty where there is none. A failure
    is remembered for `RETRY_AFTER` seconds: until then every caller gets the same error.
    """

    def __init__(self, load: Callable[[], tuple[dict[str, str], str]]) -> None:
        self.hash = ""
        #: All of the manifest; None before it is loaded, and where a subclass loads only paths.
        self.manifest: Manifest | None = None
        self._load = load
        self._paths: dict[str, str] = {}
        self._lock = Lock()
        self._failure: Exception | None = None
        self._retry_at = 0.0

    @property
    def paths(self) -> dict[str, str]:
        """The hashed name of each file by its original name. Raises what ``load`` raises."""
        if not self._paths:
            with self._lock:
                if not self._paths:
                    self._try_to_load()
        return self._paths

    @paths.setter
    def paths(self, paths: dict[str, str]) -> None:
        self._paths = paths

    @property
    def loaded_paths(self) -> dict[str, str]:
        """The paths without loading them, because a build may have no files."""
        return self._paths

    def forget(self) -> None:
        """Load the manifest again when it is needed next."""
        self._paths = {}
        self._retry_at = 0.0

    def _try_to_load(self) -> None:
        if time.monotonic() < self._retry_at:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return
        try:
            self._failure = None
            self._paths, self.hash = self._load()
        except Exception as error:
            # The next page gets the reason, and not "there is no manifest".
            self._failure = error
            raise
        finally:
            self._retry_at = time.monotonic() + RETRY_AFTER
