"""Middleware of sites, and of libraries that are not installed here."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.middleware import SessionMiddleware
from django.utils.decorators import sync_and_async_middleware

from versioned_storage.middleware import VersionedWhiteNoiseMiddleware


class Ours(VersionedWhiteNoiseMiddleware):
    """A site's subclass of our middleware."""


class TenantSessions(SessionMiddleware):
    """A site's subclass of one of Django's."""


class CSPMiddleware:
    """django-csp's, which the checks know by its name."""


CSPMiddleware.__module__ = "csp.middleware"


class RateLimitedCSPMiddleware(CSPMiddleware):
    """What a site makes of it."""


@sync_and_async_middleware
def function(get_response: Any) -> Any:
    """A middleware that is no class."""
    return get_response
