"""The site whose builds a command is about, as its settings describe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.conf import STATICFILES_STORAGE_ALIAS
from django.core.files.storage import storages

from ..build.directory import BuildDirectory
from ..build.manifest import Manifest, UnreadableManifest
from ..builds import complete_builds
from ..errors import ConfigurationError, MissingBuildVersion, VersionedStorageError
from ..options import Options
from ..origin import record
from ..origin.record import Record
from ..origin.s3 import S3Origin
from ..progress import logger
from ..static_url import StaticURL
from ..storage import VersionedStaticFilesStorage


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
        storage = storages[STATICFILES_STORAGE_ALIAS]
        if not isinstance(storage, VersionedStaticFilesStorage):
            found = f"{type(storage).__module__}.{type(storage).__qualname__}"
            raise NotVersioned(found)
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
        return S3Origin(
            self.options.origin,
            connections=self.options.connections,
            conditional=self.options.conditional_writes,
        )

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
            url = self.origin.url(record.path(build))
            held = record.read(self.origin, build)
            if held is not None and held.record.manifest is not None:
                return KnownBuild(held.record.manifest, url, held.record)
            places.append(f"{url}, where it is {held.record.state.value}" if held else url)
        raise UnknownBuild(build, places or ["nothing, because STATIC_ROOT is not set"])

    def builds_on_disk(self) -> list[str]:
        """The complete builds in STATIC_ROOT, sorted."""
        return complete_builds(self.storage.root, self.storage.manifest_name)
