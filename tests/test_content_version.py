"""A build version derived from the content. `management.test_version` asks the command for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import site
from versioned_storage.build.source_errors import UnusableFiles
from versioned_storage.content_version import derive_build_version, find_sources


@pytest.fixture
def version(tmp_path: Path):
    """Returns the build version of a site with these files."""

    def derive(files: dict[str, str], **settings: object) -> str:
        for path in tmp_path.glob("sources/*"):
            path.unlink()
        with site(tmp_path, files, **settings) as shop:
            return derive_build_version(find_sources(), shop.storage)

    return derive


def test_it_changes_with_each_name_and_each_content(version) -> None:
    versions = {
        version({"a.css": "a{}"}),
        version({"a.css": "b{}"}),
        version({"b.css": "a{}"}),
        version({"a.css": "a{}", "b.css": "a{}"}),
        version({}),
    }
    assert len(versions) == 5


def test_it_does_not_depend_on_the_build_version_that_is_set(version) -> None:
    assert version({"a.css": "a{}"}, BUILD_VERSION="b1") == version({"a.css": "a{}"})


def test_it_changes_with_the_quality_of_the_encodings(version) -> None:
    files = {"a.js": "a", "a.map": "{}"}
    encodings = [["br"], {"br": 10}, {"br": {"*": 10, "*.map": 5}}, {"br": {"*.map": 5}}]
    derived = {version(files, options={"encodings": value}) for value in encodings}
    assert len(derived) == 4


@pytest.mark.parametrize(
    "encodings",
    [
        ["gzip", "br"],
        {"br": {}, "gzip": {}},
        {"br": 11, "gzip": 9},
        {"br": {"*": 11, "*.css": 5}},
        {"br": {"*.js": 5, "*": 11}},
        # Files that no encoding is made of.
        {"br": {"*.png": 5}},
    ],
)
def test_it_is_that_of_the_defaults_where_each_file_has_those(version, encodings) -> None:
    if isinstance(encodings, dict):
        encodings = {"gzip": 9, **encodings}
    files = {"a.js": "a", "a.map": "{}", "a.png": "p"}
    assert version(files, options={"encodings": encodings}) == version(files)


def test_a_source_that_collectstatic_leaves_out_does_not_count(version) -> None:
    assert version({"a.css": "a{}", "staticfiles.json": "{}"}) == version({"a.css": "a{}"})


@pytest.mark.parametrize(("link", "target"), [("loop", "."), ("self.css", "self.css")])
def test_a_loop_of_links_is_an_error_that_names_it(tmp_path: Path, link: str, target: str) -> None:
    with site(tmp_path, {"a.css": "a{}"}) as shop:
        (shop.sources / link).symlink_to(target)
        with pytest.raises(UnusableFiles, match=link):
            find_sources()
