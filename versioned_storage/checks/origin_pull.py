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
    """A CDN that pulls over http is not sent to https."""
    above, _ = above_ours()
    security = next((one for one in above if one.is_a(SECURITY)), None)
    path, build = _pulled() or ("", "")
    if (
        security is None
        or not path
        or not settings.SECURE_SSL_REDIRECT
        # A proxy says what was used, and what it says of the CDN's requests is not seen here.
        or settings.SECURE_PROXY_SSL_HEADER
        or any(re.search(exempt, path + build) for exempt in settings.SECURE_REDIRECT_EXEMPT)
    ):
        return []
    exempt = [*settings.SECURE_REDIRECT_EXEMPT, f"^{re.escape(path)}"]
    return [
        checks.Warning(
            f"With SECURE_SSL_REDIRECT, {security.path} answers what the CDN pulls over http with "
            "a redirect, which the CDN keeps and hands on to browsers.",
            hint=f"SECURE_REDIRECT_EXEMPT = {exempt!r}",
            id="versioned_storage.W010",
        )
    ]


def check_allowed_hosts(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """A Host that CloudFront can send is not refused.

    It sends the domain of the origin, which the settings do not have to name, and which can be no
    IP address and no name of this machine. Nothing asks for it but a middleware above ours.
    """
    above, ours = above_ours()
    common = next((one for one in above if one.is_a(COMMON)), None)
    if (
        ours is None
        or common is None
        or _pulled() is None
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


def _pulled() -> tuple[str, str] | None:
    """The STATIC_URL path and a build below it, each ending with a slash and without one before it.

    None where there is no CDN that may pull them.
    """
    storage = usable_storage()
    if storage is None or storage.static_url is None or cdn(storage) is None:
        return None
    return storage.static_url.path.lstrip("/"), f"{storage.build_version or 'b1'}/"
