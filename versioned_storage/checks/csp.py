"""The check of the Content Security Policy: pages may load static files from the CDN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core import checks

from ..site import cdn, middleware, usable_storage

DJANGO_MIDDLEWARE = "django.middleware.csp.ContentSecurityPolicyMiddleware"
DJANGO_CSP_MIDDLEWARE = "csp.middleware.CSPMiddleware"
DIRECTIVES = ("style-src", "script-src", "img-src", "font-src")
#: Prefixes of the sources that allow a script or style sheet from any host: in a header, in
#: Django's settings and in those of django-csp.
NONCES = ("'strict-dynamic'", "'nonce-", "<CSP_NONCE", "csp.constants.NONCE")


def check_policies(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Each policy in the settings allows style sheets, scripts, images and fonts from the CDN."""
    storage = usable_storage()
    base = cdn(storage) if storage else None
    if base is None:
        return []
    host = urlsplit("/".join(base.split("/")[:3]).lower())
    return [
        checks.Warning(
            f"{setting} allows no static files from the CDN: {directive} lacks {host.geturl()}.",
            hint=f'Add "{host.geturl()}" to "{directive}" in {setting}.',
            id="versioned_storage.W009",
        )
        for setting, policy in _policies()
        for directive in _lacking(policy, host)
    ]


def _policies() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The setting and the directives of each policy that a middleware sends."""
    entries = middleware()
    for suffix in ("", "_REPORT_ONLY"):
        policy = getattr(settings, f"SECURE_CSP{suffix}", None)
        if policy and any(entry.is_a(DJANGO_MIDDLEWARE) for entry in entries):
            yield f"SECURE_CSP{suffix}", policy
        policy = getattr(settings, f"CONTENT_SECURITY_POLICY{suffix}", None)
        if policy and any(entry.is_a(DJANGO_CSP_MIDDLEWARE) for entry in entries):
            directives = {"default-src": "'self'", **(policy.get("DIRECTIVES") or {})}
            yield f'CONTENT_SECURITY_POLICY{suffix}["DIRECTIVES"]', directives


def _lacking(policy: Mapping[str, Any], host: SplitResult) -> list[str]:
    """The directives that decide on static files and lack the host."""
    sent = {k.lower(): _sources(v) for k, v in policy.items() if v is not None and v is not False}
    lacking = []
    for directive in DIRECTIVES:
        candidates = (f"{directive}-elem", directive, "default-src")
        name = next((name for name in candidates if name in sent), None)
        # 'none' forbids that kind of file on purpose.
        settled = ("'none'", *(NONCES if directive in ("style-src", "script-src") else ()))
        sources = sent[name] if name else []
        if name and sources and not any(s.startswith(settled) or _allows(s, host) for s in sources):
            lacking.append(name)
    return list(dict.fromkeys(lacking))


def _sources(value: Any) -> list[str]:
    entries = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    return " ".join(str(entry) for entry in entries if entry is not True).split()


def _allows(source: str, host: SplitResult) -> bool:
    """Return True unless the source is for other hosts; ports by name and paths are ignored."""
    if source == "'self'":
        return host.hostname in [name.lower() for name in settings.ALLOWED_HOSTS]
    if source.endswith(":"):
        return host.scheme.startswith(source[:-1])
    named = urlsplit(source if "//" in source else f"//{source}").netloc.lower()
    return host.netloc == named or (named.startswith("*") and host.netloc.endswith(named[1:]))
