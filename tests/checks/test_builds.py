"""The options, and the build that the pages of a deployed site point at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from tests import s3
from tests.helpers import Site, site
from versioned_storage.checks.builds import (
    check_build,
    check_cdn_domain,
    check_compressor,
    check_debug,
    check_options,
    check_sources,
    check_static_root,
    check_static_root_outside_sources,
)

from .helpers import CDN, ids, only

ANOTHER = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
FILES = {"css/app.css": "body {}"}
DEPLOYED = [check_static_root, check_debug, check_build]


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


def test_a_source_that_collectstatic_would_wait_for_is_an_error(tmp_path: Path) -> None:
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as shop:
        assert check_sources(None) == []
        (shop.sources / "loop").symlink_to(".")
        error = only(check_sources(None))
    assert (error.id, error.level) == ("versioned_storage.E003", checks.ERROR)
    assert f"{shop.sources}/loop is a link to {shop.sources}, which it is in" in error.msg


# The options


def test_an_option_that_cannot_be_is_an_error_in_the_words_of_the_storage(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="a/b"):
        error = only(check_options(None))
    assert (error.id, error.level) == ("versioned_storage.E001", checks.ERROR)
    assert error.msg.startswith("BUILD_VERSION is 'a/b'. It takes 1 to 64 letters, digits,")


def test_an_unknown_argument_of_the_storage_is_an_error_too(tmp_path: Path) -> None:
    with site(tmp_path, options={"cdn": CDN}):
        assert "the unknown option 'cdn'" in only(check_options(None)).msg


def test_a_static_url_that_cannot_hold_builds_is_an_error(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/builds/"):
        assert "STATIC_URL is '/builds/'" in only(check_options(None)).msg


def test_what_django_s_own_storage_needs_is_an_error_in_django_s_words(tmp_path: Path) -> None:
    with site(tmp_path, STATIC_URL=None):
        assert "the required STATIC_URL setting" in only(check_options(None)).msg
        assert check_static_root(None) == check_debug(None) == check_build(None) == []


def test_the_url_of_the_storage_itself_is_what_counts(tmp_path: Path) -> None:
    """STATIC_URL is not about the files of a storage that has a base_url of its own."""
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/", options={"base_url": "/assets/"}):
        assert check_options(None) == []
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/static/", options={"base_url": "/"}):
        assert "its path is the whole site" in only(check_options(None)).msg


@pytest.mark.parametrize(
    "more",
    [
        {"options": {"cdn_domain": CDN}},
        {"options": {"cdn_domain": CDN}, "BUILD_VERSION": "b1"},
        {"backend": ANOTHER, "BUILD_VERSION": "/"},
    ],
)
def test_nothing_is_wrong_with_options_that_can_be(tmp_path: Path, more: Any) -> None:
    """A missing build version is none of it: `migrate` runs this check too."""
    with site(tmp_path, **more):
        assert check_options(None) == []


@pytest.mark.parametrize("check", DEPLOYED)
@pytest.mark.parametrize("more", [{"BUILD_VERSION": "a/b"}, {"backend": ANOTHER}])
def test_what_has_no_usable_storage_of_ours_has_no_other_finding(
    tmp_path: Path, check: Any, more: Any
) -> None:
    with site(tmp_path, DEBUG=True, **more), override_settings(STATIC_ROOT=None):
        assert check(None) == []


# STATIC_ROOT and DEBUG


def test_without_static_root_there_is_no_place_for_a_build(tmp_path: Path) -> None:
    with site(tmp_path, STATIC_ROOT=None):
        warning = only(check_static_root(None))
    assert ids([warning]) == ["W004"]
    assert warning.hint == 'STATIC_ROOT = BASE_DIR / "staticfiles"'


@pytest.mark.parametrize("more", [{}, {"STATIC_ROOT": None, "options": {"location": "there"}}])
def test_a_place_for_builds_is_static_root_or_the_storage_s_own(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, **more):
        assert check_static_root(None) == []


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


# No build is configured


def test_a_cdn_without_a_build_version_is_what_every_page_will_fail_with(tmp_path: Path) -> None:
    with site(tmp_path, options={"cdn_domain": CDN}):
        warning = only(check_build(None))
    assert ids([warning]) == ["W006"]
    assert "BUILD_VERSION=$(git rev-parse --short HEAD)" in warning.msg


def test_builds_that_no_page_uses_are_named(tmp_path: Path) -> None:
    for build in ("b1", "b2"):
        with site(tmp_path, FILES, BUILD_VERSION=build) as one:
            one.collect()
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
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        one.collect()
    with site(tmp_path, FILES, DEBUG=True):
        assert check_build(None) == []


# The build is there, or not


def test_a_build_that_is_nowhere_on_disk_is_missing(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        warning = only(check_build(None))
        assert ids([warning]) == ["W007"]
        place = one.root / "b1" / "staticfiles.json"
        assert warning.msg == f"Build b1 is not there: there is no {place}."
        assert warning.hint == "BUILD_VERSION=b1 python manage.py collectstatic --noinput"
        one.collect()
        assert check_build(None) == []


def test_a_test_suite_needs_no_build(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="b1", options={"manifest_strict": False}):
        assert check_build(None) == []


def test_a_manifest_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        one.collect()
        (one.root / "b1" / "staticfiles.json").write_text("{")
        warning = only(check_build(None))
    assert ids([warning]) == ["W008"]
    assert "staticfiles.json" in warning.msg


def test_a_manifest_that_the_disk_does_not_give_is_a_warning(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        (one.root / "b1" / "staticfiles.json").mkdir(parents=True)
        assert ids(check_build(None)) == ["W008"]


def test_a_build_on_s3_is_there_without_a_copy_on_disk(tmp_path: Path, bucket: s3.Bucket) -> None:
    options = {"cdn_domain": CDN, "origin": bucket.options()}
    with site(tmp_path, FILES, BUILD_VERSION="b1", options=options) as one:
        one.collect()
        assert check_build(None) == []
    with site(tmp_path, BUILD_VERSION="b1", options=options, STATIC_ROOT=None):
        assert check_build(None) == []


def test_a_build_that_is_neither_on_disk_nor_on_s3_names_both(
    tmp_path: Path, bucket: s3.Bucket
) -> None:
    options = {"origin": bucket.options()}
    with site(tmp_path, BUILD_VERSION="b1", options=options) as one:
        warning = only(check_build(None))
    assert ids([warning]) == ["W007"]
    record = f"s3://{bucket.name}/builds/b1.json"
    assert str(one.root / "b1" / "staticfiles.json") in warning.msg
    assert f"and no {record}." in warning.msg


def test_a_build_that_is_on_disk_and_was_never_published_is_missing(
    tmp_path: Path, bucket: s3.Bucket
) -> None:
    """Its pages render, and each of their URLs is a 403."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        one.collect()
    with site(tmp_path, FILES, BUILD_VERSION="b1", options={"origin": bucket.options()}):
        warning = only(check_build(None))
    assert ids([warning]) == ["W007"]
    assert warning.msg == (f"Build b1 is not there: there is no s3://{bucket.name}/builds/b1.json.")


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
    assert "could not be found out" in warning.msg


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
    found = checks.run_checks(tags=["versioned_storage"], include_deployment_checks=True)
    assert "W008" in ids(found)
    assert front.requests != []


