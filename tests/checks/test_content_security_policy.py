"""The Content Security Policy: pages may load the files of a build from the CDN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import checks
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from tests.helpers import Site, site
from versioned_storage.checks.content_security_policy import check_policies

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


def found(directives: dict[str, Any]) -> list[str]:
    """The directives that refuse the CDN."""
    with policy(directives):
        return [message.hint.split('["DIRECTIVES"]["')[1].split('"')[0] for message in check()]


def check() -> Any:
    return check_policies(None)


# Directives


@pytest.mark.usefixtures("cdn")
def test_a_directive_without_the_cdn_is_shown_with_it() -> None:
    with policy({"default-src": ["'self'", f"https://{CDN}"], "style-src": ["'self'", "x.test"]}):
        warning = only(check())
    assert (ids([warning]), warning.level) == (["W009"], checks.WARNING)
    assert warning.msg == (
        f"CONTENT_SECURITY_POLICY keeps pages from loading style sheets from https://{CDN}: "
        "style-src does not name it."
    )
    assert warning.hint == (
        'CONTENT_SECURITY_POLICY["DIRECTIVES"]["style-src"] = '
        f"[\"'self'\", 'x.test', 'https://{CDN}']"
    )


@pytest.mark.usefixtures("cdn")
def test_what_default_src_decides_is_said_once() -> None:
    with policy({"default-src": SELF}):
        warning = only(check())
    assert "loading style sheets and scripts from" in warning.msg
    assert '["default-src"] = ' in warning.hint


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ({"default-src": [CDN]}, []),
        ({"default-src": SELF, "style-src": [CDN], "script-src": [CDN]}, []),
        ({"default-src": [CDN], "script-src": SELF}, ["script-src"]),
        ({"style-src": SELF, "script-src": SELF, "default-src": None}, ["style-src", "script-src"]),
        ({"style-src": SELF, "style-src-elem": [CDN], "script-src": [CDN]}, []),
        ({"style-src": [CDN], "style-src-elem": SELF, "script-src": [CDN]}, ["style-src-elem"]),
        ({"default-src": None, "frame-ancestors": SELF}, []),
        ({"default-src": None, "style-src": False, "upgrade-insecure-requests": True}, []),
        ({"Default-Src": SELF, "default-src": None}, ["default-src"]),
        ({}, ["default-src"]),
    ],
)
def test_the_directive_that_a_browser_takes_is_judged(
    directives: dict[str, Any], expected: list[str]
) -> None:
    assert found(directives) == expected


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    "value",
    [f"'self' {CDN}", (CDN,), {"'self'", CDN}, frozenset({CDN}), ["'self' https:"], ["*"]],
)
def test_sources_are_read_however_they_are_written(value: Any) -> None:
    assert found({"default-src": value}) == []


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("value", ["'self'", ("'self'",), {"'self'"}, [*SELF, "'unsafe-inline'"]])
def test_sources_without_the_cdn_are_found_however_they_are_written(value: Any) -> None:
    assert found({"default-src": value}) == ["default-src"]


# What is not sure


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("value", [["'none'"], "'none'", [], True])
def test_a_page_that_may_load_nothing_of_a_kind_does_not_want_the_cdn_s(value: Any) -> None:
    assert found({"default-src": value}) == []


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize(
    "mark", ["'strict-dynamic'", "'nonce-abc'", "<CSP_NONCE_SENTINEL>", Nonce()], ids=str
)
def test_with_a_nonce_a_script_may_come_from_anywhere(mark: Any) -> None:
    assert found({"script-src": [*SELF, mark], "style-src": [CDN]}) == []


def test_an_image_has_no_nonce(tmp_path: Path) -> None:
    with site(tmp_path, EVERYTHING, options={"cdn_domain": CDN}, BUILD_VERSION="b1") as one:
        one.collect()
        with policy({"default-src": [*SELF, Nonce()], "font-src": "'none'"}):
            warning = only(check())
    assert "loading images from" in warning.msg
    assert warning.hint.endswith(f"= [\"'self'\", csp.constants.NONCE, 'https://{CDN}']")


@pytest.mark.usefixtures("cdn")
def test_self_is_enough_where_the_cdn_is_the_site() -> None:
    with override_settings(ALLOWED_HOSTS=[CDN.upper()]):
        assert found({"default-src": SELF}) == []
    with override_settings(ALLOWED_HOSTS=["*", ".cloudfront.net"]):
        assert found({"default-src": SELF}) == ["default-src"]


def test_images_and_fonts_count_where_the_build_has_them(tmp_path: Path) -> None:
    directives = {"default-src": SELF, "style-src": [CDN], "script-src": [CDN], "font-src": SELF}
    more: Any = {"options": {"cdn_domain": CDN}, "BUILD_VERSION": "b1"}
    with site(tmp_path, CSS_AND_JS, **more) as one:
        one.collect()
        assert found(directives) == []
    with site(tmp_path, EVERYTHING, **{**more, "BUILD_VERSION": "b2"}) as one:
        one.collect()
        assert found(directives) == ["default-src", "font-src"]


def test_a_broken_manifest_is_for_another_check(tmp_path: Path) -> None:
    with site(tmp_path, CSS_AND_JS, options={"cdn_domain": CDN}, BUILD_VERSION="b1") as one:
        one.collect()
        (one.root / "b1" / "staticfiles.json").write_text("{")
        assert found({"default-src": SELF}) == ["default-src"]


# Sites


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
        assert found({"default-src": SELF}) == []


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
        warning = only(check())
    assert warning.msg.endswith(f" from {host}: default-src does not name it.")
    assert warning.hint.endswith(f"[\"'self'\", '{host}']")


# Settings


@pytest.mark.usefixtures("cdn")
def test_a_policy_that_only_reports_is_named_as_one() -> None:
    with policy({"default-src": SELF}, "CONTENT_SECURITY_POLICY_REPORT_ONLY"):
        warning = only(check())
    assert warning.msg.startswith(
        "CONTENT_SECURITY_POLICY_REPORT_ONLY would, if it were enforced, keep pages from loading "
    )


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
def test_the_settings_of_django_csp_3_are_read() -> None:
    with override_settings(
        MIDDLEWARE=[DJANGO_CSP], CSP_STYLE_SRC=("'self'", "x.test"), CSP_SCRIPT_SRC=[CDN]
    ):
        warning = only(check())
        assert warning.msg.startswith("The policy of the CSP_ settings keeps pages from loading ")
        assert warning.hint == f"CSP_STYLE_SRC = [\"'self'\", 'x.test', 'https://{CDN}']"
        with override_settings(CSP_REPORT_ONLY=True):
            assert "would, if it were enforced, keep" in only(check()).msg
        with override_settings(CONTENT_SECURITY_POLICY={"DIRECTIVES": {"default-src": [CDN]}}):
            assert check() == []


@pytest.mark.usefixtures("cdn")
def test_django_csp_3_adds_nonces_where_a_setting_says_so() -> None:
    settings: Any = {"MIDDLEWARE": [DJANGO_CSP], "CSP_STYLE_SRC": [CDN]}
    with override_settings(**settings, CSP_SCRIPT_SRC=SELF):
        assert ids(check()) == ["W009"]
    for nonces in (["script-src"], ("script-src", "style-src")):
        with override_settings(**settings, CSP_INCLUDE_NONCE_IN=nonces):
            assert check() == []


@pytest.mark.usefixtures("cdn")
def test_without_any_setting_the_version_of_django_csp_decides_and_nothing_is_said() -> None:
    with override_settings(MIDDLEWARE=[DJANGO_CSP]):
        assert check() == []


def test_a_nonce_of_django_csp_3_is_no_part_of_the_line_to_write(tmp_path: Path) -> None:
    with site(tmp_path, EVERYTHING, options={"cdn_domain": CDN}, BUILD_VERSION="b1") as one:
        one.collect()
        with override_settings(
            MIDDLEWARE=[DJANGO_CSP],
            CSP_DEFAULT_SRC=SELF,
            CSP_INCLUDE_NONCE_IN=["default-src"],
        ):
            warning = only(check())
    assert "loading images and fonts from" in warning.msg
    assert warning.hint == f"CSP_DEFAULT_SRC = [\"'self'\", 'https://{CDN}']"


@django_6
@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("setting", ["SECURE_CSP", "SECURE_CSP_REPORT_ONLY"])
def test_django_s_own_policies_are_read(setting: str) -> None:
    from django.utils.csp import CSP

    given = {"default-src": [CSP.SELF], "script-src": [CSP.SELF, CSP.NONCE]}
    with override_settings(MIDDLEWARE=[DJANGO], **{setting: given}):
        warning = only(check())
    assert warning.msg.startswith(f"{setting} ")
    assert "loading style sheets from" in warning.msg
    assert warning.hint == f"{setting}[\"default-src\"] = [\"'self'\", 'https://{CDN}']"


@django_6
@pytest.mark.usefixtures("cdn")
def test_the_line_to_write_is_a_policy_that_django_sends() -> None:
    from django.middleware.csp import ContentSecurityPolicyMiddleware

    given = {"default-src": SELF}
    with override_settings(MIDDLEWARE=[DJANGO], SECURE_CSP=given):
        exec(only(check()).hint, {"SECURE_CSP": given})
        assert check() == []
        middleware = ContentSecurityPolicyMiddleware(lambda _: HttpResponse())
        answer = middleware(RequestFactory().get("/"))
    assert answer["Content-Security-Policy"] == f"default-src 'self' https://{CDN}"


@django_6
@pytest.mark.usefixtures("cdn")
def test_an_empty_policy_of_django_is_none() -> None:
    with override_settings(MIDDLEWARE=[DJANGO], SECURE_CSP={}, SECURE_CSP_REPORT_ONLY=None):
        assert check() == []
