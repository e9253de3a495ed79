"""Checks of an application that a CDN pulls static files from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from ..site import COMMON, above_ours, cdn, usable_storage
from ..validators import is_local

SECURITY = "django.middleware.security.SecurityMiddleware"


def check_ssl_redirect(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """A CDN that pulls over http is not redirected to https."""
    above, _ = above_ours()
    security = next((entry for entry in above if entry.is_a(SECURITY)), None)
    path, build = _pulled_paths() or ("", "")
    if (
        security is None
        or not path
        or not settings.SECURE_SSL_REDIRECT
        # A proxy names the scheme of each request; which one it names for the CDN is unknown here.
        or settings.SECURE_PROXY_SSL_HEADER
        or any(re.search(exempt, path + build) for exempt in settings.SECURE_REDIRECT_EXEMPT)
    ):
        return []
    exempt = [*settings.SECURE_REDIRECT_EXEMPT, f"^{re.escape(path)}"]
    return [
        checks.Warning(
            f"With SECURE_SSL_REDIRECT, {security.path} answers a CDN that pulls over http with a "
            "redirect, which the CDN caches and sends to browsers.",
            hint=f"SECURE_REDIRECT_EXEMPT = {exempt!r}",
            id="versioned_storage.W010",
        )
    ]


def check_allowed_hosts(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """A Host that CloudFront can send is not refused.

    It sends the domain of its origin, which no setting names, and which cannot be an IP address or
    a name of this machine. Only a middleware above ours looks at the Host.
    """
    above, ours = above_ours()
    common = next((entry for entry in above if entry.is_a(COMMON)), None)
    if (
        ours is None
        or common is None
        or _pulled_paths() is None
        or settings.DEBUG
        or not all(is_local(host) for host in settings.ALLOWED_HOSTS)
    ):
        return []
    return [
        checks.Warning(
            f"{common.path} is above {ours.path} and answers 400 to a Host that ALLOWED_HOSTS does "
            "not have. CloudFront sends the domain of its origin, and ALLOWED_HOSTS = "
            f"{list(settings.ALLOWED_HOSTS)!r} has no domain.",
            hint=f'In MIDDLEWARE, move the line "{ours.path}", right above "{common.path}": static '
            "files are then served whatever the Host.",
            id="versioned_storage.W011",
        )
    ]


def _pulled_paths() -> tuple[str, str] | None:
    """The STATIC_URL path without its first slash, and the name of a build with a slash after it.

    None if there is no CDN.
    """
    storage = usable_storage()
    if storage is None or storage.static_url is None or cdn(storage) is None:
        return None
    return storage.static_url.path.lstrip("/"), f"{storage.build_version or 'b1'}/"
