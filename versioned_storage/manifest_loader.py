"""The manifest of a build, read when it is first asked for, from the disk or from the origin."""

from __future__ import annotations

import errno
import json
import time
from dataclasses import replace
from pathlib import Path
from threading import Lock

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from .build.directory import BuildDirectory
from .build.manifest import Manifest, UnreadableManifest
from .conf import Options, in_test_environment
from .static_url import StaticURL

#: Seconds until a manifest that could not be had is looked for again.
RETRY_AFTER = 5.0
#: Seconds that a page waits for the origin to say what is in a build.
ORIGIN_TIMEOUT = 2.0


class ManifestOnDemand(ManifestStaticFilesStorage):
    """Django's hooks for the manifest, without Django's reading of it in ``__init__``.

    That would fail on a broken one before the collectstatic that mends it, and would ask the
    origin in processes that never show a page.
    """

    options: Options
    static_url: StaticURL | None
    manifest_storage: Storage

    @property
    def build_version(self) -> str | None:
        """The build that this storage works on; None in the neutral layout."""
        return self.options.build_version

    def _begin_without_manifest(self) -> None:
        self.manifest_hash = ""
        self._manifest: Manifest | None = None
        self._loading = Lock()
        self._failure: Exception | None = None
        self._retry_at = 0.0

    def _directory(self) -> BuildDirectory:
        return BuildDirectory(
            self.path(""),
            file_mode=self.file_permissions_mode,
            directory_mode=self.directory_permissions_mode,
        )

    @property
    def hashed_files(self) -> dict[str, str]:
        """The hashed name of each file: as the build directory has it, else as the origin has it.

        Raises `OriginError` when the origin had to be asked and did not answer; for the next
        seconds everybody gets that same error.
        """
        if not self._hashed_files:
            with self._loading:
                if not self._hashed_files:
                    self._look_for_manifest()
        return self._hashed_files

    @hashed_files.setter
    def hashed_files(self, value: dict[str, str]) -> None:
        self._hashed_files = value

    @hashed_files.deleter
    def hashed_files(self) -> None:
        self._hashed_files = {}
        self._retry_at = 0.0

    @property
    def manifest(self) -> Manifest | None:
        """The manifest that `hashed_files` is from; None where there is none."""
        _ = self.hashed_files  # looks for it
        return self._manifest

    def read_manifest(self) -> str | None:  # type: ignore[override]  # as it is, not as stubbed
        """The text of the manifest on disk; None where there is none.

        Raises `UnreadableManifest` for what is no text, and OSError.
        """
        if self.manifest_storage is self and not self.location:
            return None
        if self.manifest_storage is self:
            path = Path(self.path(self.manifest_name))
            if path.exists() and not path.is_file():
                # A pipe would wait for its writer.
                raise OSError(errno.EINVAL, "Not a regular file", str(path))
        try:
            text: str | None = super().read_manifest()
        except UnicodeDecodeError as error:
            raise UnreadableManifest(self.manifest_name, f"it is not UTF-8 ({error})") from error
        return text

    def load_manifest(self) -> tuple[dict[str, str], str]:  # type: ignore[override]  # likewise
        """The paths and the hash of the manifest; empty where there is none."""
        text = self.read_manifest()
        if text is not None:
            self._manifest = Manifest.from_json(text, name=self.manifest_name)
        else:
            self._manifest = self.published_manifest()
        if self._manifest is None:
            return {}, ""
        return dict(self._manifest.paths), self._manifest.hash

    def save_manifest(self) -> None:
        """Write the manifest of `hashed_files`, whole or not at all."""
        # Not the property, which looks for a manifest where a build has no files.
        paths = dict(sorted(self._hashed_files.items()))
        listed = json.dumps(list(paths.items())).encode()
        self.manifest_hash = self.file_hash("", ContentFile(listed)) or ""
        manifest = self._manifest or Manifest({})
        self._manifest = replace(manifest, paths=paths, hash=self.manifest_hash)
        text = self._manifest.to_json().encode()
        if self.manifest_storage is self:
            self._directory().write(self.manifest_name, (text,))
            return
        if self.manifest_storage.exists(self.manifest_name):
            self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage.save(self.manifest_name, ContentFile(text))

    def _look_for_manifest(self) -> None:
        if time.monotonic() < self._retry_at:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return
        try:
            self._failure = None
            self._hashed_files, self.manifest_hash = self.load_manifest()
        except Exception as error:
            # Whatever it is, the next seconds' answer is that and not "there is no manifest".
            self._failure = error
            raise
        finally:
            self._retry_at = time.monotonic() + RETRY_AFTER

    def published_manifest(self) -> Manifest | None:
        """What the origin has of the build; None where it is not published.

        Raises `OriginError` when it does not answer within `ORIGIN_TIMEOUT` seconds.
        """
        # Without strictness no page needs it, and test suites must not reach for the network.
        if self.options.origin is None or self.build_version is None or not self.manifest_strict:
            return None
        if in_test_environment() and self.options.manifest_strict is not True:
            return None
        from .origin import record
        from .origin.s3 import S3Origin

        origin = S3Origin.from_options(self.options, self.static_url, timeout=ORIGIN_TIMEOUT)
        found = record.read(origin, self.build_version)
        # Nobody ever sees half of a build: while it is not published, it is not there.
        if found is None or found.record.state is not record.State.PUBLISHED:
            return None
        return found.record.manifest

    def manifest_places(self) -> list[str]:
        """Where a manifest is looked for, in that order, for people."""
        places = [str(Path(self.location, self.manifest_name))] if self.location else []
        if self.options.origin is not None and self.build_version is not None:
            from .origin import record
            from .origin.s3 import S3Origin

            origin = S3Origin.from_options(self.options, self.static_url)
            places.append(origin.url(record.path(self.build_version)))
        return places
