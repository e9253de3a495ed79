"""The manifest read when a process starts to serve, by the option ``preload_manifest``.

A middleware is the only place that Django runs in every process that is about to serve, WSGI or
ASGI, and in no other: collectstatic, migrate and scripts never make a request handler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.files.storage import storages

from . import options as site
from .errors import VersionedStorageError
from .progress import logger
from .storage import VersionedStaticFilesStorage

#: As MIDDLEWARE has it.
MIDDLEWARE = f"{__name__}.PreloadManifest"


class NothingToServe(VersionedStorageError):
    """A process is to serve pages and there is no manifest for it."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = tuple(places)
        super().__init__(
            "This process does not start, because preload_manifest is on and there is no "
            f"manifest: looked at {' and '.join(self.places) or 'nothing, STATIC_ROOT is not set'}."
            " Run 'python manage.py collectstatic', or 'python manage.py staticbuilds pull', with "
            "the BUILD_VERSION that this process runs with. A test suite needs no manifest with "
            "VERSIONED_STORAGE = {'manifest_strict': False}."
        )


class PreloadManifest:
    """Preloads the manifest, and then is no part of any request."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        storage = storages[STATICFILES_STORAGE_ALIAS]
        if isinstance(storage, VersionedStaticFilesStorage):
            preload(storage)
        raise MiddlewareNotUsed


def install() -> None:
    """Put the middleware where it comes first: Django makes the last of them first."""
    if MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]


def preload(storage: VersionedStaticFilesStorage) -> None:
    """Have the manifest in memory, so that no page has to wait for it.

    Raises what would go wrong with every page: `MissingBuildVersion`, `NothingToServe`,
    `UnreadableManifest`, and an `OriginError` that S3 itself has answered. An origin that does
    not answer is logged as an error and no more: it is asked again when a page needs it, and a
    server that replaces its workers must not depend on S3 being up in that second.
    """
    if site.debug() or not storage.manifest_strict:
        # The URLs are the plain ones.
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

    return isinstance(error, OriginError) and (error.status is None or error.status >= 500)
