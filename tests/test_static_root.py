"""STATIC_ROOT: the builds in it, and where it may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.apps import apps
from django.test import override_settings

from tests.helpers import site, write
from versioned_storage.static_root import (
    StaticRootAmongSources,
    check_outside_sources,
    complete_builds,
)

APP_FINDER = "django.contrib.staticfiles.finders.AppDirectoriesFinder"


@pytest.mark.parametrize("root", ["sources", "sources/built/static", "sources/../sources/built"])
def test_static_root_in_a_source_directory_is_refused(tmp_path: Path, root: str) -> None:
    with site(tmp_path) as shop, pytest.raises(StaticRootAmongSources) as raised:
        check_outside_sources(str(tmp_path / root))
    assert raised.value.directory == str(shop.sources)
    assert str(raised.value) == (
        f"STATIC_ROOT is {tmp_path / root}, in {shop.sources}, which collectstatic collects from: "
        "each build would hold all earlier builds. Give STATIC_ROOT a directory of its own, for "
        'example STATIC_ROOT = BASE_DIR / "staticfiles".'
    )


def test_static_root_that_is_an_app_s_static_directory_is_refused() -> None:
    installed = ["django.contrib.staticfiles", "tinymce"]
    with override_settings(
        INSTALLED_APPS=installed, STATICFILES_DIRS=[], STATICFILES_FINDERS=[APP_FINDER]
    ):
        directory = Path(apps.get_app_config("tinymce").path, "static")
        with pytest.raises(StaticRootAmongSources, match=str(directory)):
            check_outside_sources(str(directory))


def test_a_link_does_not_hide_that_it_is_a_source_directory(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "sources")
    with site(tmp_path), pytest.raises(StaticRootAmongSources):
        check_outside_sources(str(tmp_path / "linked" / "built"))


@pytest.mark.parametrize("root", ["static_root", "sources-built", ".", None])
def test_static_root_beside_or_above_the_sources_is_right(tmp_path: Path, root: str | None) -> None:
    with site(tmp_path):
        check_outside_sources(root and str(tmp_path / root))


def test_a_directory_that_collectstatic_leaves_out_may_be_among_the_sources(tmp_path: Path) -> None:
    with site(tmp_path):
        check_outside_sources(str(tmp_path / "sources" / ".built"))


NAME = "staticfiles.json"


@pytest.fixture
def root(tmp_path):
    """A STATIC_ROOT with two builds in it."""
    for build in ("b1", "b2"):
        with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION=build) as shop:
            shop.collect()
    return tmp_path / "static_root"


def test_each_directory_with_its_own_manifest_is_a_build(root):
    (root / "b3").mkdir()
    assert complete_builds(str(root), NAME) == ["b1", "b2"]


def test_what_an_application_brings_along_is_no_build(root):
    write(root, {"vendor/staticfiles.json": '{"version": "1.1", "paths": {}}'})
    (root / "b1").rename(root / "copy-of-b1")
    assert complete_builds(str(root), NAME) == ["b2"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"version": "9.0"}'])
def test_a_manifest_that_cannot_be_read_may_be_a_builds(root, content):
    (root / "b1" / NAME).write_bytes(content)
    assert complete_builds(str(root), NAME) == ["b1", "b2"]


def test_without_a_static_root_there_are_no_builds(tmp_path):
    assert complete_builds(None, NAME) == []
    assert complete_builds(str(tmp_path / "none"), NAME) == []


def test_a_pipe_in_the_place_of_a_manifest_may_be_a_builds_and_blocks_nobody(root):
    (root / "b2" / NAME).unlink()
    os.mkfifo(root / "b2" / NAME)
    assert complete_builds(str(root), NAME) == ["b1", "b2"]
