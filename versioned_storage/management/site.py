"""The site whose builds a command is about, as its settings describe it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.conf import STATICFILES_STORAGE_ALIAS
from django.core.files.storage import storages

from ..builds import complete_builds
from ..errors import ConfigurationError, MissingBuildVersion
from ..options import Options
from ..origin.s3 import S3Origin
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
        """The STATIC_URL path without its first slash: where builds are below the location."""
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
        return S3Origin(self.options.origin, connections=self.options.connections)

    def build(self, named: str | None = None) -> str:
        """The build that is meant: ``named``, or that of the settings.

        Raises `MissingBuildVersion` where neither says one.
        """
        build = named or self.options.build_version
        if build is None:
            raise MissingBuildVersion(self.builds_on_disk())
        return build

    def builds_on_disk(self) -> list[str]:
        """The complete builds in STATIC_ROOT, sorted."""
        return complete_builds(self.storage.root, self.storage.manifest_name)
