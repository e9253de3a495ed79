"""What this Django site has: its staticfiles storage and its options, its middleware, its builds.

Everything that asks for one of them asks here. Nothing is read or requested before it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from .build.directory import BuildDirectory
from .build.manifest import Manifest, UnreadableManifest
from .conf import Options
from .errors import ConfigurationError, MissingBuildVersion, VersionedStorageError
from .progress import logger
from .static_url import StaticURL
from .storage import VersionedStaticFilesStorage

if TYPE_CHECKING:
    # A process that only looks at its settings does not load boto3.
    from .origin.record import Record
    from .origin.s3 import S3Origin

OURS = "versioned_storage.middleware.VersionedWhiteNoiseMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


class NotVersioned(ConfigurationError):
    """The staticfiles storage of the site makes no builds."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        super().__init__(
            f"The staticfiles storage of this site is {backend}. staticbuilds works on builds of "
            'STORAGES = {"staticfiles": {"BACKEND": '
            '"versioned_storage.storage.VersionedStaticFilesStorage"}}.'
        )


class NoOrigin(ConfigurationError):
    """The command needs an S3 origin, and none is configured."""

    def __init__(self) -> None:
        super().__init__(
            "This needs an S3 origin, and the option origin is not set. Set it in "
            'STORAGES["staticfiles"]["OPTIONS"], for example '
            "'origin': {'bucket_name': 'my-site-static', 'region_name': 'eu-west-1'}."
        )


class NoStaticURL(ConfigurationError):
    """STATIC_URL is not set."""

    def __init__(self) -> None:
        super().__init__("STATIC_URL is not set. Builds are below it: STATIC_URL = '/static/'.")


class NoStaticRoot(ConfigurationError):
    """STATIC_ROOT is not set."""

    def __init__(self) -> None:
        super().__init__(
            "STATIC_ROOT is not set. Builds are in it: STATIC_ROOT = BASE_DIR / 'static_root'."
        )


class UnknownBuild(VersionedStorageError):
    """A build is neither on disk nor on the origin."""

    def __init__(self, build: str, places: Sequence[str]) -> None:
        self.build = build
        self.places = tuple(places)
        super().__init__(
            f"There is no build {build}: looked at {' and '.join(self.places)}. 'python manage.py "
            "staticbuilds list --all' shows the existing builds."
        )


@dataclass(frozen=True)
class LocatedBuild:
    """The manifest of a build and the place it was read from; no ``record`` if that is the disk."""

    manifest: Manifest
    place: str
    record: Record | None = None


@dataclass(frozen=True)
class Site:
    """The site whose builds a command is about. Making it reads and requests nothing."""

    storage: VersionedStaticFilesStorage

    @classmethod
    def configured(cls) -> Site:
        """The site of the settings. Raises `NotVersioned`."""
        storage = configured_storage()
        if storage is None:
            other = type(storages[STATICFILES_STORAGE_ALIAS])
            backend = f"{other.__module__}.{other.__qualname__}"
            raise NotVersioned(backend)
        return cls(storage)

    @property
    def options(self) -> Options:
        return self.storage.options

    @property
    def static_url(self) -> StaticURL:
        """STATIC_URL without a build. Raises `NoStaticURL`."""
        if self.storage.static_url is None:
            raise NoStaticURL
        return self.storage.static_url

    @property
    def root(self) -> Path:
        """STATIC_ROOT. Raises `NoStaticRoot`."""
        if self.storage.root is None:
            raise NoStaticRoot
        return Path(self.storage.root)

    @cached_property
    def origin(self) -> S3Origin:
        """The S3 origin. Raises `NoOrigin`, `NoStaticURL`, `InvalidStaticURL`."""
        if self.options.origin is not None:
            self.static_url.check_holds_builds(self.options.cdn_domain)
        origin = self.storage.s3_origin()
        if origin is None:
            raise NoOrigin
        return origin

    def build(self, named: str | None = None) -> str:
        """Return ``named``, or the build version of the settings.

        Raises `MissingBuildVersion` where neither is set.
        """
        build = named or self.options.build_version
        if build is None:
            raise MissingBuildVersion(self.builds_on_disk())
        return build

    def directory(self, build: str) -> BuildDirectory:
        """Return the directory of a build, which need not exist. Raises `NoStaticRoot`."""
        return BuildDirectory(
            self.root / build,
            file_mode=self.storage.file_permissions_mode,
            directory_mode=self.storage.directory_permissions_mode,
        )

    def manifest_path(self, build: str) -> Path:
        """Return the path of a build's manifest, which need not exist. Raises `NoStaticRoot`."""
        return self.directory(build).path(self.storage.manifest_name)

    def manifest_on_disk(self, build: str) -> Manifest | None:
        """Return the manifest of a build in STATIC_ROOT; None where there is no such build.

        Raises `UnreadableManifest`, also for a manifest of Django's storage, which has only names,
        and for the manifest of another build.
        """
        path = self.manifest_path(build)
        try:
            manifest = Manifest.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if manifest.paths and not manifest.assets:
            reason = "it has only names, as Django's own storage writes them"
            raise UnreadableManifest(str(path), reason)
        if manifest.build != build:
            raise UnreadableManifest(str(path), f"it is the manifest of {manifest.build!r}")
        return manifest

    def readable_manifest(self, build: str) -> Manifest | None:
        """Return the manifest of a build in STATIC_ROOT; None, with a warning, if unreadable."""
        try:
            return self.manifest_on_disk(build)
        except (OSError, UnreadableManifest) as error:
            logger.warning("%s", error)
            return None

    def find(self, build: str) -> LocatedBuild:
        """Return a build from STATIC_ROOT, else from its record on the origin.

        Raises `UnknownBuild`.
        """
        places = []
        if self.storage.root is not None:
            manifest = self.manifest_on_disk(build)
            if manifest is not None:
                return LocatedBuild(manifest, str(self.directory(build).root))
            places.append(str(self.manifest_path(build)))
        if self.options.origin is not None:
            from .origin import record  # loads boto3

            url = self.origin.url(record.path(build))
            stored = record.read(self.origin, build)
            if stored is not None and stored.record.manifest is not None:
                return LocatedBuild(stored.record.manifest, url, stored.record)
            places.append(f"{url}, where it is {stored.record.state.value}" if stored else url)
        raise UnknownBuild(build, places or ["nothing, because STATIC_ROOT is not set"])

    def builds_on_disk(self) -> list[str]:
        """The complete builds in STATIC_ROOT, sorted."""
        return self.storage.builds_on_disk()

    def completed_at(self, build: str) -> datetime:
        """Return the time at which a build in STATIC_ROOT was completed."""
        written_at = self.manifest_path(build).stat().st_mtime
        return datetime.fromtimestamp(written_at, tz=timezone.utc)


