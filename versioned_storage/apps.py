"""The Django app: registers the checks, points settings.STATIC_URL at the build, preloads."""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.conf import settings

from . import checks, conf, preload, static_url
from .conf import Options
from .errors import ConfigurationError
from .site import configured_options


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
    if preload.MIDDLEWARE not in settings.MIDDLEWARE:
        # Django makes the last middleware first.
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, preload.MIDDLEWARE]
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
