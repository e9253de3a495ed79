"""What happens when Django starts: checks, settings.STATIC_URL, and the manifest for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed

from . import checks, conf, startup, static_url
from .conf import Options
from .errors import ConfigurationError, VersionedStorageError
from .progress import logger
from .site import configured_options, configured_storage
from .storage import VersionedStaticFilesStorage

#: The entry in MIDDLEWARE for the option ``preload_manifest``.
PRELOAD_MIDDLEWARE = f"{__name__}.PreloadManifest"


class VersionedStorageConfig(AppConfig):
    """``versioned_storage`` in INSTALLED_APPS."""

    name = "versioned_storage"
    verbose_name = "Versioned static files"

    def ready(self) -> None:
        checks.register()
        if not settings.DEBUG:
            with _reported_elsewhere():
                _prepare_to_serve()


def _prepare_to_serve() -> None:
    """Point STATIC_URL at the build, and preload the manifest once a request handler is built.

    Raises ConfigurationError for an option with an invalid value.
    """
    storage_options = configured_options()
    if storage_options is None:
        return
    if PRELOAD_MIDDLEWARE not in settings.MIDDLEWARE:
        # Django makes the last middleware first.
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, PRELOAD_MIDDLEWARE]
    options = Options.load(
        {name: value for name, value in storage_options.items() if name in Options.names()}
    )
    # The files of a storage with a base_url are not below STATIC_URL.
    if options.build_version is None or storage_options.get("base_url"):
        return
    # Live servers of a test run serve files at STATIC_URL as it is written.
    if not conf.is_test_run():
        static_url.point_at(options.build_version, options.cdn_domain)


def _reported_elsewhere() -> suppress:
    """Ignore invalid options: commands that need no static files must start all the same.

    The check reports them, and the storage raises them as soon as it is used.
    """
    return suppress(ConfigurationError)


class NothingToServe(VersionedStorageError):
    """This process is about to serve pages, and there is no manifest."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = tuple(places)
        super().__init__(
            "This process is about to serve pages, and there is no manifest: looked at "
            f"{' and '.join(self.places) or 'nothing, because STATIC_ROOT is not set'}. Run "
            "'python manage.py collectstatic', or 'python manage.py staticbuilds pull', with the "
            "BUILD_VERSION that this process runs with. A process that shows no page starts with "
            "VERSIONED_STORAGE = {'preload_manifest': False}."
        )


class PreloadManifest:
    """Preloads the manifest when the request handler is built, and handles no request.

    A middleware is the only place that Django runs in every process that is about to serve, WSGI or
    ASGI, and in no other: collectstatic, migrate and scripts never build a request handler.
    """

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