@pytest.fixture
def one_site_that_counts(tmp_path: Path) -> Iterator[tuple[Site, Any]]:
    with refuses(403, "AccessDenied") as front:
        options = {"origin": s3.options(front.url, "my-site-static")}
        with site(tmp_path, BUILD_VERSION="b1", options=options) as one:
            yield one, front


# Where STATIC_ROOT is, and what the CDN's domain is


def test_a_static_root_among_the_sources_is_an_error(tmp_path: Path) -> None:
    with site(tmp_path, STATIC_ROOT=str(tmp_path / "sources" / "built")):
        error = only(check_static_root_outside_sources(None))
        with pytest.raises(SystemCheckError, match="each build would hold all earlier builds"):
            call_command("collectstatic", interactive=False, skip_checks=False)
    assert (error.id, error.level) == ("versioned_storage.E002", checks.ERROR)
    assert error.msg.startswith(f"STATIC_ROOT is {tmp_path}/sources/built, in {tmp_path}/sources,")


@pytest.mark.parametrize("more", [{}, {"STATIC_ROOT": None}, {"backend": ANOTHER}])
def test_a_static_root_of_its_own_is_right(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, **more):
        assert check_static_root_outside_sources(None) == []


@pytest.mark.parametrize(
    ("domain", "finding", "remedy"),
    [
        (
            "cdn.test/static",
            (
                "cdn_domain is 'https://cdn.test/static', and STATIC_URL's path comes after it: "
                "URLs begin with https://cdn.test/static/static/."
            ),
            "'cdn_domain': 'https://cdn.test'",
        ),
        (
            "http://cdn.test",
            (
                "cdn_domain is 'http://cdn.test': pages that are served over https load no script "
                "and no style sheet over http."
            ),
            "'cdn_domain': 'https://cdn.test'",
        ),
        (
            CDN,
            (
                "cdn_domain is 'https://d111111abcdef8.cloudfront.net', the sample domain of the "
                "documentation: every static file of every page would be asked for there."
            ),
            (
                "'cdn_domain': the domain of your distribution; `aws cloudfront "
                "list-distributions` prints it."
            ),
        ),
    ],
)
def test_a_cdn_domain_that_cannot_be_meant_is_a_warning(
    tmp_path: Path, domain: str, finding: str, remedy: str
) -> None:
    with site(tmp_path, options={"cdn_domain": domain}, STATIC_URL="/static/"):
        warning = only(check_cdn_domain(None))
    assert (ids([warning]), warning.level) == (["W012"], checks.WARNING)
    assert warning.msg == finding
    assert warning.hint == remedy


