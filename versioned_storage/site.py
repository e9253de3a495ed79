"""What this Django site has: its staticfiles storage and its options, its middleware, its builds.

Everything that asks for one of them asks here. Nothing is read or requested before it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from .static_root import complete_builds
from .static_url import StaticURL
from .storage import VersionedStaticFilesStorage

if TYPE_CHECKING:
    # boto3 is not for every process that looks at its settings.
    from .origin.record import Record
    from .origin.s3 import S3Origin

OURS = "versioned_storage.middleware.VersionedWhiteNoiseMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


class NotVersioned(ConfigurationError):
    """The staticfiles storage of the site is not ours."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"The staticfiles storage of this site is {found}. staticbuilds works on builds of "
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
    """Builds have no place without a STATIC_URL."""

    def __init__(self) -> None:
        super().__init__("STATIC_URL is not set. Builds are below it: STATIC_URL = '/static/'.")


class NoStaticRoot(ConfigurationError):
    """Builds have no place on disk without a STATIC_ROOT."""

    def __init__(self) -> None:
        super().__init__(
            "STATIC_ROOT is not set. Builds are in it: STATIC_ROOT = BASE_DIR / 'static_root'."
        )


class UnknownBuild(VersionedStorageError):
    """Nobody knows what is in a build."""

    def __init__(self, build: str, places: Sequence[str]) -> None:
        self.build = build
        self.places = tuple(places)
        super().__init__(
            f"There is no build {build}: looked at {' and '.join(self.places)}. 'python manage.py "
            "staticbuilds list --all' shows the builds that there are."
        )


@dataclass(frozen=True)
class KnownBuild:
    """What is in a build, and where that was read; ``record`` is None for one from the disk."""

    manifest: Manifest
    place: str
    record: Record | None = None


@dataclass(frozen=True)
class Site:
    """One site; nothing here talks to anybody before it is asked to."""

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
    def prefix(self) -> str:
        """The STATIC_URL path without its first slash: where builds are below the location.

        Raises `NoStaticURL`, and `InvalidStaticURL` for one that cannot hold builds.
        """
        self.static_url.check_holds_builds(self.options.cdn_domain)
        return self.static_url.path.lstrip("/")

    @property
    def root(self) -> Path:
        """STATIC_ROOT. Raises `NoStaticRoot`."""
        if self.storage.root is None:
            raise NoStaticRoot
        return Path(self.storage.root)

    @cached_property
    def origin(self) -> S3Origin:
        """The S3 origin. Raises `NoOrigin`."""
        if self.options.origin is None:
            raise NoOrigin
        from .origin.s3 import S3Origin

        return S3Origin.from_options(self.options, self.storage.static_url)

    def build(self, named: str | None = None) -> str:
        """The build that is meant: ``named``, or that of the settings.

        Raises `MissingBuildVersion` where neither says one.
        """
        build = named or self.options.build_version
        if build is None:
            raise MissingBuildVersion(self.builds_on_disk())
        return build

    def directory(self, build: str) -> BuildDirectory:
        """Where a build is on disk, or would be. Raises `NoStaticRoot`."""
        return BuildDirectory(
            self.root / build,
            file_mode=self.storage.file_permissions_mode,
            directory_mode=self.storage.directory_permissions_mode,
        )

    def manifest_path(self, build: str) -> Path:
        """Where the manifest of a build is on disk, or would be. Raises `NoStaticRoot`."""
        return self.directory(build).path(self.storage.manifest_name)

    def manifest_on_disk(self, build: str) -> Manifest | None:
        """What a build in STATIC_ROOT has; None where there is no such build.

        Raises `UnreadableManifest`, also for a manifest that Django wrote, because it has no more
        than names, and for that of another build.
        """
        path = self.manifest_path(build)
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        manifest = Manifest.from_json(text, name=str(path))
        if manifest.paths and not manifest.assets:
            reason = "it has names alone, as Django's own storage writes them"
            raise UnreadableManifest(str(path), reason)
        if manifest.build != build:
            raise UnreadableManifest(str(path), f"it says that it is that of {manifest.build!r}")
        return manifest

    def readable_manifest(self, build: str) -> Manifest | None:
        """What a build in STATIC_ROOT has; None, and a warning, where that cannot be read."""
        try:
            return self.manifest_on_disk(build)
        except UnreadableManifest as error:
            logger.warning("%s", error)
            return None

    def find(self, build: str) -> KnownBuild:
        """What is in a build: as STATIC_ROOT has it, else as its record on the origin has it.

        Raises `UnknownBuild`.
        """
        places = []
        if self.storage.root is not None:
            found = self.manifest_on_disk(build)
            if found is not None:
                return KnownBuild(found, str(self.directory(build).root))
            places.append(str(self.manifest_path(build)))
        if self.options.origin is not None:
            from .origin import record

            url = self.origin.url(record.path(build))
            held = record.read(self.origin, build)
            if held is not None and held.record.manifest is not None:
                return KnownBuild(held.record.manifest, url, held.record)
            places.append(f"{url}, where it is {held.record.state.value}" if held else url)
        raise UnknownBuild(build, places or ["nothing, because STATIC_ROOT is not set"])

    def builds_on_disk(self) -> list[str]:
        """The complete builds in STATIC_ROOT, sorted."""
        return complete_builds(self.storage.root, self.storage.manifest_name)


