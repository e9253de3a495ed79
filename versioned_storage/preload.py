"""The manifest read when a process starts to serve pages, by the option ``preload_manifest``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed

from . import conf, startup, static_url
from .errors import VersionedStorageError
from .progress import logger
from .site import configured_storage
from .storage import VersionedStaticFilesStorage

#: As MIDDLEWARE has it.
MIDDLEWARE = f"{__name__}.PreloadManifest"


class NothingToServe(VersionedStorageError):
    """A process is to serve pages and there is no manifest for it."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = tuple(places)
        super().__init__(
            "This process is to serve pages, and there is no manifest for them: looked at "
            f"{' and '.join(self.places) or 'nothing, because STATIC_ROOT is not set'}. Run "
            "'python manage.py collectstatic', or 'python manage.py staticbuilds pull', with the "
            "BUILD_VERSION that this process runs with. A process that shows no page starts with "
            "VERSIONED_STORAGE = {'preload_manifest': False}."
        )


class PreloadManifest:
    """Notes that a request handler is built, preloads the manifest, and leaves."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        startup.request_handler_is_built()
        storage = configured_storage()
        if storage is not None:
            if conf.in_test_environment() and storage.gives_plain_urls:
                # A script that ran the tests itself was not recognised when Django was set up.
                static_url.restore()
            if storage.options.preloads:
                preload(storage)
        raise MiddlewareNotUsed


def install() -> None:
    """Put the middleware where it comes first: Django makes the last of them first."""
    if MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]


def preload(storage: VersionedStaticFilesStorage) -> None:
    """Have the manifest in memory, so that no page has to wait for it.

    Raises what no later attempt would mend: `MissingBuildVersion`, `NothingToServe`,
    `UnreadableManifest`, and an `OriginError` of a 404. Every other failure of the origin is
    logged: a page that needs the manifest asks again, and a server that replaces its workers must
    not depend on S3 or on credentials in that second.
    """
    if storage.gives_plain_urls or not storage.manifest_strict:
        return
    storage.require_build()
    try:
        manifest = storage.manifest
    except VersionedStorageError as error:
        if not _may_pass(error):
            raise
        logger.error("The manifest could not be preloaded, pages will ask for it: %s", error)
        return
    if manifest is None:
        raise NothingToServe(storage.manifest_places())


def _may_pass(error: VersionedStorageError) -> bool:
    # Imported late, as in storage.py: boto3 is not for processes that have their manifest on disk.
    from .origin.problems import OriginError

    return isinstance(error, OriginError) and error.status != 404
