"""MIDDLEWARE: what is above our middleware, beside it or in its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.apps import apps
from django.test import Client, override_settings

from tests.helpers import site
from versioned_storage.checks.middleware_order import FOR_PAGES, check_order, check_whitenoise

from .helpers import COMMON, GZIP, OURS, SECURITY, SESSION, WHITENOISE, ids, only

HERE = "tests.checks.middlewares"
FILES = {"img/dot.png": b"x" * 3000}


def order(*middleware: str) -> list[str]:
    with override_settings(MIDDLEWARE=list(middleware)):
        return ids(check_order(None))


def whitenoise(*middleware: str) -> list[str]:
    with override_settings(MIDDLEWARE=list(middleware)):
        return ids(check_whitenoise(None))


@pytest.mark.parametrize(
    "middleware",
    [
        [],
        [OURS],
        [SESSION, COMMON],
        [SECURITY, OURS, SESSION, COMMON, GZIP],
        [OURS, SECURITY],
        ["django.middleware.http.ConditionalGetMiddleware", OURS],
        ["django.middleware.clickjacking.XFrameOptionsMiddleware", OURS],
        [f"{HERE}.function", OURS],
        ["nowhere.Middleware", OURS],
        [f"{HERE}.NotThere", OURS],
    ],
)
def test_what_may_stand_above_ours_is_no_finding(middleware: list[str]) -> None:
    assert order(*middleware) == []


def test_what_is_for_pages_is_to_be_below_ours() -> None:
    with override_settings(MIDDLEWARE=[SECURITY, SESSION, COMMON, OURS]):
        warning = only(check_order(None))
    assert ids([warning]) == ["W001"]
    assert warning.msg.startswith(f"{OURS} is below {SESSION}, {COMMON}: for every static file")
    assert warning.hint == f'In MIDDLEWARE, move the line "{OURS}", right above "{SESSION}".'


def test_the_names_of_django_s_middleware_are_right() -> None:
    """Those of apps that are not installed here cannot be imported, only read."""
    for name in (*FOR_PAGES, SECURITY, GZIP):
        module, _, class_name = name.rpartition(".")
        source = Path(django.__file__).parent.parent / f"{module.replace('.', '/')}.py"
        assert re.search(rf"^class {class_name}\b", source.read_text(), re.MULTILINE)


def test_subclasses_count_on_both_sides() -> None:
    ours, sessions = f"{HERE}.Ours", f"{HERE}.TenantSessions"
    assert order(ours, sessions) == []
    with override_settings(MIDDLEWARE=[sessions, ours]):
        assert f"{ours} is below {sessions}:" in only(check_order(None)).msg


def test_gzip_above_ours_is_a_finding_of_its_own() -> None:
    assert order(GZIP, OURS) == ["W002"]
    with override_settings(MIDDLEWARE=[SECURITY, GZIP, SESSION, OURS]):
        warnings = check_order(None)
    assert ids(warnings) == ["W001", "W002"]
    assert {message.hint for message in warnings} == {
        f'In MIDDLEWARE, move the line "{OURS}", right above "{GZIP}".'
    }


def test_gzip_above_ours_does_what_the_check_says(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=[GZIP, OURS]) as shop:
        shop.collect()
        url, headers = shop.storage.url("img/dot.png"), {"accept-encoding": "gzip"}
        whole = Client().get(url, headers=headers)
        part = Client().get(url, headers={**headers, "range": "bytes=0-99"})
    assert whole["Content-Encoding"] == "gzip"
    assert "Content-Length" not in whole
    assert whole["ETag"].startswith("W/")
    assert (part.status_code, part["Content-Encoding"]) == (206, "gzip")
    for response in (whole, part):
        response.close()


@pytest.mark.parametrize("middleware", [[OURS, WHITENOISE], [WHITENOISE, OURS]])
def test_whitenoise_s_own_beside_ours_is_to_be_removed(middleware: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        warning = only(check_whitenoise(None))
    assert ids([warning]) == ["W003"]
    assert warning.hint == f'From MIDDLEWARE, remove the line "{WHITENOISE}".'


def test_ours_is_not_taken_for_whitenoise_s_own() -> None:
    assert whitenoise(OURS) == whitenoise(f"{HERE}.Ours") == []


def test_whitenoise_s_own_in_the_place_of_ours_serves_no_build(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1", STATIC_URL="/static/") as shop:
        shop.collect()
        apps.get_app_config("versioned_storage").ready()
        with override_settings(MIDDLEWARE=[WHITENOISE]):
            warning = only(check_whitenoise(None))
            assert Client().get(shop.storage.url("img/dot.png")).status_code == 404
    assert ids([warning]) == ["W003"]
    assert "it looks in STATIC_ROOT for what is below /static/b1/, and answers 404" in warning.msg
    assert warning.hint == f'In MIDDLEWARE, write "{OURS}" in the place of "{WHITENOISE}".'


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"BUILD_VERSION": "b1", "DEBUG": True},
        {"BUILD_VERSION": "b1", "WHITENOISE_STATIC_PREFIX": "/static/"},
        {"BUILD_VERSION": "b1", "options": {"base_url": "/assets/"}},
        {"BUILD_VERSION": "b1", "options": {"origin": {"bucket_name": "my-site-static"}}},
        {"BUILD_VERSION": "a/b"},
        {
            "BUILD_VERSION": "b1",
            "backend": "whitenoise.storage.CompressedManifestStaticFilesStorage",
        },
    ],
)
def test_whitenoise_s_own_alone_can_be_right(tmp_path: Path, more: Any) -> None:
    """Without a build, or beside a bucket for WHITENOISE_ROOT."""
    with site(tmp_path, **more):
        assert whitenoise(WHITENOISE) == []
