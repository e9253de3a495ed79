"""The Content Security Policy: pages may load the files of a build from the CDN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import checks
from django.test import override_settings

from tests.helpers import Site, site
from versioned_storage.checks.csp import DIRECTIVES, check_policies

from .helpers import CDN, ids, only

DJANGO = "django.middleware.csp.ContentSecurityPolicyMiddleware"
DJANGO_CSP = "tests.checks.middlewares.CSPMiddleware"
CSS_AND_JS = {"css/app.css": "body {}", "js/app.js": "1"}
EVERYTHING = {**CSS_AND_JS, "img/dot.PNG": b"x", "fonts/a.woff2": b"x"}
SELF = ["'self'"]

django_6 = pytest.mark.skipif(django.VERSION < (6, 0), reason="SECURE_CSP is new in 6.0")


class Nonce:
    """django-csp 4 has one, which says so of itself."""

    def __repr__(self) -> str:
        return "csp.constants.NONCE"


@pytest.fixture
def cdn(tmp_path: Path) -> Iterator[Site]:
    """A site behind a CDN whose build is not here."""
    with site(
        tmp_path, options={"cdn_domain": CDN}, BUILD_VERSION="b1", ALLOWED_HOSTS=["a.b"]
    ) as x:
        yield x


def policy(directives: dict[str, Any], setting: str = "CONTENT_SECURITY_POLICY") -> Any:
    """Settings of django-csp 4, which work on every Django."""
    return override_settings(MIDDLEWARE=[DJANGO_CSP], **{setting: {"DIRECTIVES": directives}})


def lacking(directives: dict[str, Any]) -> list[str]:
    """The directives that refuse the CDN."""
    with policy(directives):
        return [message.msg.split(": ")[1].split(" lacks")[0] for message in check()]


def check() -> Any:
    return check_policies(None)


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    "value",
    [f"'self' {CDN}", (CDN,), {"'self'", CDN}, frozenset({CDN}), ["'self' https:"], ["*"]],
)
def test_sources_are_read_however_they_are_written(value: Any) -> None:
    assert lacking({"default-src": value}) == []


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("value", ["'self'", ("'self'",), {"'self'"}, [*SELF, "'unsafe-inline'"]])
def test_sources_without_the_cdn_are_found_however_they_are_written(value: Any) -> None:
    assert lacking({"default-src": value}) == ["default-src"]


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("value", [["'none'"], "'none'", [], True])
def test_a_page_that_may_load_nothing_of_a_kind_does_not_want_the_cdn_s(value: Any) -> None:
    assert lacking({"default-src": value}) == []


@pytest.mark.usefixtures("cdn")
def test_self_is_enough_where_the_cdn_is_the_site() -> None:
    with override_settings(ALLOWED_HOSTS=[CDN.upper()]):
        assert lacking({"default-src": SELF}) == []
    with override_settings(ALLOWED_HOSTS=["*", ".cloudfront.net"]):
        assert lacking({"default-src": SELF}) == ["default-src"]


@pytest.mark.parametrize(
    "more",
    [
        {"backend": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        {"STATIC_URL": "/static/"},
        {"STATIC_URL": None},
        {"options": {"cdn_domain": 3}},
    ],
)
def test_without_a_cdn_there_is_nothing_to_allow(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, **more):
        assert lacking({"default-src": SELF}) == []


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    "settings",
    [
        {"MIDDLEWARE": []},
        {"CONTENT_SECURITY_POLICY": {}},
        {"CONTENT_SECURITY_POLICY": None},
    ],
)
def test_a_policy_that_nobody_sends_is_none(settings: dict[str, Any]) -> None:
    with policy({"default-src": SELF}), override_settings(**settings):
        assert check() == []


@pytest.mark.usefixtures("cdn")
def test_a_subclass_of_the_middleware_sends_the_policy_too() -> None:
    subclass = "tests.checks.middlewares.RateLimitedCSPMiddleware"
    with policy({"default-src": SELF}), override_settings(MIDDLEWARE=[subclass]):
        assert ids(check()) == ["W009"]


@pytest.mark.usefixtures("cdn")
def test_without_any_setting_the_version_of_django_csp_decides_and_nothing_is_said() -> None:
    with override_settings(MIDDLEWARE=[DJANGO_CSP]):
        assert check() == []


@django_6
@pytest.mark.usefixtures("cdn")
def test_an_empty_policy_of_django_is_none() -> None:
    with override_settings(MIDDLEWARE=[DJANGO], SECURE_CSP={}, SECURE_CSP_REPORT_ONLY=None):
        assert check() == []


@pytest.mark.usefixtures("cdn")
def test_a_directive_without_the_cdn_is_named_with_what_to_add() -> None:
    directives = {"default-src": ["'self'", f"https://{CDN}"], "style-src": ["'self'", "x.test"]}
    with policy(directives):
        warning = only(check())
    assert (ids([warning]), warning.level) == (["W009"], checks.WARNING)
    assert warning.msg == (
        'CONTENT_SECURITY_POLICY["DIRECTIVES"] allows no static files from the CDN: style-src '
        f"lacks https://{CDN}."
    )
    assert warning.hint == (
        f'Add "https://{CDN}" to "style-src" in CONTENT_SECURITY_POLICY["DIRECTIVES"].'
    )


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({"default-src": [CDN]}, []),
        ({"default-src": SELF}, ["default-src"]),
        ({"default-src": SELF, **{key: [CDN] for key in DIRECTIVES}}, []),
        ({"default-src": [CDN], "script-src": SELF}, ["script-src"]),
        ({"default-src": [CDN], "img-src": SELF, "font-src": SELF}, ["img-src", "font-src"]),
        ({"style-src": SELF, "script-src": SELF, "default-src": None}, ["style-src", "script-src"]),
        ({"default-src": [CDN], "style-src": SELF, "style-src-elem": [CDN]}, []),
        ({"default-src": [CDN], "style-src-elem": SELF}, ["style-src-elem"]),
        ({"default-src": None, "frame-ancestors": SELF}, []),
        ({"default-src": None, "style-src": False, "upgrade-insecure-requests": True}, []),
        ({"Default-Src": SELF, "default-src": None}, ["default-src"]),
        ({}, ["default-src"]),
    ],
)
def test_the_directive_that_a_browser_takes_is_judged(
    directives: dict[str, Any], expected: list[str]
) -> None:
    assert lacking(directives) == expected


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    ("source", "is_enough"),
    [
        (CDN.upper(), True),
        ("*.cloudfront.net", True),
        ("https:", True),
        ("http:", True),
        (f"https://{CDN}/static/", True),
        ("*.example.com", False),
        (f"x.{CDN}", False),
        ("data:", False),
        ("'sha256-AAAA'", False),
    ],
)
def test_a_source_is_enough_if_it_has_the_cdn(source: str, is_enough: bool) -> None:
    assert (lacking({"default-src": [*SELF, source]}) == []) is is_enough


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    "mark", ["'strict-dynamic'", "'nonce-abc'", "<CSP_NONCE_SENTINEL>", Nonce()], ids=str
)
def test_with_a_nonce_a_script_may_come_from_anywhere_and_an_image_may_not(mark: Any) -> None:
    assert lacking({"default-src": [CDN], "script-src": [*SELF, mark]}) == []
    assert lacking({"default-src": [CDN], "img-src": [*SELF, mark]}) == ["img-src"]


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({"options": {"cdn_domain": CDN}}, f"https://{CDN}"),
        ({"options": {"cdn_domain": f"http://{CDN}:8080/a"}}, f"http://{CDN}:8080"),
        ({"STATIC_URL": "https://s.test/static/"}, "https://s.test"),
        ({"STATIC_URL": "//s.test/static/"}, "https://s.test"),
        ({"options": {"base_url": "https://own.test/x/"}}, "https://own.test"),
    ],
)
def test_the_host_is_where_the_files_are(tmp_path: Path, more: Any, host: str) -> None:
    """Whether or not a build is configured where the check runs."""
    with site(tmp_path, **more), policy({"default-src": SELF}):
        assert only(check()).msg.endswith(f": default-src lacks {host}.")
    with site(tmp_path, **more), policy({"default-src": [host]}):
        assert check() == []


@pytest.mark.usefixtures("cdn")
def test_a_policy_that_only_reports_is_read_too() -> None:
    with policy({"default-src": SELF}, "CONTENT_SECURITY_POLICY_REPORT_ONLY"):
        assert only(check()).msg.startswith('CONTENT_SECURITY_POLICY_REPORT_ONLY["DIRECTIVES"] ')


@django_6
@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("setting", ["SECURE_CSP", "SECURE_CSP_REPORT_ONLY"])
def test_django_s_own_policies_are_read(setting: str) -> None:
    from django.utils.csp import CSP

    directives = {"default-src": [CSP.SELF], "script-src": [CSP.SELF, CSP.NONCE]}
    with override_settings(MIDDLEWARE=[DJANGO], **{setting: directives}):
        warning = only(check())
        assert warning.msg.startswith(f"{setting} allows no static files from the CDN: default-src")
        assert warning.hint == f'Add "https://{CDN}" to "default-src" in {setting}.'
    directives["default-src"].append(f"https://{CDN}")
    with override_settings(MIDDLEWARE=[DJANGO], **{setting: directives}):
        assert check() == []
