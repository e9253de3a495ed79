"""Checks of the build that the pages of a deployed site point at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from ..errors import MissingBuildVersion, VersionedStorageError
from ..site import usable_storage
from ..storage import VersionedStaticFilesStorage
from .option_checks import unusable


def check_debug(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Pages of a site with a build version use the build."""
    storage = usable_storage()
    if storage is None or storage.build_version is None or not settings.DEBUG:
        return []
    return [
        checks.Warning(
            f"DEBUG is on. {{% static %}} then gives plain URLs, which lead neither to the build "
            f"{storage.build_version} nor to a CDN.",
            hint="DEBUG = False",
            id="versioned_storage.W005",
        )
    ]


def check_build(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """A build is configured, and it is where pages and browsers look for it.

    An origin gets one request, with a timeout of `ORIGIN_TIMEOUT` seconds.
    """
    storage = usable_storage()
    if storage is None or settings.DEBUG:
        return []
    if storage.build_version is None:
        return _check_no_build_is_meant(storage)
    # Pages need no manifest then, as in a test suite.
    if not storage.manifest_strict:
        return []
    try:
        places = _places_without_build(storage)
    except ImproperlyConfigured as error:
        return [unusable(error)]
    except (OSError, VersionedStorageError) as error:
        return [
            checks.Warning(
                f"The check could not read build {storage.build_version}: {error}",
                hint="Pages have to read it where this site is deployed: run this check there.",
                id="versioned_storage.W008",
            )
        ]
    if not places:
        return []
    build = storage.build_version
    if len(places) < len(storage.manifest_places()):
        # On the disk, where collectstatic refuses sources that have changed since.
        hint = f"python manage.py staticbuilds publish {build}"
    else:
        hint = f"BUILD_VERSION={build} python manage.py collectstatic --noinput"
    return [
        checks.Warning(
            f"Build {build} is missing: there is no {' and no '.join(places)}.",
            hint=hint,
            id="versioned_storage.W007",
        )
    ]


def _check_no_build_is_meant(storage: VersionedStaticFilesStorage) -> Sequence[checks.CheckMessage]:
    builds = storage.builds_on_disk()
    if storage.options.wants_build and storage.manifest_strict:
        return [checks.Warning(str(MissingBuildVersion(builds)), id="versioned_storage.W006")]
    if not builds:
        return []
    return [
        checks.Warning(
            f"BUILD_VERSION is not set, and STATIC_ROOT has the builds {', '.join(builds)}. Pages "
            "use none of them.",
            hint=f"Start the site with the build for its pages: BUILD_VERSION={builds[-1]}.",
            id="versioned_storage.W006",
        )
    ]


def _places_without_build(storage: VersionedStaticFilesStorage) -> list[str]:
    """The places where the build should be and is not. Raises what keeps pages from reading it."""
    is_on_disk = storage.read_manifest() is not None
    if is_on_disk:
        storage.load_manifest()
    # With an origin, browsers get the files from S3, so only the build there counts.
    if storage.options.origin is None:
        is_available = is_on_disk
    else:
        is_available = storage.published_manifest() is not None
    if is_available:
        return []
    return storage.manifest_places()[-1 if is_on_disk else 0 :]
