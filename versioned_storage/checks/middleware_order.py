"""Checks of MIDDLEWARE: what is above our middleware, beside it or in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from .. import static_url
from ..site import COMMON, OURS, above_ours, middleware, usable_storage

WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
# Django's middleware for pages only. Other middleware may be above ours: it sets a header
# (SecurityMiddleware, the CSP), or corrects the request (the client's address behind a proxy).
FOR_PAGES = (
    COMMON,
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.sites.middleware.CurrentSiteMiddleware",
)


def check_order(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """No middleware for pages is above ours."""
    above, ours = above_ours()
    if ours is None:
        return []
    misplaced = [entry for entry in above if entry.is_a(GZIP, *FOR_PAGES)]
    if not misplaced:
        return []
    hint = f'In MIDDLEWARE, move the line "{ours.path}", right above "{misplaced[0].path}".'
    warnings: list[checks.CheckMessage] = []
    if for_pages := [entry.path for entry in misplaced if entry.is_a(*FOR_PAGES)]:
        warnings.append(
            checks.Warning(
                f"{ours.path} is below {', '.join(for_pages)}: for every static file those work "
                "first, and may change its headers, redirect it or refuse it.",
                hint=hint,
                id="versioned_storage.W001",
            )
        )
    warnings.extend(
        checks.Warning(
            f"{ours.path} is below {entry.path}, which compresses images and fonts a second time, "
            "takes the Content-Length and the strong ETag from them, and makes the answer to a "
            "Range request one that no browser can use.",
            hint=hint,
            id="versioned_storage.W002",
        )
        for entry in misplaced
        if entry.is_a(GZIP)
    )
    return warnings


def check_whitenoise(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """WhiteNoise's own middleware, which knows no builds, is not beside ours or in its place."""
    _, ours = above_ours()
    whitenoises = [
        entry.path for entry in middleware() if entry.is_a(WHITENOISE) and not entry.is_a(OURS)
    ]
    if ours is not None:
        return [
            checks.Warning(
                f"{whitenoise} is in MIDDLEWARE beside {ours.path}. It looks at every file in "
                "STATIC_ROOT a second time when the site starts, and serves the manifests.",
                hint=f'From MIDDLEWARE, remove the line "{whitenoise}".',
                id="versioned_storage.W003",
            )
            for whitenoise in whitenoises
        ]
    url = _url_that_whitenoise_misses() if whitenoises else None
    if url is None:
        return []
    return [
        checks.Warning(
            f"{whitenoise} knows no builds: it looks in STATIC_ROOT for what is below {url}, and "
            "answers 404 to every file of the build.",
            hint=f'In MIDDLEWARE, write "{OURS}" in the place of "{whitenoise}".',
            id="versioned_storage.W003",
        )
        for whitenoise in whitenoises
    ]


def _url_that_whitenoise_misses() -> str | None:
    """Return the path of the build if WhiteNoise would look in STATIC_ROOT for it, else None."""
    storage = usable_storage()
    if (
        storage is None
        or storage.build_version is None
        or storage.static_url is None
        or settings.DEBUG
        # With an origin, it may be there for WHITENOISE_ROOT only.
        or storage.options.origin is not None
        or storage.static_url != static_url.current()
        or getattr(settings, "WHITENOISE_STATIC_PREFIX", None)
    ):
        return None
    return f"{storage.static_url.path}{storage.build_version}/"
