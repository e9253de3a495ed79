"""The Content Security Policies in the settings: Django's own, and those of django-csp 3 and 4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from ..site import middleware

DJANGO = "django.middleware.csp.ContentSecurityPolicyMiddleware"
DJANGO_CSP = "csp.middleware.CSPMiddleware"
#: How the str of what stands for a nonce begins: in a header, in Django, in django-csp.
NONCES = ("'nonce-", "<CSP_NONCE", "csp.constants.NONCE")
#: The directives that django-csp 3 has a setting for and that are about static files.
_OF_FILES = (
    "default-src",
    "font-src",
    "img-src",
    "script-src",
    "script-src-elem",
    "style-src",
    "style-src-elem",
)

Directives = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Policy:
    """One policy. ``setting_of`` gives what is assigned to for the sources of a directive."""

    setting: str
    directives: Directives
    setting_of: Callable[[str], str]
    report_only: bool = False


def policies() -> Iterator[Policy]:
    """Each policy of the settings whose middleware is there to send it."""
    entries = middleware()
    if any(one.is_a(DJANGO) for one in entries):
        for setting in ("SECURE_CSP", "SECURE_CSP_REPORT_ONLY"):
            if given := getattr(settings, setting, None):
                yield Policy(
                    setting,
                    _directives(given),
                    f'{setting}["{{}}"]'.format,
                    report_only=setting.endswith("REPORT_ONLY"),
                )
    if any(one.is_a(DJANGO_CSP) for one in entries):
        # Where the dicts of version 4 are set, the settings of version 3 are none any more.
        yield from list(_of_django_csp_4()) or _of_django_csp_3()


def _of_django_csp_4() -> Iterator[Policy]:
    for setting in ("CONTENT_SECURITY_POLICY", "CONTENT_SECURITY_POLICY_REPORT_ONLY"):
        if given := getattr(settings, setting, None):
            yield Policy(
                setting,
                _directives({"default-src": "'self'", **(given.get("DIRECTIVES") or {})}),
                f'{setting}["DIRECTIVES"]["{{}}"]'.format,
                report_only=setting.endswith("REPORT_ONLY"),
            )


def _of_django_csp_3() -> Iterator[Policy]:
    given = {
        directive: getattr(settings, _setting_of(directive))
        for directive in _OF_FILES
        if hasattr(settings, _setting_of(directive))
    }
    if not given:
        # Version 3 then sends default-src 'self', version 4 nothing.
        return
    directives = dict(_directives({"default-src": "'self'", **given}))
    for directive in getattr(settings, "CSP_INCLUDE_NONCE_IN", ()):
        directives[directive] = (*directives.get(directive, ()), NONCES[0])
    yield Policy(
        "The policy of the CSP_ settings",
        directives,
        _setting_of,
        report_only=bool(getattr(settings, "CSP_REPORT_ONLY", False)),
    )


def _setting_of(directive: str) -> str:
    return f"CSP_{directive.replace('-', '_').upper()}"


def _directives(given: Mapping[str, Any]) -> Directives:
    """The sources of each directive, whatever they were written as."""
    found: dict[str, tuple[str, ...]] = {}
    for directive, value in given.items():
        # None and False: the directive is not sent.
        if value is None or value is False:
            continue
        values: Iterable[Any] = (value,)
        if isinstance(value, (set, frozenset)):
            values = sorted(map(str, value))
        elif isinstance(value, (list, tuple)):
            values = value
        elif value is True:
            values = ()
        found[directive.lower()] = tuple(source for one in values for source in str(one).split())
    return found