def configured_options() -> dict[str, Any] | None:
    """The OPTIONS of the staticfiles storage; None if that is not ours."""
    # Not settings.STORAGES: Django 4.2 puts the old STATICFILES_STORAGE into this alone.
    configured: Any = storages.backends.get("staticfiles", {})
    try:
        backend = import_string(configured.get("BACKEND", ""))
    except ImportError:
        # Django says so itself, and better, when it needs the storage.
        return None
    if not (isinstance(backend, type) and issubclass(backend, VersionedStaticFilesStorage)):
        return None
    return dict(configured.get("OPTIONS") or {})


def configured_storage() -> VersionedStaticFilesStorage | None:
    """The staticfiles storage of the site; None where that is not ours.

    Raises ImproperlyConfigured, our own or Django's, where it cannot be made.
    """
    if configured_options() is None:
        return None
    storage: Any = storages[STATICFILES_STORAGE_ALIAS]
    return storage  # type: ignore[no-any-return]  # its class was looked at


def usable_storage() -> VersionedStaticFilesStorage | None:
    """As `configured_storage`; None too where it cannot be made, which E001 says already."""
    try:
        return configured_storage()
    except ImproperlyConfigured:
        return None


def cdn(storage: VersionedStaticFilesStorage) -> str | None:
    """Scheme and host, and perhaps a path, that stand before the STATIC_URL path; None without.

    Said whether or not a build is configured here: it is about where the site is deployed.
    """
    if storage.options.cdn_domain is not None:
        return storage.options.cdn_domain
    origin = storage.static_url.origin if storage.static_url else ""
    return f"https:{origin}" if origin.startswith("//") else origin or None


@dataclass(frozen=True)
class Middleware:
    """One line of MIDDLEWARE: as it is written, and the names of the class and of all its bases.

    By their names, because importing some of Django's own needs apps that not every site has.
    """

    path: str
    classes: frozenset[str]

    def is_a(self, *names: str) -> bool:
        return not self.classes.isdisjoint(names)


def middleware() -> tuple[Middleware, ...]:
    """MIDDLEWARE from the top. A line that cannot be imported is left to Django to report."""
    found = []
    for path in settings.MIDDLEWARE:
        try:
            entry = import_string(path)
        except ImportError:
            continue
        # A function, sync or async, is a middleware too; it is nobody's subclass.
        bases = entry.__mro__ if isinstance(entry, type) else ()
        names = frozenset(f"{base.__module__}.{base.__qualname__}" for base in bases)
        found.append(Middleware(path, names))
    return tuple(found)


def above_ours() -> tuple[Sequence[Middleware], Middleware | None]:
    """What is above our middleware, and ours; nothing and None where it is not used."""
    entries = middleware()
    for position, entry in enumerate(entries):
        if entry.is_a(OURS):
            return entries[:position], entry
    return (), None
