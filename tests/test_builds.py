import os

import pytest

from tests.helpers import site, write
from versioned_storage.static_root import base_build, complete_builds

NAME = "staticfiles.json"


@pytest.fixture
def root(tmp_path):
    """A STATIC_ROOT with two builds in it."""
    for build in ("b1", "b2"):
        with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION=build) as one:
            one.collect()
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
    assert base_build(str(root), NAME, apart_from="b2") is None


def test_without_a_static_root_there_are_no_builds(tmp_path):
    assert complete_builds(None, NAME) == []
    assert complete_builds(str(tmp_path / "none"), NAME) == []


def test_a_pipe_in_the_place_of_a_manifest_may_be_a_builds_and_blocks_nobody(root):
    (root / "b2" / NAME).unlink()
    os.mkfifo(root / "b2" / NAME)
    assert complete_builds(str(root), NAME) == ["b1", "b2"]
    assert base_build(str(root), NAME, apart_from="b1") is None
