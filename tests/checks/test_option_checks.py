"""The options, STATIC_ROOT, the CDN's domain and django-compressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from tests.helpers import site, write
from versioned_storage import optimizers
from versioned_storage.checks import option_checks
from versioned_storage.checks.build_checks import check_build, check_debug
from versioned_storage.checks.option_checks import (
    check_cdn_domain,
    check_command,
    check_compressor,
    check_options,
    check_sources,
    check_static_root,
    check_static_root_outside_sources,
)
from versioned_storage.optimizers import Optimizer

from .helpers import CDN, ids, only

ANOTHER = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
DEPLOYED = [check_static_root, check_debug, check_build]


def test_an_option_that_cannot_be_is_an_error_in_the_words_of_the_storage(tmp_path: Path) -> None:
    with site(tmp_path, BUILD_VERSION="a/b"):
        error = only(check_options(None))
    assert (error.id, error.level) == ("versioned_storage.E001", checks.ERROR)
    assert error.msg.startswith("BUILD_VERSION is 'a/b'. It takes 1 to 64 letters, digits,")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shop_missing.minified", "No module named 'shop_missing'"),
        (
            "tests.helpers.minified",
            'Module "tests.helpers" does not define a "minified" attribute/class',
        ),
        ("versioned_storage.optimizers._RULES", "it is of type int"),
    ],
)
def test_a_transform_that_is_no_function_is_an_error(tmp_path: Path, path: str, says: str) -> None:
    with site(tmp_path, options={"transforms": [("*.css", path)]}):
        error = only(check_options(None))
    assert error.id == "versioned_storage.E001"
    assert error.msg == (
        f"The option transforms names {path}: {says}. Correct the dotted path of the function, or "
        "take it out of the option."
    )


def test_a_transform_whose_packages_are_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = Optimizer(lambda _, data: data, "minify", ("package-that-is-missing",))
    monkeypatch.setattr(optimizers, "css", optimizer)
    with site(tmp_path, options={"transforms": [("*", "versioned_storage.optimizers.css")]}):
        error = only(check_options(None))
    assert error.id == "versioned_storage.E001"
    assert "package-that-is-missing is not installed. Run pip install" in error.msg


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


def test_without_static_root_there_is_no_place_for_a_build(tmp_path: Path) -> None:
    with site(tmp_path, STATIC_ROOT=None):
        warning = only(check_static_root(None))
    assert ids([warning]) == ["W004"]
    assert warning.hint == 'STATIC_ROOT = BASE_DIR / "staticfiles"'


@pytest.mark.parametrize("more", [{}, {"STATIC_ROOT": None, "options": {"location": "there"}}])
def test_a_place_for_builds_is_static_root_or_the_storage_s_own(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, **more):
        assert check_static_root(None) == []


def test_a_source_that_collectstatic_cannot_collect_is_named_and_only_a_deployment_looks(
    tmp_path: Path,
) -> None:
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as shop:
        assert check_sources(None) == []
        (shop.sources / "loop").symlink_to(".")
        error = only(check_sources(None))
    assert (error.id, error.level) == ("versioned_storage.W014", checks.WARNING)
    assert f"{shop.sources}/loop is a link to {shop.sources}, which it is in" in error.msg


OTHER_COMMAND = "from django.contrib.staticfiles.management.commands.collectstatic import Command"
SUBCLASS = """
from versioned_storage.management.commands import collectstatic
class Command(collectstatic.Command):
    pass
"""


@pytest.mark.parametrize(
    ("app", "command", "expected"),
    [
        ("versioned_storage", None, []),
        ("django.contrib.staticfiles", None, ["W025"]),
        ("shop_of_another_command", OTHER_COMMAND, ["W025"]),
        ("shop_of_a_subclass", SUBCLASS, []),
    ],
)
def test_a_collectstatic_that_is_not_ours_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    app: str,
    command: str | None,
    expected: list[str],
) -> None:
    if command is not None:
        write(tmp_path, {f"{app}/management/commands/collectstatic.py": command})
        monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(option_checks, "get_commands", lambda: {"collectstatic": app})
    with site(tmp_path):
        findings = check_command(None)
    assert ids(findings) == expected
    assert all(f"the command of {app}, which is above" in finding.msg for finding in findings)


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
        "ever; or run `manage.py compress` before collectstatic, with a COMPRESS_ROOT that is in "
        "STATICFILES_DIRS; or have the CDN ask the application for /static/CACHE/*, where "
        "VersionedWhiteNoiseMiddleware serves it, and silence this check."
    )
    compressed = str(tmp_path / "compressed")
    sources = [tmp_path / "sources", ("", compressed)]
    with site(tmp_path, options=options, BUILD_VERSION="b1", STATICFILES_DIRS=sources):
        with override_settings(COMPRESS_ROOT=compressed):
            assert check_compressor(None) == []
        with override_settings(COMPRESS_ROOT=tmp_path / "static_root"):
            assert ids(check_compressor(None)) == ["W013"]


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
