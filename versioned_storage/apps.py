"""The Django app: registers the checks, points settings.STATIC_URL at the build, preloads."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

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
                _follow_the_build()


def _follow_the_build() -> None:
    """Point STATIC_URL at the build, and watch for the request handler of a process that serves.

    Raises ConfigurationError for an option with an invalid value.
    """
    given = configured_options()
    if given is None:
        return
    preload.install()
    options = _options(given)
    # A storage with a URL of its own: STATIC_URL is not about its files.
    if options.build_version is None or given.get("base_url"):
        return
    # Live servers of a test run serve the files at STATIC_URL as it was written.
    if options.manifest_strict is True or not conf.is_test_run():
        static_url.point_at(options.build_version, options.cdn_domain)


def _options(given: dict[str, Any]) -> Options:
    return Options.load({name: value for name, value in given.items() if name in Options.names()})


def _reported_elsewhere() -> suppress:
    """Go on where an option cannot be: commands that need no static files must start all the same.

    The check reports it, and the storage raises it as soon as it is used.
    """
    return suppress(ConfigurationError)
