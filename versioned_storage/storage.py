"""VersionedStaticFilesStorage: what collectstatic and {% static %} talk to."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from django.contrib.staticfiles.storage import ManifestFilesMixin, ManifestStaticFilesStorage
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage
from django.utils import timezone
from django.utils.encoding import filepath_to_uri

from . import conf, startup, static_url
from .build.directory import BuildDirectory, CannotWrite, writing
from .build.manifest import Manifest, UnreadableManifest, check_is_regular, keeps_original
from .build.source_files import DigestedFile, PassingFile
from .conf import Options
from .errors import (
    MissingBuildVersion,
    MissingEntry,
    MissingManifest,
    MissingMarks,
    VersionedStorageError,
)
from .manifest_loader import ORIGIN_TIMEOUT, ManifestLoader
from .progress import logger
from .source_names import SourceNames
from .static_root import complete_builds
from .static_url import StaticURL

if TYPE_CHECKING:
    # A process that serves pages does not load what makes builds.
    from .collect import CollectstaticRun
    from .origin.s3 import S3Origin

# The names without an entry that a process logs.
_LOGGED_NAMES = 100

_DJANGO_ARGUMENTS = inspect.signature(FileSystemStorage.__init__).parameters.keys() - {"self"}


class BuildIsFrozen(VersionedStorageError):
    """collectstatic tried to delete a file of a complete build."""

    def __init__(self, build: str, name: str) -> None:
        self.build = build
        self.name = name
        super().__init__(
            f"Build {build} is complete and never changes, so {name} was not deleted. To collect "
            "the files in another way, with --link or without, set a new BUILD_VERSION, or run "
            "collectstatic --clear if this build was never deployed."
        )


class VersionedStaticFilesStorage(ManifestStaticFilesStorage):
    """Collects a build into ``STATIC_ROOT/<build version>/`` and publishes it.

    Takes the arguments of Django's ManifestStaticFilesStorage and every option of `Options`.
    Without a build version it is that storage, with compression. Raises ImproperlyConfigured for
    an invalid option; what is not configured yet is no error before it is needed.

    ``root`` is STATIC_ROOT, ``static_url`` the STATIC_URL without a build; each is None where the
    site has not set it.
    """

    manifest_storage: Storage

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        *args: Any,
        manifest_storage: Storage | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = {name: kwargs.pop(name) for name in Options.names() & kwargs.keys()}
        for name in sorted(kwargs.keys() - _DJANGO_ARGUMENTS):
            names = Options.names() | _DJANGO_ARGUMENTS | {"manifest_storage"}
            raise conf.UnknownOption(conf.STORAGE_OPTIONS, name, names)
        self.options = Options.load(arguments)
        if self.options.manifest_strict is not None:
            self.manifest_strict = self.options.manifest_strict
        if self.options.js_modules is not None:
            self.support_js_module_import_aggregation = self.options.js_modules
        self.static_url = StaticURL.parse(base_url) if base_url else static_url.current()
        self.root = os.fspath(location) if location else conf.static_root()
        directory = self.root
        if self.build_version is not None and self.static_url is not None:
            self.static_url.check_holds_builds(self.options.cdn_domain)
        if self.build_version is not None and self.root is not None:
            directory = str(Path(self.root, self.build_version))
        # A subclass may have another `load_manifest`.
        self._loader = ManifestLoader(lambda: self.load_manifest())
        # Not ManifestFilesMixin's own __init__, which reads the manifest: a broken one would stop
        # the collectstatic that mends it, and a missing one would be asked of the origin in
        # processes that never show a page.
        super(ManifestFilesMixin, self).__init__(
            directory, self.static_url.plain() if self.static_url else None, *args, **kwargs
        )
        self.manifest_storage = manifest_storage or self
        self._logged_names: set[str] = set()
        self._source_names = SourceNames(strict=self.options.debug_strict)
        self._run: CollectstaticRun | None = None
        startup.warn_if_not_installed()

    @property
    def build_version(self) -> str | None:
        """The build that this storage works on; None in the neutral layout."""
        return self.options.build_version

    @property
    def base_url(self) -> str:
        """The URL of the build, or of STATIC_URL in the neutral layout; ends with a slash."""
        if self.static_url is None:
            return ""
        if self.build_version is None:
            return self.static_url.plain()
        return self.static_url.of_build(self.build_version, self.options.cdn_domain)

    def build_directory(self) -> BuildDirectory:
        """The directory of the build, which writes files with the modes of this storage."""
        return BuildDirectory(
            self.path(""),
            file_mode=self.file_permissions_mode,
            directory_mode=self.directory_permissions_mode,
        )

    def builds_on_disk(self) -> list[str]:
        """The complete builds in STATIC_ROOT, sorted."""
        return complete_builds(self.root, self.manifest_name)

    def require_build(self) -> None:
        """Raise `MissingBuildVersion` where a build version is needed and not set."""
        if self.build_version is None and self.options.wants_build:
            raise MissingBuildVersion(self.builds_on_disk())

    @property
    def gives_plain_urls(self) -> bool:
        """Return True where pages need no build: with DEBUG, and in a test environment.

        There an explicit ``manifest_strict=True`` asks for the URLs of a build all the same, and
        the neutral layout with a manifest behaves as Django's storage.
        """
        if conf.debug():
            return True
        if self.options.manifest_strict is True or not _is_tested():
            return False
        neutral = self.build_version is None and not self.options.wants_build
        return not (neutral and self.hashed_files)

    def url(self, name: str | None, force: bool = False) -> str:
        """Return the URL of a file: of its hashed name in the build, or the plain one.

        Raises ImproperlyConfigured where a build version is needed and missing, ValueError for a
        file that the manifest does not have, unless ``manifest_strict`` is off. Once pages are
        served an error is logged, because Django's own LOGGING shows no error of a page; a missing
        entry once for each name. With DEBUG the plain URL comes with a warning, or with
        `MissingSource`, for a name that production will not have.
        """
        name = name or ""
        if self.gives_plain_urls and not force:
            if conf.debug():
                self._source_names.check(name)
            return self._plain_url(name)
        try:
            return self._build_url(name)
        except (OSError, VersionedStorageError) as error:
            url = self._url_before_serving(name, error)
            if url is not None:
                return url
            if startup.may_serve_pages() and self._is_news(error):
                logger.error("No URL for %r: %s", name, " ".join(str(error).split()))
            raise

    def _is_news(self, error: Exception) -> bool:
        """Return False for a missing entry that was logged before.

        A template that has a typo would fill the log. Names may come from visitors, so only some
        are remembered and logged.
        """
        if not isinstance(error, MissingEntry):
            return True
        if error.name in self._logged_names or len(self._logged_names) >= _LOGGED_NAMES:
            return False
        self._logged_names.add(error.name)
        return True

    def stored_url(self, hashed_name: str) -> str:
        """The URL of a hashed name: below the build, or that of a shared asset.

        Raises `MissingMarks` where the manifest does not tell which assets are shared.
        """
        manifest = self._loader.manifest
        if manifest is None or not manifest.assets:
            self._require_marks()
        elif manifest.shared_prefix:
            asset = manifest.assets.get(hashed_name)
            if asset is not None and asset.is_shared and self.static_url is not None:
                return _join(self.static_url.behind(self.options.cdn_domain), asset.path)
        return _join(self.base_url, hashed_name)

    def _require_marks(self) -> None:
        """Raise `MissingMarks` where a shared asset would not be at the URL below the build.

        A build directory has every file, so the URLs below the build lead to all of them where the
        application serves it.
        """
        options = self.options
        is_published = options.origin is not None and self.build_version is not None
        if options.shares_assets and is_published and self._loader.loaded_paths:
            storage = type(self)
            raise MissingMarks(storage.__module__, storage.__qualname__)

    def stored_name(self, name: str) -> str:
        """The hashed name of a file. Raises ValueError for an unknown one if manifest_strict."""
        hashed_name = self.hashed_files.get(name)
        if hashed_name is not None:
            return hashed_name
        clean_name = urlsplit(unquote(name)).path.strip()
        # Django's way for a file of the manifest, and in the neutral layout without strictness,
        # where the name has the hash of the file as it is now.
        by_hash = self.build_version is None and not self.manifest_strict and self.hashed_files
        if by_hash or self.hash_key(clean_name) in self.hashed_files:
            return super().stored_name(name)
        if not self.manifest_strict:
            return unquote(name)
        if self.manifest is None and not self.hashed_files:
            raise MissingManifest(clean_name, self.manifest_places())
        raise MissingEntry(unquote(name).strip(), self.hashed_files)

    @property
    def hashed_files(self) -> dict[str, str]:
        """The hashed name of each file: from the build directory, else from the origin.

        Raises `OriginError` if the origin was asked and did not answer; for the next seconds
        every caller gets the same error.
        """
        return self._loader.paths

    @hashed_files.setter
    def hashed_files(self, value: dict[str, str]) -> None:
        self._loader.paths = value

    @hashed_files.deleter
    def hashed_files(self) -> None:
        self._loader.forget()

    @property
    def manifest_hash(self) -> str:
        """The hash of the manifest, as Django's storage has it."""
        return self._loader.hash

    @manifest_hash.setter
    def manifest_hash(self, value: str) -> None:
        self._loader.hash = value

    @property
    def manifest(self) -> Manifest | None:
        """The manifest that `hashed_files` comes from; None where there is none."""
        _ = self.hashed_files  # loads it
        return self._loader.manifest

    def set_manifest(self, manifest: Manifest) -> None:
        """Use a manifest that was made in this process."""
        self._loader.manifest = manifest
        self.hashed_files = dict(manifest.paths)

    def read_manifest(self) -> str | None:  # type: ignore[override]  # as it is, not as stubbed
        """The text of the manifest on disk; None where there is none.

        Raises `UnreadableManifest` for what is not text, and OSError.
        """
        if self.manifest_storage is self:
            if not self.location:
                return None
            check_is_regular(Path(self.path(self.manifest_name)))
        try:
            text: str | None = super().read_manifest()
        except UnicodeDecodeError as error:
            raise UnreadableManifest(self.manifest_name, f"it is not UTF-8 ({error})") from error
        return text

    def load_manifest(self) -> tuple[dict[str, str], str]:  # type: ignore[override]  # likewise
        """The paths and the hash of the manifest; empty where there is none."""
        manifest = self._manifest_on_disk() or self.published_manifest()
        self._loader.manifest = manifest
        return ({}, "") if manifest is None else (dict(manifest.paths), manifest.hash)

    def save_manifest(self) -> None:
        """Write the manifest of `hashed_files`, whole or not at all.

        One with the same bytes stays, because a complete build may be on a read-only disk. It gets
        the time of now, as the build that was activated last.
        """
        paths = dict(sorted(self._loader.loaded_paths.items()))
        listed = json.dumps(list(paths.items())).encode()
        self.manifest_hash = self.file_hash("", ContentFile(listed)) or ""
        manifest = self._loader.manifest or Manifest({})
        manifest = self._loader.manifest = replace(manifest, paths=paths, hash=self.manifest_hash)
        text = manifest.to_json().encode()
        if self.manifest_storage is self:
            directory = self.build_directory()
            if directory.holds(self.manifest_name, len(text), (text,)):
                directory.renew_time(self.manifest_name)
            else:
                directory.write(self.manifest_name, (text,))
            return
        if self.manifest_storage.exists(self.manifest_name):
            self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage.save(self.manifest_name, ContentFile(text))

    def published_manifest(self) -> Manifest | None:
        """The manifest that the origin has; None where the build is not published.

        None too where no page needs it: test suites must not use the network. Raises
        `OriginError` if the origin does not answer.
        """
        in_tests = self.options.manifest_strict is not True and conf.in_test_environment()
        if in_tests or not self.manifest_strict:
            return None
        origin = self.s3_origin(timeout=ORIGIN_TIMEOUT)
        if origin is None or self.build_version is None:
            return None
        from .origin import record

        stored = record.read(origin, self.build_version)
        # A build that is not published is not complete.
        return stored.record.manifest if stored and stored.record.is_published else None

    def manifest_places(self) -> list[str]:
        """Where a manifest is looked for, in that order, for people."""
        places = [str(Path(self.location, self.manifest_name))] if self.location else []
        origin = self.s3_origin()
        if origin is not None and self.build_version is not None:
            from .origin import record

            places.append(origin.url(record.path(self.build_version)))
        return places

    def s3_origin(self, *, timeout: float | None = None) -> S3Origin | None:
        """Return the S3 origin of the site; None where none is configured.

        ``timeout`` is in seconds; with it a request is not retried. Raises `UnusableOrigin`.
        """
        if self.options.origin is None:
            return None
        # boto3 costs a process a quarter of a second and 20 MB: it is not for those that have no
        # origin, or their manifest on disk.
        from .origin.s3 import S3Origin

        return S3Origin.from_options(self.options, self.static_url, timeout=timeout)

    def file_hash(self, name: str, content: File[Any] | None = None) -> Any:
        """The first 12 hex digits of the MD5 of ``content``, as Django's."""
        if isinstance(content, DigestedFile):
            return content.digest.md5[:12]
        return super().file_hash(name, content)

    def post_process(
        self, paths: dict[str, tuple[Storage, str]], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """Make the build of the collected files, and publish it where there is an origin.

        Yields ``(name, hashed name, processed)`` as collectstatic expects it. What is wrong with
        the sources is yielded in place of ``processed``, as Django does; what is wrong with the
        disk or the origin is raised.
        """
        from .collect import collect

        run = self._begin(dry_run=dry_run)
        try:
            yield from collect(self, run, paths, dry_run=dry_run)
        finally:
            run.end()
            # The files can change before the next run.
            self._run = None

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """As Django's, for ``collectstatic --clear``.

        The manifest comes first, so that a build is no longer complete before it loses a file. In
        the neutral layout the builds beside it are left out: ``--clear`` must not delete them.
        """
        try:
            directories, files = super().listdir(path)
        except NotADirectoryError as error:
            raise CannotWrite(error.filename or self.path(path), error) from error
        if Path(self.path(path)) == Path(self.location):
            files.sort(key=lambda name: name != self.manifest_name)
            if self.build_version is None:
                builds = self.builds_on_disk()
                directories = [name for name in directories if name not in builds]
        return directories, files

    def path(self, name: str | os.PathLike[str]) -> str:
        """As Django's, without its check of the location for a name that cannot lead out of it.

        collectstatic asks four times for each file.
        """
        name = os.fspath(name)
        is_plain = name and not (name.startswith((".", "/")) or "/." in name or "//" in name)
        if is_plain and self.location and not name.endswith("/"):
            return f"{self.location}/{name}"
        return str(super().path(name))

    def get_modified_time(self, name: str) -> datetime:
        """As Django's; in a complete build every file is as new as can be.

        collectstatic then leaves it alone. A complete build is immutable, and whether it was made
        of the same sources is for `post_process` to say, by their content.
        """
        if self._current_run().complete or self._is_manifest(name):
            # Aware or naive as Django's are; also newer than a source from the future.
            return datetime.max.replace(tzinfo=timezone.now().tzinfo)
        return super().get_modified_time(name)

    def delete(self, name: str) -> None:
        """As Django's, but of a complete build only the manifest, which `--clear` deletes first.

        Raises `BuildIsFrozen` for all else of it, `CannotWrite` where the disk refuses.
        """
        run = self._begin()
        is_complete = run.complete is not None
        if is_complete and name != self.manifest_name and self.exists(name):
            if run.was_completed_meanwhile:
                return
            raise BuildIsFrozen(str(self.build_version), name)
        with writing(self.path(name), is_complete=is_complete):
            super().delete(name)
        if name == self.manifest_name:
            run.forget_manifest()

    def save(self, name: str | None, content: IO[Any], max_length: int | None = None) -> str:
        """As Django's, but for a source with the manifest's name, which `post_process` reports.

        A file of a build that another process has completed meanwhile stays as it is.
        """
        name = content.name if name is None else name
        run = self._begin()
        if self._is_manifest(name) or (run.was_completed_meanwhile and self.exists(name)):
            return name
        saved: str = super().save(name, content, max_length)
        return saved

    def _save(self, name: str, content: File[Any]) -> str:
        run, clean_name = self._current_run(), self.clean_name(name)
        passing = PassingFile(content)
        with writing(self.path(name), is_complete=run.complete is not None):
            if getattr(self, "_allow_overwrite", False):
                # It may be the second name of a hashed file, which must not change with it.
                Path(self.path(name)).unlink(missing_ok=True)
            saved = name
            if run.base is None or not run.base.give(clean_name, passing, run.directory):
                saved = super()._save(name, passing)  # type: ignore[misc]  # not in the stubs
        if passing.digest is not None:
            run.digests[self.clean_name(saved)] = passing.digest
        return saved

    def _begin(self, *, dry_run: bool = False) -> CollectstaticRun:
        """Return the run of collectstatic, once nobody else writes to the directory."""
        self.require_build()
        run = self._current_run()
        run.begin(dry_run=dry_run)
        return run

    def _current_run(self) -> CollectstaticRun:
        if self._run is None:
            from .collect import CollectstaticRun

            self._run = CollectstaticRun(
                self.build_directory(),
                self.build_version,
                self.root,
                self.manifest_name,
                self._manifest_on_disk,
            )
        return self._run

    def _is_manifest(self, name: str) -> bool:
        """Return True for a file that would take the manifest's place."""
        return self.manifest_storage is self and self.clean_name(name) == self.manifest_name

    def _manifest_on_disk(self) -> Manifest | None:
        text = self.read_manifest()
        return None if text is None else Manifest.from_json(text, name=self.manifest_name)

    def _build_url(self, name: str) -> str:
        if self.build_version is None and self.options.wants_build:
            if self.manifest_strict:
                raise MissingBuildVersion(self.builds_on_disk())
            return self._plain_url(name)
        if name in self.hashed_files:
            return self.stored_url(self.stored_name(name))
        path, tail = static_url.split_name(name)
        if path and not path.endswith("/"):
            return self.stored_url(self.stored_name(path)) + tail
        return _join(self.base_url, path) + tail

    def _plain_url(self, name: str) -> str:
        path, tail = static_url.split_name(name)
        return _join(self.static_url.plain() if self.static_url else "", unquote(path)) + tail

    def _url_before_serving(self, name: str, error: Exception) -> str | None:
        """Return the URL below the build for code that asks before any page is served.

        A module that calls ``static()`` while it is imported must not stop the commands that make
        the build. None where the error stands: the origin did not answer, for example.
        """
        reason = None if startup.may_serve_pages() else _reason_to_go_on(error)
        if reason is None:
            return None
        path, tail = static_url.split_name(name)
        url = _join(self.base_url, unquote(path)) + tail
        if startup.is_first_warning():
            leads = ""
            if not keeps_original(self.options.keep_originals, path):
                leads = " It leads nowhere, because keep_originals is off."
            logger.warning(
                "%s asks for the URL of %r before any page is served, and %s: it keeps "
                "%s, the URL of the original name.%s Call static() where the URL is used instead. "
                "Further calls like it are not reported.",
                startup.caller(),
                name,
                reason,
                url,
                leads,
            )
        return url


def _is_tested() -> bool:
    # Modules are imported before the test environment is set up.
    if not startup.may_serve_pages() and conf.is_test_run() and startup.is_importing():
        return True
    return conf.in_test_environment()


def _reason_to_go_on(error: Exception) -> str | None:
    """Return why code that asks before any page is served gets a URL; None if it gets none."""
    if isinstance(error, MissingManifest):
        return "there is no manifest yet"
    if isinstance(error, MissingBuildVersion) and startup.is_importing():
        return "there is no build version"
    # The command that would mend it must not stop at it.
    if startup.is_collectstatic() and isinstance(error, (MissingEntry, UnreadableManifest)):
        return "the manifest does not have it yet"
    return None


def _join(base_url: str, path: str) -> str:
    return urljoin(base_url, (filepath_to_uri(path) or "").lstrip("/"))