@pytest.mark.parametrize(
    "domain",
    ["cdn.test", "cdn.test/assets", "http://127.0.0.1:8000", "http://localhost:8000", None],
)
def test_a_cdn_domain_that_can_be_meant_is_no_finding(tmp_path: Path, domain: str | None) -> None:
    with site(tmp_path, options={"cdn_domain": domain}):
        assert check_cdn_domain(None) == []


# django-compressor


@pytest.fixture
def compressor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it was in INSTALLED_APPS, which changes the settings for good."""
    is_installed = apps.is_installed
    monkeypatch.setattr(
        apps, "is_installed", lambda name: name == "compressor" or is_installed(name)
    )


def test_what_compressor_makes_is_not_on_s3(tmp_path: Path, compressor: None) -> None:
    options = {"origin": {"bucket_name": "my-site-static"}}
    with site(tmp_path, options=options, BUILD_VERSION="b1", STATIC_URL="/static/"):
        warning = only(check_compressor(None))
    assert ids([warning]) == ["W013"]
    assert warning.msg == (
        "django-compressor writes to STATIC_ROOT/CACHE, which belongs to no build and is not "
        "published to the bucket my-site-static: pages would link to files that are not there."
    )
    assert warning.hint == (
        "COMPRESS_ENABLED = False, because every file of a build is compressed and cached for "
        "ever; or have the CDN ask the application for /static/CACHE/*, where "
        "VersionedWhiteNoiseMiddleware serves it, and silence this check."
    )


def test_what_compressor_makes_is_served_from_static_root(tmp_path: Path, compressor: None) -> None:
    with site(tmp_path, BUILD_VERSION="b1"):
        assert check_compressor(None) == []


@pytest.mark.parametrize(
    "more",
    [{"COMPRESS_ENABLED": False}, {"DEBUG": True}, {"BUILD_VERSION": None}, {"backend": ANOTHER}],
)
def test_compressor_that_does_nothing_is_no_finding(
    tmp_path: Path, compressor: None, more: Any
) -> None:
    options = {} if "backend" in more else {"origin": {"bucket_name": "my-site-static"}}
    with site(tmp_path, options=options, **{"BUILD_VERSION": "b1", **more}):
        assert check_compressor(None) == []


def test_without_compressor_there_is_nothing_to_find(tmp_path: Path) -> None:
    options = {"origin": {"bucket_name": "my-site-static"}}
    with site(tmp_path, options=options, BUILD_VERSION="b1"):
        assert check_compressor(None) == []
