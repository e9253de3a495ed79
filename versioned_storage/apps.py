"""The Django app: registers the checks, points settings.STATIC_URL at the build, preloads."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from . import options as site
from . import static_url
from .errors import ConfigurationError
from .options import Options
from .progress import logger


class VersionedStorageConfig(AppConfig):
    """``versioned_storage`` in INSTALLED_APPS."""

    name = "versioned_storage"
    verbose_name = "Versioned static files"

    def ready(self) -> None:
        from . import checks

        checks.register()
        if not settings.DEBUG:
            with _reported_elsewhere():
                _follow_the_build()


def configured_options() -> dict[str, Any] | None:
    """The OPTIONS of the staticfiles storage; None if that is not ours."""
    # Not settings.STORAGES: Django 4.2 puts the old STATICFILES_STORAGE into this alone.
    configured: Any = storages.backends.get("staticfiles", {})
    try:
        backend = import_string(configured.get("BACKEND", ""))
    except ImportError:
        # Django says so itself, and better, when it needs the storage.
        return None
    from .storage import VersionedStaticFilesStorage

    if not (isinstance(backend, type) and issubclass(backend, VersionedStaticFilesStorage)):
        return None
    return dict(configured.get("OPTIONS") or {})


def say_if_not_installed() -> None:
    """Warn, once a process, that the storage is used and the app is not in INSTALLED_APPS.

    It is the storage that says it: a check of an app that is not installed is never run.
    """
    if apps.apps_ready and not apps.is_installed(VersionedStorageConfig.name):
        _say_not_installed()


@cache
def _say_not_installed() -> None:
    logger.warning(
        "versioned_storage is not in INSTALLED_APPS: settings.STATIC_URL does not point at the "
        "build, and manage.py has neither the checks nor the command for builds. Add it: "
        'INSTALLED_APPS = ["versioned_storage", ...]'
    )


def _follow_the_build() -> None:
    """Point STATIC_URL at the build, and watch for the request handler of a process that serves.

    Raises ConfigurationError for an option with an invalid value.
    """
    given = configured_options()
    if given is None:
        return
    from . import preload

    preload.install()
    options = _options(given)
    # A storage with a URL of its own: STATIC_URL is not about its files.
    if options.build_version is None or given.get("base_url"):
        return
    # Live servers of a test run serve the files at STATIC_URL as it was written.
    if options.manifest_strict is True or not site.is_test_run():
        static_url.point_at(options.build_version, options.cdn_domain)


def _options(given: dict[str, Any]) -> Options:
    return Options.load({name: value for name, value in given.items() if name in Options.names()})


def _reported_elsewhere() -> suppress:
    """Go on where an option cannot be: commands that need no static files must start all the same.

    The check reports it, and the storage raises it as soon as it is used.
    """
    return suppress(ConfigurationError)
