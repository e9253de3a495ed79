"""The Django app: registers the checks and points settings.STATIC_URL at the build."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from . import static_url
from .errors import ConfigurationError
from .options import Options


class VersionedStorageConfig(AppConfig):
    """``versioned_storage`` in INSTALLED_APPS."""

    name = "versioned_storage"
    verbose_name = "Versioned static files"

    def ready(self) -> None:
        from .checks import check_options

        checks.register(check_options, checks.Tags.staticfiles)
        if not settings.DEBUG:
            _point_static_url()


def storage_options() -> dict[str, Any] | None:
    """The options that the settings give to the staticfiles storage; None if that is not ours."""
    given = _configured()
    return None if given is None else _own(given)


def _configured() -> dict[str, Any] | None:
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


def _own(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in Options.names()}


def _point_static_url() -> None:
    given = _configured()
    if given is None or given.get("base_url"):
        # A storage with a URL of its own: STATIC_URL is not about its files.
        return
    try:
        options = Options.load(_own(given))
        if options.build_version is not None:
            static_url.point_at(options.build_version, options.cdn_domain)
    except ConfigurationError:
        # Commands that need no static files must start all the same. The check reports it, and
        # the storage raises it as soon as it is used.
        return
