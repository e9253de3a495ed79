"""An application that a CDN pulls static files from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.helpers import site
from versioned_storage.checks.origin_pull import check_allowed_hosts, check_ssl_redirect

from .helpers import CDN, COMMON, OURS, SECURITY, ids, only

FILES = {"css/app.css": "body {}"}
PULLED: dict[str, Any] = {"options": {"cdn_domain": CDN}, "BUILD_VERSION": "b1"}
REDIRECTS = {**PULLED, "MIDDLEWARE": [SECURITY, OURS], "SECURE_SSL_REDIRECT": True}
REFUSES = {**PULLED, "MIDDLEWARE": [COMMON, OURS]}


def test_a_pull_over_http_is_redirected_until_the_hint_is_taken(tmp_path: Path) -> None:
    with site(tmp_path, FILES, **REDIRECTS) as shop:
        shop.collect()
        warning = only(check_ssl_redirect(None))
        assert Client().get("/static/b1/css/app.css").status_code == 301
    assert ids([warning]) == ["W010"]
    assert warning.hint == "SECURE_REDIRECT_EXEMPT = ['^static/']"

    with site(tmp_path, FILES, **REDIRECTS, SECURE_REDIRECT_EXEMPT=["^static/"]):
        assert check_ssl_redirect(None) == []
        response = Client().get("/static/b1/css/app.css")
        assert response.status_code == 200
        response.close()


def test_what_is_exempt_already_stays_so(tmp_path: Path) -> None:
    more = {"SECURE_REDIRECT_EXEMPT": ["^health$"], "STATIC_URL": "/my-static/"}
    with site(tmp_path, **REDIRECTS, **more):
        hint = only(check_ssl_redirect(None)).hint
    *_, pattern = eval(hint.removeprefix("SECURE_REDIRECT_EXEMPT = "))
    assert "'^health$', " in hint
    assert re.search(pattern, "my-static/b1/app.css")


@pytest.mark.parametrize(
    "more",
    [
        {"SECURE_SSL_REDIRECT": False},
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        {"SECURE_REDIRECT_EXEMPT": [r"^static/[0-9a-z]+/"]},
        {"MIDDLEWARE": [OURS, SECURITY]},
        {"MIDDLEWARE": [SECURITY]},
        {"options": {}},
        {"BUILD_VERSION": "a/b"},
        {"STATIC_URL": None},
    ],
)
def test_no_cdn_is_redirected_here(tmp_path: Path, more: dict[str, Any]) -> None:
    with site(tmp_path, **{**REDIRECTS, **more}):
        assert check_ssl_redirect(None) == []


@pytest.mark.parametrize(
    "more",
    [
        {"BUILD_VERSION": None},
        {"options": {}, "STATIC_URL": "//static.example.com/static/"},
        {"options": {"cdn_domain": CDN, "origin": {"bucket_name": "my-site-static"}}},
    ],
    ids=["no build here", "a host in STATIC_URL", "failover of a bucket"],
)
def test_all_that_a_cdn_may_pull_from_is_looked_at(tmp_path: Path, more: dict[str, Any]) -> None:
    with site(tmp_path, **{**REDIRECTS, **more}):
        assert ids(check_ssl_redirect(None)) == ["W010"]


@pytest.mark.parametrize("hosts", [[], ["localhost", ".localhost", "127.0.0.1", "[::1]"]])
def test_hosts_that_no_cdn_can_send_refuse_it(tmp_path: Path, hosts: list[str]) -> None:
    with site(tmp_path, FILES, **REFUSES, ALLOWED_HOSTS=hosts) as shop:
        shop.collect()
        warning = only(check_allowed_hosts(None))
        answer = Client().get("/static/b1/css/app.css", headers={"host": "origin.example.com"})
        assert answer.status_code == 400
    assert ids([warning]) == ["W011"]
    assert f"ALLOWED_HOSTS = {hosts!r} has no domain." in warning.msg
    assert f'move the line "{OURS}", right above "{COMMON}"' in warning.hint


def test_with_ours_above_the_host_does_not_count(tmp_path: Path) -> None:
    middleware = {"MIDDLEWARE": [SECURITY, OURS, COMMON]}
    with site(tmp_path, FILES, **{**PULLED, **middleware}, ALLOWED_HOSTS=[]) as shop:
        shop.collect()
        assert check_allowed_hosts(None) == []
        answer = Client().get("/static/b1/css/app.css", headers={"host": "origin.example.com"})
        assert answer.status_code == 200
        answer.close()


@pytest.mark.parametrize(
    "more",
    [
        {"ALLOWED_HOSTS": ["*"]},
        {"ALLOWED_HOSTS": [CDN]},
        {"ALLOWED_HOSTS": ["127.0.0.1", "www.example.com"]},
        {"ALLOWED_HOSTS": [".example.com"]},
        {"ALLOWED_HOSTS": [], "DEBUG": True},
        {"ALLOWED_HOSTS": [], "options": {}},
        {"ALLOWED_HOSTS": [], "MIDDLEWARE": [COMMON]},
    ],
)
def test_a_domain_can_be_that_of_the_origin(tmp_path: Path, more: dict[str, Any]) -> None:
    """CloudFront's settings say which domain that is, Django's need not."""
    with site(tmp_path, **{**REFUSES, **more}):
        assert check_allowed_hosts(None) == []
