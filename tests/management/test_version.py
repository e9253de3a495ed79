"""manage.py staticbuilds version."""

import os
import re
import shutil

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage

from tests.helpers import site, write
from tests.management.command import staticbuilds
from versioned_storage import content_version
from versioned_storage.build.source_errors import UnusableFiles
from versioned_storage.storage import VersionedStaticFilesStorage

FILES = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "js/app.js": "console.log('hello');\n",
    "img/logo.png": b"\x89PNG" * 20,
}


def version(tmp_path, files=FILES, *arguments, **settings):
    """The version of a site that has these files and no others."""
    shutil.rmtree(tmp_path / "sources", ignore_errors=True)
    with site(tmp_path, files, **settings):
        return staticbuilds("version", *arguments).output


def test_it_prints_a_build_version_and_nothing_else(tmp_path, capfd):
    output = version(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{12}\n", output)
    assert capfd.readouterr() == ("", "")


def test_json_has_the_number_of_files_too(tmp_path):
    with site(tmp_path, FILES):
        output = staticbuilds("version").output
        assert staticbuilds("version", "--json").data == {
            "build_version": output.strip(),
            "files": 3,
        }


def test_it_needs_no_build_version_and_asks_nobody(tmp_path):
    nobody = {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:1"}
    options = {"cdn_domain": "cdn.example.com", "origin": nobody}
    output = version(tmp_path, options=options)
    assert len(output) == 13
    with_one = version(tmp_path, options=options, BUILD_VERSION=output.strip())
    assert with_one == output


def test_the_same_files_elsewhere_written_in_another_order_at_another_time_have_the_same(tmp_path):
    here = version(tmp_path)
    other = tmp_path / "other machine"
    other.mkdir()
    write(other / "sources", dict(reversed(FILES.items())))
    for path in (other / "sources").rglob("*"):
        os.utime(path, (1, 1))
    with site(other):
        assert staticbuilds("version").output == here


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "js/app.js": "console.log('hallo');\n"},
        {**FILES, "new.txt": ""},
        {name: FILES[name] for name in list(FILES)[1:]},
        {**{name: FILES[name] for name in list(FILES)[1:]}, "css/site.css": FILES["css/app.css"]},
        {**FILES, "css/app.css": FILES["js/app.js"], "js/app.js": FILES["css/app.css"]},
    ],
    ids=["bytes", "added", "removed", "renamed", "swapped"],
)
def test_every_change_of_a_source_changes_it(tmp_path, files):
    assert version(tmp_path, files) != version(tmp_path)


class Another(VersionedStaticFilesStorage):
    pass


class AnotherPattern(VersionedStaticFilesStorage):
    patterns = (*VersionedStaticFilesStorage.patterns, ("*.txt", (r"see (?P<url>\S+)",)))


@pytest.mark.parametrize(
    "changed",
    [
        {"options": {"encodings": ["gzip"]}},
        {"options": {"skip_compress_extensions": ["css"]}},
        {"options": {"keep_originals": False}},
        {"options": {"js_modules": True}},
        {"options": {"prehashed": r"^img/"}},
        {"options": {"cdn_domain": "cdn.example.com"}},
        {"STATIC_URL": "/assets/"},
        {"FORCE_SCRIPT_NAME": "/shop"},
        {"backend": f"{__name__}.Another"},
    ],
    ids=str,
)
def test_what_shapes_a_build_changes_it(tmp_path, changed):
    if "FORCE_SCRIPT_NAME" in changed:
        changed = {**changed, "STATIC_URL": "static/"}
    assert version(tmp_path, **changed) != version(tmp_path)


def test_the_patterns_of_a_subclass_change_it(tmp_path, monkeypatch):
    before = version(tmp_path, backend=f"{__name__}.AnotherPattern")
    monkeypatch.setattr(AnotherPattern, "patterns", VersionedStaticFilesStorage.patterns)
    assert version(tmp_path, backend=f"{__name__}.AnotherPattern") != before


def test_another_format_of_builds_changes_it(tmp_path, monkeypatch):
    before = version(tmp_path)
    monkeypatch.setattr(content_version, "FORMAT", content_version.FORMAT + 1)
    assert version(tmp_path) != before


