"""The build that the pages of a deployed site point at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks

from tests import s3
from tests.helpers import Site, site
from versioned_storage.checks.build_checks import check_build, check_debug
from versioned_storage.checks.option_checks import check_options

from .helpers import CDN, ids, only

FILES = {"css/app.css": "body {}"}


def refuses(status: int, code: str) -> Any:
    return s3.front(answer=lambda _: s3.refusal(status, code, "No."))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3.moto() as url:
        yield url


@pytest.fixture
def bucket(server: str) -> Iterator[s3.Bucket]:
    with s3.Bucket.at(server) as bucket:
        yield bucket


def test_debug_with_a_build_version_gives_urls_without_the_build(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="b1", DEBUG=True):
        warning = only(check_debug(None))
        assert check_build(None) == []
    assert ids([warning]) == ["W005"]
    assert "neither to the build b1 nor to a CDN" in warning.msg
    assert warning.hint == "DEBUG = False"


@pytest.mark.parametrize("more", [{"DEBUG": True}, {"BUILD_VERSION": "b1"}])
def test_debug_or_a_build_version_alone_is_as_it_should_be(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, **more):
        assert check_debug(None) == []


def test_a_cdn_without_a_build_version_is_what_every_page_will_fail_with(tmp_path: Path) -> None:
    with site(tmp_path, options={"cdn_domain": CDN}):
        warning = only(check_build(None))
    assert ids([warning]) == ["W006"]
    assert "BUILD_VERSION=$(git rev-parse --short HEAD)" in warning.msg


def test_builds_that_no_page_uses_are_named(tmp_path: Path) -> None:
    for build in ("b1", "b2"):
        with site(tmp_path, FILES, BUILD_VERSION=build) as shop:
            shop.collect()
    with site(tmp_path, FILES):
        warning = only(check_build(None))
    assert ids([warning]) == ["W006"]
    assert "STATIC_ROOT has the builds b1, b2" in warning.msg
    assert "BUILD_VERSION=b2" in warning.hint


@pytest.mark.parametrize(
    "more",
    [{}, {"options": {"cdn_domain": CDN, "manifest_strict": False}}],
    ids=["neutral", "test suite"],
)
def test_a_site_that_wants_no_build_needs_none(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, FILES, **more):
        assert check_build(None) == []


def test_on_a_developer_s_machine_builds_may_lie_around(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
    with site(tmp_path, FILES, DEBUG=True):
        assert check_build(None) == []


def test_a_build_that_is_nowhere_on_disk_is_missing(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        warning = only(check_build(None))
        assert ids([warning]) == ["W007"]
        place = shop.root / "b1" / "staticfiles.json"
        assert warning.msg == f"Build b1 is missing: there is no {place}."
        assert warning.hint == "BUILD_VERSION=b1 python manage.py collectstatic --noinput"
        shop.collect()
        assert check_build(None) == []


def test_a_test_suite_needs_no_build(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="b1", options={"manifest_strict": False}):
        assert check_build(None) == []


def test_a_manifest_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        (shop.root / "b1" / "staticfiles.json").write_text("{")
        warning = only(check_build(None))
    assert ids([warning]) == ["W008"]
    assert "staticfiles.json" in warning.msg


def test_a_manifest_that_the_disk_does_not_give_is_a_warning(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        (shop.root / "b1" / "staticfiles.json").mkdir(parents=True)
        assert ids(check_build(None)) == ["W008"]


def test_a_build_on_s3_is_there_without_a_copy_on_disk(tmp_path: Path, bucket: s3.Bucket) -> None:
    options = {"cdn_domain": CDN, "origin": bucket.options()}
    with site(tmp_path, FILES, BUILD_VERSION="b1", options=options) as shop:
        shop.collect()
        assert check_build(None) == []
    with site(tmp_path, BUILD_VERSION="b1", options=options, STATIC_ROOT=None):
        assert check_build(None) == []


def test_a_build_that_is_neither_on_disk_nor_on_s3_names_both(
    tmp_path: Path, bucket: s3.Bucket
) -> None:
    options = {"origin": bucket.options()}
    with site(tmp_path, BUILD_VERSION="b1", options=options) as shop:
        warning = only(check_build(None))
    assert ids([warning]) == ["W007"]
    record = f"s3://{bucket.name}/builds/b1.json"
    assert str(shop.root / "b1" / "staticfiles.json") in warning.msg
    assert f"and no {record}." in warning.msg
    assert warning.hint == "BUILD_VERSION=b1 python manage.py collectstatic --noinput"


def test_a_build_that_is_on_disk_and_was_never_published_is_missing(
    tmp_path: Path, bucket: s3.Bucket
) -> None:
    """Its pages render, and each of their URLs is a 403."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
    with site(tmp_path, FILES, BUILD_VERSION="b1", options={"origin": bucket.options()}):
        warning = only(check_build(None))
    assert ids([warning]) == ["W007"]
    assert warning.msg == (f"Build b1 is missing: there is no s3://{bucket.name}/builds/b1.json.")
    assert warning.hint == "python manage.py staticbuilds publish b1"


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (503, "SlowDown"), (500, "InternalError")]
)
def test_an_origin_that_refuses_is_a_warning(tmp_path: Path, status: int, code: str) -> None:
    with refuses(status, code) as front:
        options = {"origin": s3.options(front.url, "my-site-static")}
        with site(tmp_path, BUILD_VERSION="b1", options=options):
            warning = only(check_build(None))
        assert len(front.requests) == 1
    assert (ids([warning]), warning.level) == (["W008"], checks.WARNING)
    assert f"{status} {code}" in warning.msg
    assert s3.SECRET_KEY not in json.dumps([warning.msg, warning.hint])


def test_an_origin_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    options = {"origin": s3.options("http://127.0.0.1:9", "my-site-static")}
    with site(tmp_path, BUILD_VERSION="b1", options=options):
        warning = only(check_build(None))
    assert ids([warning]) == ["W008"]
    assert "could not read build b1" in warning.msg


def test_an_origin_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """Only a deployment asks, because finding out means importing boto3."""
    options = {"origin": {"bucket_name": "my-site-static", "bucket": "x"}}
    with site(tmp_path, BUILD_VERSION="b1", options=options):
        assert check_options(None) == []
        error = only(check_build(None))
    assert error.id == "versioned_storage.E001"
    assert "'bucket' is none of" in error.msg


def test_only_a_deployment_asks_the_origin(one_site_that_counts: tuple[Site, Any]) -> None:
    _, front = one_site_that_counts
    checks.run_checks()
    assert front.requests == []
    warnings = checks.run_checks(tags=["versioned_storage"], include_deployment_checks=True)
    assert "W008" in ids(warnings)
    assert front.requests != []


@pytest.fixture
def one_site_that_counts(tmp_path: Path) -> Iterator[tuple[Site, Any]]:
    with refuses(403, "AccessDenied") as front:
        options = {"origin": s3.options(front.url, "my-site-static")}
        with site(tmp_path, BUILD_VERSION="b1", options=options) as shop:
            yield shop, front
