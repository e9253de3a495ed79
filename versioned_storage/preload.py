"""The option ``preload_manifest``: a process that serves pages reads its manifest when it starts.

A middleware is the only place that Django runs in every process that is about to serve, WSGI or
ASGI, and in no other: collectstatic, migrate and scripts never build a request handler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import MiddlewareNotUsed

from . import conf, startup, static_url
from .errors import VersionedStorageError
from .progress import logger
from .site import configured_storage
from .storage import VersionedStaticFilesStorage

#: The entry in MIDDLEWARE.
MIDDLEWARE = f"{__name__}.PreloadManifest"


class NothingToServe(VersionedStorageError):
    """A process is to serve pages, and there is no manifest for it."""

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
    """Preloads the manifest when the request handler is built, and handles no request."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        startup.note_request_handler()
        storage = configured_storage()
        if conf.in_test_environment():
            # Nothing may have told `ready` that this process would run tests.
            static_url.restore()
        if storage is not None and storage.options.preloads:
            preload(storage)
        raise MiddlewareNotUsed


def preload(storage: VersionedStaticFilesStorage) -> None:
    """Load the manifest, so that no page has to wait for it.

    Raises errors that remain: `MissingBuildVersion`, `NothingToServe`, `UnreadableManifest`, and an
    `OriginError` for a 404. Any other `OriginError` is logged and the next page tries again: a
    worker that restarts must not depend on S3 or on credentials in that second.
    """
    if storage.gives_plain_urls or not storage.manifest_strict:
        return
    storage.require_build()
    try:
        manifest = storage.manifest
    except VersionedStorageError as error:
        if not _is_temporary(error):
            raise
        logger.error("The manifest could not be preloaded, pages will ask for it: %s", error)
        return
    if manifest is None:
        raise NothingToServe(storage.manifest_places())


def _is_temporary(error: VersionedStorageError) -> bool:
    # boto3 is not for processes that have their manifest on disk.
    from .origin.s3_errors import OriginError

    return isinstance(error, OriginError) and error.status != 404