@pytest.mark.parametrize(
    "options",
    [
        {"strict_source_maps": True},
        {"ignore_missing": ["*.css:*.htc"]},
        {"connections": 8},
        {"publish": False},
        {"manifest_strict": False},
        {"prehashed": r"^nothing-of-that-name"},
    ],
    ids=str,
)
def test_what_shapes_no_build_leaves_it(tmp_path, options):
    assert version(tmp_path, options=options) == version(tmp_path)


def test_a_callable_counts_by_what_it_says_of_each_file(tmp_path):
    by_pattern = version(tmp_path, options={"prehashed": r"^img/"})
    by_callable = version(tmp_path, options={"prehashed": lambda name: name.startswith("img/")})
    assert by_callable == by_pattern


def test_the_files_are_those_that_collectstatic_collects(tmp_path):
    files = {**FILES, ".hidden": "x", "notes~": "x", "CVS/a": "x", "a.scss": "x"}
    with site(tmp_path, files) as shop:
        shop.collect(ignore_patterns=["*.scss"])
        sources = content_version.find_sources(["*.scss"])
        assert sources.keys() == shop.storage.hashed_files.keys() == FILES.keys()


def test_ignored_files_do_not_count(tmp_path):
    files = {**FILES, "a.scss": "x", "scss/b.txt": "x"}
    assert version(tmp_path, files) != version(tmp_path)
    ignored = version(tmp_path, files, "--ignore", "*.scss", "-i", "scss/")
    assert ignored == version(tmp_path)


def test_without_the_default_patterns_dotfiles_count(tmp_path):
    files = {**FILES, ".well-known/a.txt": "x"}
    assert version(tmp_path, files) == version(tmp_path)
    assert version(tmp_path, files, "--no-default-ignore") != version(tmp_path)


def test_of_two_files_of_one_name_the_first_one_found_counts(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write(first, {"a.txt": "first"})
    write(second, {"a.txt": "second", "b.txt": "b"})
    both = [str(first), str(second)]
    before = version(tmp_path, {}, STATICFILES_DIRS=both)
    write(second, {"a.txt": "shadowed all the same"})
    assert version(tmp_path, {}, STATICFILES_DIRS=both) == before
    assert version(tmp_path, {}, STATICFILES_DIRS=both[::-1]) != before


def test_a_directory_with_a_prefix_counts_by_its_full_names(tmp_path):
    plain = version(tmp_path, {"vendor/a.txt": "a"})
    write(tmp_path / "vendor", {"a.txt": "a"})
    prefixed = [("vendor", str(tmp_path / "vendor"))]
    assert version(tmp_path, {}, STATICFILES_DIRS=prefixed) == plain


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    with site(tmp_path, FILES) as shop:
        (shop.sources / "gone.css").symlink_to(tmp_path / "nowhere.css")
        with pytest.raises(UnusableFiles, match=r"gone\.css is a link to .*nowhere\.css, which"):
            staticbuilds("version")


class Endless:
    """A file of 64 MB that is never in memory at once."""

    def __init__(self):
        self.left, self.largest = 64, 0

    def read(self, size):
        self.largest = max(self.largest, size)
        self.left -= 1
        return b"x" * min(size, 1 << 20) if self.left >= 0 else b""

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass


def test_files_are_read_in_pieces(tmp_path):
    endless = Endless()
    source = InMemoryStorage()
    source.save("a.bin", ContentFile(b""))
    source.open = lambda _: endless
    with site(tmp_path) as shop:
        content_version.derive_build_version({"a.bin": (source, "a.bin")}, shop.storage)
    assert 0 < endless.largest <= 1 << 20


def test_collecting_under_it_gives_a_build_of_that_name(tmp_path):
    with site(tmp_path, FILES):
        named = staticbuilds("version").output.strip()
    with site(tmp_path, FILES, BUILD_VERSION=named) as shop:
        shop.collect()
        assert (shop.root / named / "staticfiles.json").is_file()
        assert staticbuilds("version").output.strip() == named