def configured_options() -> dict[str, Any] | None:
    """Return the OPTIONS of the staticfiles storage; None if that makes no builds."""
    # Not settings.STORAGES: Django 4.2 puts the old STATICFILES_STORAGE only into this.
    configured: Any = storages.backends.get("staticfiles", {})
    try:
        backend = import_string(configured.get("BACKEND", ""))
    except ImportError:
        # Django reports it when it needs the storage.
        return None
    if not (isinstance(backend, type) and issubclass(backend, VersionedStaticFilesStorage)):
        return None
    return dict(configured.get("OPTIONS") or {})


def configured_storage() -> VersionedStaticFilesStorage | None:
    """Return the staticfiles storage of the site; None where that makes no builds.

    Raises ImproperlyConfigured where it cannot be made.
    """
    if configured_options() is None:
        return None
    storage: Any = storages[STATICFILES_STORAGE_ALIAS]
    return storage  # type: ignore[no-any-return]  # its class was looked at


def usable_storage() -> VersionedStaticFilesStorage | None:
    """Return the `configured_storage`; None too where it cannot be made, which E001 reports."""
    try:
        return configured_storage()
    except ImproperlyConfigured:
        return None


def cdn(storage: VersionedStaticFilesStorage) -> str | None:
    """Return scheme and host, and perhaps a path, before the STATIC_URL path; None without a CDN.

    They count whether or not a build is configured here: the checks are about the deployed site.
    """
    if storage.options.cdn_domain is not None:
        return storage.options.cdn_domain
    origin = storage.static_url.host if storage.static_url else ""
    return f"https:{origin}" if origin.startswith("//") else origin or None


@dataclass(frozen=True)
class Middleware:
    """One entry of MIDDLEWARE: its path, and the names of its class and of all base classes.

    Names, because importing some of Django's middleware needs apps that not every site has.
    """

    path: str
    classes: frozenset[str]

    def is_a(self, *names: str) -> bool:
        return not self.classes.isdisjoint(names)


def middleware() -> tuple[Middleware, ...]:
    """Return MIDDLEWARE from the top, without entries that cannot be imported."""
    entries = []
    for path in settings.MIDDLEWARE:
        try:
            entry = import_string(path)
        except ImportError:
            continue
        # A middleware may be a function, which has no base classes.
        bases = entry.__mro__ if isinstance(entry, type) else ()
        names = frozenset(f"{base.__module__}.{base.__qualname__}" for base in bases)
        entries.append(Middleware(path, names))
    return tuple(entries)


def above_ours() -> tuple[Sequence[Middleware], Middleware | None]:
    """Return the entries above our middleware, and ours; none and None where it is not used."""
    entries = middleware()
    for position, entry in enumerate(entries):
        if entry.is_a(OURS):
            return entries[:position], entry
    return (), None
