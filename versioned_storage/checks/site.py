"""What more than one check asks of a site: its storage, its CDN, its middleware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from ..apps import configured_options

if TYPE_CHECKING:
    from ..storage import VersionedStaticFilesStorage

OURS = "versioned_storage.middleware.VersionedWhiteNoiseMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


def configured_storage() -> VersionedStaticFilesStorage | None:
    """The staticfiles storage of the site; None where that is not ours.

    Raises ImproperlyConfigured, our own or Django's, where it cannot be made.
    """
    if configured_options() is None:
        return None
    storage: Any = storages[STATICFILES_STORAGE_ALIAS]
    return storage  # type: ignore[no-any-return]  # its class was looked at


def usable_storage() -> VersionedStaticFilesStorage | None:
    """As `configured_storage`; None too where it cannot be made, which E001 says already."""
    try:
        return configured_storage()
    except ImproperlyConfigured:
        return None


def cdn(storage: VersionedStaticFilesStorage) -> str | None:
    """Scheme and host, and perhaps a path, that stand before the STATIC_URL path; None without.

    Said whether or not a build is configured here: it is about where the site is deployed.
    """
    if storage.options.cdn_domain is not None:
        return storage.options.cdn_domain
    origin = storage.static_url.origin if storage.static_url else ""
    return f"https:{origin}" if origin.startswith("//") else origin or None


@dataclass(frozen=True)
class Middleware:
    """One line of MIDDLEWARE: as it is written, and the names of the class and of all its bases.

    By their names, because importing some of Django's own needs apps that not every site has.
    """

    path: str
    classes: frozenset[str]

    def is_a(self, *names: str) -> bool:
        return not self.classes.isdisjoint(names)


def middleware() -> tuple[Middleware, ...]:
    """MIDDLEWARE from the top. A line that cannot be imported is left to Django to report."""
    found = []
    for path in settings.MIDDLEWARE:
        try:
            one = import_string(path)
        except ImportError:
            continue
        # A function, sync or async, is a middleware too; it is nobody's subclass.
        bases = one.__mro__ if isinstance(one, type) else ()
        names = frozenset(f"{base.__module__}.{base.__qualname__}" for base in bases)
        found.append(Middleware(path, names))
    return tuple(found)


def above_ours() -> tuple[Sequence[Middleware], Middleware | None]:
    """What is above our middleware, and ours; nothing and None where it is not used."""
    entries = middleware()
    for position, one in enumerate(entries):
        if one.is_a(OURS):
            return entries[:position], one
    return (), None


def is_local(host: str) -> bool:
    """Return True for a name or an address that no other machine can ask."""
    name = host.strip("[].").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
