"""The storage: what collectstatic and {% static %} may rely on, versioned and neutral."""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django
import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError
from django.template import Context, Template
from django.test import override_settings
from django.urls import set_script_prefix

from tests.helpers import BACKEND, site, write
from versioned_storage.build.directory import CannotWrite
from versioned_storage.build.manifest import UnreadableManifest
from versioned_storage.build.source_errors import BuildIsComplete, BuildIsFrozen
from versioned_storage.conf import UnknownOption
from versioned_storage.errors import MissingBuildVersion, MissingEntry, MissingManifest
from versioned_storage.static_url import InvalidStaticURL
from versioned_storage.storage import VersionedStaticFilesStorage
from versioned_storage.validators import InvalidOption

CDN = "d111111abcdef8.cloudfront.net"
#: Nothing listens there: whoever asks it fails.
ORIGIN = {
    "bucket_name": "my-site-static",
    "endpoint_url": "http://127.0.0.1:9",
    "region_name": "eu-west-1",
    "access_key": "x",
    "secret_key": "x",
}
FILES = {
    "css/app.css": "body { background: url(../img/logo.svg) }",
    "img/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "js/app.js": "console.log(1)",
}
HASH = r"[0-9a-f]{12}"


def tree(directory):
    """Every file below a directory with what is in it; where a link leads instead."""
    return {
        path.relative_to(directory).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def hashed(path):
    """A URL with the hash in it made readable."""
    return re.sub(rf"(?<=\.){HASH}(?=\.)", "HASH", path)


@pytest.fixture
def mounted():
    """A site that its server mounts at /mount/."""
    set_script_prefix("/mount/")
    yield
    set_script_prefix("/")


# The object


@pytest.mark.parametrize(
    "configured",
    [
        {},
        {"options": {"cdn_domain": CDN}},
        {"options": {"origin": ORIGIN}},
        {"options": {"origin": ORIGIN}, "BUILD_VERSION": "b1"},
        {"STATIC_ROOT": None},
        {"STATIC_ROOT": None, "BUILD_VERSION": "b1"},
        {"STATIC_ROOT": "/nowhere/at/all", "BUILD_VERSION": "b1"},
        {"STATIC_URL": "/", "MEDIA_URL": "/media/"},
    ],
)
def test_making_the_object_never_raises_for_what_is_not_configured_yet(tmp_path, configured):
    with site(tmp_path, **configured) as it:
        assert it.storage.manifest_name == "staticfiles.json"


def test_making_the_object_reads_no_manifest(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1") as it:
        write(it.root / "b1", {"staticfiles.json": "not json"})
        assert it.storage.location == str(it.root / "b1")


def test_an_unknown_option_lists_the_known_ones_of_django_too(tmp_path):
    with site(tmp_path, options={"cdn_domian": CDN}) as it, pytest.raises(UnknownOption) as caught:
        _ = it.storage
    assert str(caught.value).startswith(
        'STORAGES["staticfiles"]["OPTIONS"] has the unknown option '
        "'cdn_domian'. The options are: "
    )
    assert {"cdn_domain", "location", "manifest_storage"} <= set(caught.value.known)


def test_an_option_that_cannot_be_is_an_error_when_the_object_is_made(tmp_path):
    with (
        site(tmp_path, BUILD_VERSION="a/b") as it,
        pytest.raises(InvalidOption, match=r"^BUILD_VERSION is 'a/b'\. It takes 1 to 64 letters"),
    ):
        _ = it.storage


def test_the_arguments_of_djangos_storage_are_taken(tmp_path):
    other = FileSystemStorage(tmp_path / "manifests")
    with site(tmp_path, BUILD_VERSION="b1"):
        storage = VersionedStaticFilesStorage(
            tmp_path / "there",
            "/here/",
            0o640,
            manifest_storage=other,
            directory_permissions_mode=0o750,
        )
    assert storage.location == str(tmp_path / "there" / "b1")
    assert storage.base_url == "/here/b1/"
    assert storage.file_permissions_mode == 0o640
    assert storage.directory_permissions_mode == 0o750
    assert storage.manifest_storage is other
    assert storage.path("a.css") == str(tmp_path / "there" / "b1" / "a.css")


# Where a build is


def test_a_build_is_below_static_root_and_static_url(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/static/") as it:
        assert it.storage.build_version == "b1"
        assert it.storage.location == str(it.root / "b1")
        assert it.storage.base_url == "/static/b1/"


def test_the_neutral_layout_is_static_root_and_static_url_themselves(tmp_path):
    with site(tmp_path, STATIC_URL="/static/") as it:
        assert it.storage.build_version is None
        assert it.storage.location == str(it.root)
        assert it.storage.base_url == "/static/"


@pytest.mark.parametrize(
    ("written", "script_name", "cdn", "base_url"),
    [
        ("/static/", None, None, "/static/b1/"),
        ("/static/", "/app", None, "/static/b1/"),
        ("/static/", None, CDN, f"https://{CDN}/static/b1/"),
        ("/static/", None, "http://localhost:8000/x/", "http://localhost:8000/x/static/b1/"),
        ("https://s.test/x/", None, None, "https://s.test/x/b1/"),
        ("https://s.test/x/", None, "s.test", "https://s.test/x/b1/"),
        ("static/", None, None, "/mount/static/b1/"),
        ("static/", "/app", None, "/app/static/b1/"),
        ("static/", None, CDN, f"https://{CDN}/static/b1/"),
        ("static/", "/app", CDN, f"https://{CDN}/app/static/b1/"),
    ],
)
def test_the_base_url_of_a_build(tmp_path, mounted, written, script_name, cdn, base_url):
    """On a server that mounts the site at /mount/."""
    with site(
        tmp_path,
        FILES,
        options={"cdn_domain": cdn},
        BUILD_VERSION="b1",
        STATIC_URL=written,
        FORCE_SCRIPT_NAME=script_name,
    ) as it:
        it.collect()
        assert it.storage.base_url == base_url
        assert hashed(it.storage.url("css/app.css")) == f"{base_url}css/app.HASH.css"
        assert it.storage.url("") == base_url


@pytest.mark.parametrize(("build", "below"), [(None, ""), ("b1", "b1/")])
def test_an_overridden_static_url_is_seen(tmp_path, build, below):
    with site(tmp_path, BUILD_VERSION=build, STATIC_URL="/static/") as it:
        assert it.storage.base_url == f"/static/{below}"
        with override_settings(STATIC_URL="/other/", STORAGES=it.settings["STORAGES"]):
            assert it.storage.base_url == f"/other/{below}"
        with override_settings(STORAGES=it.settings["STORAGES"]):
            assert it.storage.base_url == f"/static/{below}"


@pytest.mark.parametrize("written", ["/", "/builds/", "https://s.test/"])
def test_a_static_url_that_cannot_hold_builds_is_refused(tmp_path, written):
    with (
        site(tmp_path, BUILD_VERSION="b1", STATIC_URL=written) as it,
        pytest.raises(InvalidStaticURL),
    ):
        _ = it.storage


@pytest.mark.parametrize("written", ["/", "/builds/"])
def test_a_static_url_that_cannot_hold_builds_is_fine_without_one(tmp_path, written):
    with site(tmp_path, FILES, STATIC_URL=written, MEDIA_URL="/media/") as it:
        it.collect()
        assert it.storage.url("css/app.css").startswith(written)


# URLs


def test_a_url_has_the_hashed_name(tmp_path):
    with site(tmp_path, FILES, options={"cdn_domain": CDN}, BUILD_VERSION="b1") as it:
        it.collect()
        assert it.storage.stored_name("img/logo.svg") == it.storage.hashed_files["img/logo.svg"]
        page = Template("{% load static %}{% static 'img/logo.svg' %}").render(Context())
        name = it.storage.hashed_files["img/logo.svg"]
    assert re.fullmatch(rf"img/logo\.{HASH}\.svg", name)
    assert page == f"https://{CDN}/static/b1/{name}"


@pytest.mark.parametrize("build", [None, "b1"])
def test_with_debug_the_url_is_the_plain_local_one(tmp_path, build):
    options = {"cdn_domain": CDN, "origin": ORIGIN}
    with site(tmp_path, options=options, BUILD_VERSION=build, DEBUG=True) as it:
        assert it.storage.url("css/app.css") == "/static/css/app.css"
        assert it.storage.url("no/such file+1#é.css?v=1") == "/static/no/such%20file%2B1#é.css?v=1"
        assert it.storage.url("css/") == "/static/css/"


def test_with_debug_the_hashed_url_can_be_forced(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with override_settings(DEBUG=True):
            assert it.storage.url("js/app.js") == "/static/js/app.js"
            url = it.storage.url("js/app.js", force=True)
    assert hashed(url) == "/static/b1/js/app.HASH.js"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("img/logo.svg?v=1", "img/logo.HASH.svg?v=1"),
        ("img/logo.svg#icon", "img/logo.HASH.svg#icon"),
        ("img/logo.svg?#iefix", "img/logo.HASH.svg?#iefix"),
        ("img/logo.svg?a=1&b=2#icon", "img/logo.HASH.svg?a=1&b=2#icon"),
        ("img/a b.svg", "img/a%20b.HASH.svg"),
        ("img/a+b.svg", "img/a%2Bb.HASH.svg"),
        ("img/a#b.svg", "img/a%23b.HASH.svg"),
        ("img/größe.svg", "img/gr%C3%B6%C3%9Fe.HASH.svg"),
        ("img/gr%C3%B6%C3%9Fe.svg", "img/gr%C3%B6%C3%9Fe.HASH.svg"),
        ("img/a%20b.svg", "img/a%20b.HASH.svg"),
        ("img/", "img/"),
        ("nowhere/", "nowhere/"),
        ("", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("build", [None, "b1"])
def test_names_become_urls_that_a_browser_takes_apart_as_they_were_meant(
    tmp_path, build, name, url
):
    svg = FILES["img/logo.svg"]
    names = ["img/logo.svg", "img/a b.svg", "img/a+b.svg", "img/a#b.svg", "img/größe.svg"]
    with site(tmp_path, dict.fromkeys(names, svg), BUILD_VERSION=build) as it:
        it.collect()
        found = hashed(it.storage.url(name))
    assert found == f"/static/{'b1/' if build else ''}{url}"


# What is missing

ADVICE = (
    "BUILD_VERSION is not set, and with cdn_domain or origin every file is in a build. Set it in "
    "the environment or the settings to what names this deploy, for example "
    "BUILD_VERSION=$(git rev-parse --short HEAD). Builds in STATIC_ROOT: {}."
)


@pytest.mark.parametrize("options", [{"cdn_domain": CDN}, {"origin": ORIGIN}])
def test_a_missing_build_version_names_the_setting(tmp_path, options):
    with site(tmp_path, FILES, options=options) as it:
        for name in ("b2", "b1"):
            write(it.root, {f"{name}/staticfiles.json": "{}", "no-build/x.css": ""})
        before = tree(it.root)
        with pytest.raises(MissingBuildVersion) as caught:
            it.storage.url("css/app.css")
        assert str(caught.value) == ADVICE.format("b1, b2")
        assert isinstance(caught.value, ImproperlyConfigured)
        with pytest.raises(CommandError) as refused:
            it.collect()
        assert str(refused.value) == ADVICE.format("b1, b2")
        with pytest.raises(MissingBuildVersion):
            it.collect(clear=True)
        with pytest.raises(MissingBuildVersion):
            it.collect(dry_run=True)
        assert tree(it.root) == before


def test_without_strictness_no_build_version_and_no_manifest_give_the_plain_url(tmp_path):
    options = {"cdn_domain": CDN, "origin": ORIGIN, "manifest_strict": False}
    with site(tmp_path, options=options) as it:
        assert it.storage.url("css/app.css?v=1#x") == "/static/css/app.css?v=1#x"
        with pytest.raises(MissingBuildVersion):
            it.collect()


def test_without_strictness_an_unknown_name_gives_the_plain_url_in_the_build(tmp_path):
    options = {"cdn_domain": CDN, "origin": ORIGIN, "manifest_strict": False}
    with site(tmp_path, options=options, BUILD_VERSION="b1") as it:
        assert it.storage.url("img/a b.svg#x") == f"https://{CDN}/static/b1/img/a%20b.svg#x"


def test_without_strictness_known_names_are_hashed_and_others_plain(tmp_path):
    options = {"manifest_strict": False}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        assert hashed(it.storage.url("js/app.js")) == "/static/b1/js/app.HASH.js"
        assert it.storage.url("js/new.js") == "/static/b1/js/new.js"


def test_strictness_is_a_setting_and_a_class_attribute(tmp_path):
    class Loose(VersionedStaticFilesStorage):
        manifest_strict = False

    with site(tmp_path, BUILD_VERSION="b1"):
        assert VersionedStaticFilesStorage().manifest_strict is True
        assert Loose().url("a.css") == "/static/b1/a.css"
        with override_settings(VERSIONED_STORAGE={"manifest_strict": True}):
            assert Loose().manifest_strict is True
        with override_settings(VERSIONED_STORAGE={"manifest_strict": False}):
            assert VersionedStaticFilesStorage().url("a.css") == "/static/b1/a.css"


def test_a_missing_manifest_names_where_it_was_looked_for_and_the_command(tmp_path):
    with (
        site(tmp_path, FILES, BUILD_VERSION="b1") as it,
        pytest.raises(MissingManifest) as caught,
    ):
        it.storage.url("css/app.css")
    assert str(caught.value) == (
        "Missing staticfiles manifest entry for 'css/app.css': there is no manifest. Looked at "
        f"{it.root}/b1/staticfiles.json. Run 'python manage.py collectstatic' with the "
        "BUILD_VERSION that this process runs with."
    )
    assert isinstance(caught.value, ValueError)


def test_a_missing_entry_names_what_is_near(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with pytest.raises(MissingEntry) as caught:
            it.storage.url("img/logos.svg")
    assert str(caught.value) == (
        "Missing staticfiles manifest entry for 'img/logos.svg'. Did you mean 'img/logo.svg'? If "
        "the file is new, run 'python manage.py collectstatic' with a new BUILD_VERSION."
    )
    assert isinstance(caught.value, ValueError)


def test_a_hashed_name_says_whose_it_is(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        hashed_name = it.storage.hashed_files["img/logo.svg"]
        with pytest.raises(MissingEntry) as caught:
            it.storage.url(hashed_name)
    assert str(caught.value) == (
        f"Missing staticfiles manifest entry for '{hashed_name}'. It is the hashed name of "
        "'img/logo.svg': write {% static 'img/logo.svg' %}."
    )


def test_a_directory_says_how_to_ask_for_it(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with pytest.raises(MissingEntry) as caught:
            it.storage.url("img")
        assert str(caught.value) == (
            "Missing staticfiles manifest entry for 'img'. It is a directory: "
            "{% static 'img/' %}, with a slash, gives its URL."
        )
        assert it.storage.url("img/") == "/static/b1/img/"


# collectstatic


def test_a_build_has_each_file_under_both_names_with_its_encodings(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        found = tree(it.root)
        paths = it.storage.hashed_files
    names = {"staticfiles.json"} | {
        name + suffix for name in (*paths, *paths.values()) for suffix in ("", ".br", ".gz")
    }
    assert found.keys() == {f"b1/{name}" for name in names}
    assert paths["img/logo.svg"].encode() in b"img/" + found["b1/css/app.css"].partition(b"img/")[2]
    assert found["b1/css/app.css"] == found[f"b1/{paths['css/app.css']}"]


def test_the_neutral_layout_is_that_of_djangos_storage_with_encodings(tmp_path):
    with site(tmp_path, FILES) as it:
        it.collect()
        ours = tree(it.root)
        django_paths = it.storage.hashed_files
    django_root = tmp_path / "django"
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    with site(tmp_path, FILES, backend=backend, STATIC_ROOT=str(django_root)) as it:
        it.collect()
        theirs = tree(django_root)
    paths = json.loads(theirs.pop("staticfiles.json"))["paths"]
    ours.pop("staticfiles.json")
    encoded = {name: ours.pop(name) for name in list(ours) if name.endswith((".br", ".gz"))}
    assert django_paths == paths
    assert ours == theirs
    assert encoded.keys() == {name + suffix for name in theirs for suffix in (".br", ".gz")}


@pytest.mark.parametrize("build", [None, "b1"])
def test_djangos_own_storage_can_load_our_manifest(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        theirs = ManifestStaticFilesStorage(it.storage.location, it.storage.base_url)
        assert theirs.hashed_files == it.storage.hashed_files
        assert theirs.manifest_hash == it.storage.manifest_hash != ""
        for name in FILES:
            assert theirs.url(name) == it.storage.url(name)


def test_another_process_reads_the_manifest(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        fresh = VersionedStaticFilesStorage()
        assert fresh.url("css/app.css") == it.storage.url("css/app.css")
        assert fresh.manifest == it.storage.manifest
        assert fresh.load_manifest() == (it.storage.hashed_files, it.storage.manifest_hash)


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_dry_run_touches_nothing(tmp_path, build):
    with site(tmp_path, FILES, options={"origin": None}, BUILD_VERSION=build) as it:
        it.collect(dry_run=True)
        assert not it.root.exists()
        it.collect()
        before = tree(it.root)
        write(it.sources, {"js/app.js": "console.log(22)"})
        if build is None:
            it.collect(dry_run=True)
            it.collect(dry_run=True, clear=True)
        else:
            with pytest.raises(BuildIsComplete):
                it.collect(dry_run=True)
        assert tree(it.root) == before


def test_a_dry_run_with_an_origin_reaches_for_no_network(tmp_path):
    with site(tmp_path, FILES, options={"origin": ORIGIN}, BUILD_VERSION="b1") as it:
        it.collect(dry_run=True)
        assert not it.root.exists()


@pytest.mark.parametrize("build", [None, "b1"])
def test_with_link_the_originals_are_links_to_the_sources(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect(link=True)
        for name in FILES:
            assert Path(it.storage.path(name)).readlink() == it.sources / name
            copy = Path(it.storage.path(it.storage.hashed_files[name]))
            assert copy.is_file()
            assert not copy.is_symlink()
            assert (it.sources / name).read_text() == FILES[name]
        before = tree(it.root)
        it.collect(link=True)
        assert tree(it.root) == before


@pytest.mark.parametrize("build", [None, "b1"])
def test_clear_starts_again(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        (it.sources / "js/app.js").unlink()
        write(it.sources, {"img/logo.svg": "<svg/>"})
        it.collect(clear=True)
        assert it.storage.hashed_files.keys() == {"css/app.css", "img/logo.svg"}
        names = tree(it.storage.location)
        assert not [name for name in names if name.startswith("js/")]
        assert len([name for name in names if re.fullmatch(rf"img/logo\.{HASH}\.svg", name)]) == 1


def test_clear_of_a_build_leaves_the_others_alone(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root / "b1")
    with site(tmp_path, FILES, BUILD_VERSION="b2") as it:
        it.collect()
        it.collect(clear=True)
        assert tree(it.root / "b1") == before


def test_a_neutral_clear_leaves_builds_alone(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root / "b1")
    with site(tmp_path, FILES) as it:
        write(it.root, {"b2/old.css": "", "old.css": ""})
        it.collect(clear=True)
        assert tree(it.root / "b1") == before
        assert not (it.root / "old.css").exists()
        assert not (it.root / "b2/old.css").exists()
        assert (it.root / "css/app.css").exists()


# A complete build


def test_the_same_again_is_fine_and_changes_nothing(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        for name in FILES:
            (it.sources / name).touch()
        assert "0 static files copied" in it.collect()
        assert tree(it.root) == before


OTHER = {
    "css/app.css": "body { background: url(../img/logo.svg); color: red }",
    "js/new.js": "console.log(2)",
}


@pytest.mark.parametrize("keep_originals", [True, False])
def test_other_content_is_refused_and_leaves_a_complete_build_as_it_was(tmp_path, keep_originals):
    options = {"keep_originals": keep_originals}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        write(it.sources, OTHER)
        (it.sources / "js/app.js").unlink()
        for _ in range(2):
            with pytest.raises(BuildIsComplete) as caught:
                it.collect()
            assert tree(it.root) == before
    assert str(caught.value) == (
        f"Build b1 is complete in {it.root}/b1, and what was collected now is another build. "
        "Against the one that is there it has\n"
        "  added (1): js/new.js\n"
        "  removed (1): js/app.js\n"
        "  changed (1): css/app.css\n"
        "A build never changes: set a new BUILD_VERSION, or run collectstatic --clear if this one "
        "was never deployed."
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"css/new.css": "a { background: url(nowhere.png) }"},
        {"css/new.css": b"a { color: red } /* \xff */"},
        {"js/new.js": "1", "js/new.js.gz": b"no gzip"},
    ],
)
def test_broken_sources_leave_a_complete_build_as_it_was(tmp_path, broken):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        write(it.sources, broken)
        with pytest.raises(CommandError):
            it.collect()
        assert tree(it.root) == before


def test_another_shape_of_the_same_sources_is_another_build(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
    with (
        site(tmp_path, FILES, options={"encodings": ["gzip"]}, BUILD_VERSION="b1") as it,
        pytest.raises(BuildIsComplete, match="no asset, but the options that shape a build"),
    ):
        it.collect()
    assert tree(it.root) == before


def test_a_file_that_a_complete_build_lost_is_brought_back(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        for name in ("css/app.css", it.storage.hashed_files["js/app.js"]):
            Path(it.storage.path(name)).unlink()
        it.collect()
        assert tree(it.root) == before


def test_a_new_build_version_is_the_way_on(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        first = tree(it.root / "b1")
    with site(tmp_path, {**FILES, **OTHER}, BUILD_VERSION="b2") as it:
        it.collect()
        assert it.storage.url("js/new.js").startswith("/static/b2/js/new.")
        assert tree(it.root / "b1") == first


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": "9"}', '{"version": "1.1"}x', b"\xff"]
)
@pytest.mark.parametrize("build", [None, "b1"])
def test_a_broken_manifest_is_said_and_collectstatic_mends_it(tmp_path, build, text):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        before = tree(it.root)
        write(Path(it.storage.location), {"staticfiles.json": text})
        with pytest.raises(UnreadableManifest) as caught:
            VersionedStaticFilesStorage().url("css/app.css")
        found = str(caught.value)
        assert found.startswith("Couldn't load manifest 'staticfiles.json' (version 1.1): it")
        assert found.endswith("Run collectstatic again, with --clear if it is there by mistake.")
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        assert tree(it.root) == before


def test_a_build_that_failed_is_finished_by_the_next_run(tmp_path):
    broken = {"css/app.css": "body { background: url(../img/lgoo.svg) }"}
    with site(tmp_path, {**FILES, **broken}, BUILD_VERSION="b1") as it:
        with pytest.raises(CommandError):
            it.collect()
        assert not (it.root / "b1/staticfiles.json").exists()
        write(it.sources, FILES)
        os.utime(it.sources / "css/app.css", (1, 1))
        it.collect()
        found = (it.root / "b1/css/app.css").read_text()
    assert re.fullmatch(rf'body {{ background: url\("\.\./img/logo\.{HASH}\.svg"\) }}', found)


# Modes


@pytest.mark.parametrize("build", [None, "b1"])
def test_the_modes_of_files_and_directories_apply_to_all_that_is_written(tmp_path, build):
    modes = {"file_permissions_mode": 0o640, "directory_permissions_mode": 0o751}
    with site(tmp_path, FILES, options=modes, BUILD_VERSION=build) as it:
        it.collect()
        below = list(Path(it.storage.location).rglob("*"))
        files = {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_file()}
        directories = {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_dir()}
    assert files == {0o640}
    assert directories == {0o751}


def test_the_modes_of_the_settings_apply_too(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1", FILE_UPLOAD_PERMISSIONS=0o604) as it:
        it.collect()
        paths = [path for path in it.root.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o604}


# Subclasses


class Sha1(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return f"{sum(content.read()):05d}"


class NoHash(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return None


class OtherName(VersionedStaticFilesStorage):
    def hashed_name(self, name, content=None, filename=None):
        path, dot, extension = super().hashed_name(name, content, filename).rpartition(".")
        return f"{path}-mine{dot}{extension}"


class MorePatterns(VersionedStaticFilesStorage):
    patterns = (
        *VersionedStaticFilesStorage.patterns,
        ("*.html", (r"""(?P<matched>data-src=["'](?P<url>.*?)["'])""",)),
        ("*.tpl", ((r"""(?P<matched>load\((?P<url>.*?)\))""", "load(%(url)s)"),)),
    )


class NamedManifest(VersionedStaticFilesStorage):
    manifest_name = "assets.json"


def collected(tmp_path, backend, files=FILES, build="b1"):
    with site(tmp_path, files, backend=f"{__name__}.{backend}", BUILD_VERSION=build) as it:
        it.collect()
        return it.storage, tree(it.storage.location)


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_subclass_computes_the_hash(tmp_path, build):
    storage, found = collected(tmp_path, "Sha1", build=build)
    name = f"js/app.{sum(FILES['js/app.js'].encode()):05d}.js"
    assert storage.hashed_files["js/app.js"] == name
    assert {name, f"{name}.br", f"{name}.gz"} <= found.keys()
    svg = storage.hashed_files["img/logo.svg"]
    assert f'url("../{svg}")'.encode() in found[storage.hashed_files["css/app.css"]]


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_subclass_that_computes_no_hash_leaves_the_names_as_they_are(tmp_path, build):
    storage, found = collected(tmp_path, "NoHash", build=build)
    assert storage.hashed_files == {name: name for name in FILES}
    assert found["js/app.js"] == FILES["js/app.js"].encode()
    assert storage.url("js/app.js") == f"/static/{'b1/' if build else ''}js/app.js"


def test_a_subclass_makes_the_hashed_name(tmp_path):
    storage, found = collected(tmp_path, "OtherName")
    name = storage.hashed_files["img/logo.svg"]
    assert re.fullmatch(rf"img/logo\.{HASH}-mine\.svg", name)
    assert name in found
    assert f'url("../{name}")'.encode() in found["css/app.css"]


def test_a_subclass_adds_patterns(tmp_path):
    files = {
        **FILES,
        "a.html": "<img data-src='img/logo.svg'>",
        "b.tpl": "load(img/logo.svg) load(js/app.js)",
    }
    storage, found = collected(tmp_path, "MorePatterns", files)
    svg, script = (storage.hashed_files[name] for name in ("img/logo.svg", "js/app.js"))
    assert found["a.html"] == f'<img url("{svg}")>'.encode()
    assert found["b.tpl"] == f"load({svg}) load({script})".encode()


def test_a_subclass_names_the_manifest(tmp_path):
    storage, found = collected(tmp_path, "NamedManifest")
    assert "assets.json" in found
    assert "staticfiles.json" not in found
    with site(tmp_path, BUILD_VERSION="b1"):
        assert NamedManifest().url("js/app.js") == storage.url("js/app.js")


def test_the_neutral_layout_knows_builds_by_the_manifest_name_of_the_subclass(tmp_path):
    collected(tmp_path, "NamedManifest")
    with site(tmp_path, FILES, backend=f"{__name__}.NamedManifest") as it:
        it.collect(clear=True)
        assert (it.root / "b1/assets.json").exists()


def test_the_manifest_can_live_in_another_storage(tmp_path):
    elsewhere = FileSystemStorage(tmp_path / "elsewhere")
    options = {"manifest_storage": elsewhere}
    with site(tmp_path, FILES, options=options) as it:
        it.collect()
        it.collect()
        assert list(tree(elsewhere.location)) == ["staticfiles.json"]
        assert not (it.root / "staticfiles.json").exists()
        fresh = VersionedStaticFilesStorage(manifest_storage=elsewhere)
        assert hashed(fresh.url("js/app.js")) == "/static/js/app.HASH.js"


def test_one_manifest_storage_serves_one_build_after_the_other(tmp_path):
    elsewhere = FileSystemStorage(tmp_path / "elsewhere")
    options = {"manifest_storage": elsewhere}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
    with site(tmp_path, OTHER, options=options, BUILD_VERSION="b2") as it:
        it.collect()
        it.collect()
        assert hashed(it.storage.url("js/new.js")) == "/static/b2/js/new.HASH.js"


def test_modules_are_rewritten_where_the_subclass_says_so(tmp_path):
    pytest.importorskip("tree_sitter_javascript")
    files = {"a.js": 'import { b } from "./b.js";\n', "b.js": "export const b = 1;\n"}
    storage, found = collected(tmp_path, "Modules", files)
    assert found["a.js"] == f'import {{ b }} from "./{storage.hashed_files["b.js"]}";\n'.encode()


class Modules(VersionedStaticFilesStorage):
    support_js_module_import_aggregation = True


def test_post_process_yields_each_file_and_whether_it_was_written(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        paths = {name: (FileSystemStorage(it.sources), name) for name in FILES}
        first = list(it.storage.post_process(paths))
        again = list(it.storage.post_process(paths))
        names = it.storage.hashed_files
        dry = list(it.storage.post_process(paths, dry_run=True))
    assert sorted(first) == [(name, names[name], True) for name in sorted(FILES)]
    assert sorted(again) == [(name, names[name], False) for name in sorted(FILES)]
    assert dry == []


def test_post_process_yields_what_is_wrong_with_the_sources(tmp_path):
    with site(tmp_path, {"a.css": "a { background: url(x.png) }"}, BUILD_VERSION="b1") as it:
        ((name, hashed_name, error),) = it.storage.post_process(
            {"a.css": (FileSystemStorage(it.sources), "a.css")}
        )
    assert (name, hashed_name) == ("a.css", None)
    assert isinstance(error, ValueError)
    assert "a.css:1: x.png: there is no 'x.png'" in str(error)


def test_a_file_that_is_overwritten_leaves_its_hashed_twin_alone(tmp_path):
    if django.VERSION < (5, 1):
        pytest.skip("allow_overwrite came with Django 5.1")
    options = {"allow_overwrite": True}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        it.storage.save("js/app.js", ContentFile(b"other"))
        assert Path(it.storage.path("js/app.js")).read_bytes() == b"other"
        twin = Path(it.storage.path(it.storage.hashed_files["js/app.js"]))
        assert twin.read_text() == FILES["js/app.js"]


# The old setting


@pytest.mark.skipif(django.VERSION >= (5, 1), reason="STATICFILES_STORAGE is gone since 5.1")
@pytest.mark.filterwarnings("ignore:The STATICFILES_STORAGE setting is deprecated")
def test_the_old_setting_takes_its_options_from_versioned_storage(tmp_path):
    code = (
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(\n"
        "    INSTALLED_APPS=['django.contrib.staticfiles', 'versioned_storage'],\n"
        f"    STATIC_URL='/static/', STATIC_ROOT={str(tmp_path)!r}, BUILD_VERSION='b1',\n"
        f"    STATICFILES_STORAGE={BACKEND!r},\n"
        f"    VERSIONED_STORAGE={{'cdn_domain': {CDN!r}, 'manifest_strict': False}},\n"
        ")\n"
        "django.setup()\n"
        "from django.templatetags.static import static\n"
        "print(static('a.css'), settings.STATIC_URL)\n"
    )
    prefix = f"https://{CDN}/static/b1/"
    assert run(code).stdout.split() == [f"{prefix}a.css", prefix]


def test_options_come_from_versioned_storage_where_the_storage_is_given_none(tmp_path):
    more = {"cdn_domain": CDN, "build_version": "b7", "encodings": ["gzip"]}
    with site(tmp_path, FILES, VERSIONED_STORAGE=more) as it:
        it.collect()
        assert it.storage.base_url == f"https://{CDN}/static/b7/"
        assert not list(it.root.rglob("*.br"))
        assert list(it.root.rglob("*.gz"))


# A disk that refuses


def run(code, *arguments):
    repository = Path(__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_file_where_a_directory_has_to_be_is_said_with_its_path(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.root.mkdir()
        write(it.root, {"b1" if build else "css": "in the way"})
        with pytest.raises(CommandError) as caught:
            it.collect()
    assert isinstance(caught.value, CannotWrite)
    assert str(caught.value).startswith(f"Cannot write {it.root}/")
    assert str(caught.value).endswith(
        "The build is not complete and nothing was published. See to the space and the permissions "
        "below STATIC_ROOT and run the same command again."
    )


READ_ONLY = """
import os, sys
import django
from django.conf import settings
sources, root = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["django.contrib.staticfiles", "versioned_storage"],
    STATIC_URL="/static/", STATIC_ROOT=root, STATICFILES_DIRS=[sources], BUILD_VERSION="b1",
    STORAGES={"staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"}},
)
django.setup()
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management import ManagementUtility, get_commands
# Whoever is root may write everywhere; what is imported later, nobody may not read.
from django.core.management.commands import runserver
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
ManagementUtility(["manage.py", "collectstatic", "--noinput"]).execute()
"""


def test_a_read_only_static_root_is_said_without_a_traceback():
    with tempfile.TemporaryDirectory() as name:
        # Below pytest's tmp_path nobody but its owner can look.
        directory = Path(name)
        directory.chmod(0o755)
        root = directory / "root"
        root.mkdir()
        write(directory / "sources", FILES)
        root.chmod(0o555)
        done = run(READ_ONLY, str(directory / "sources"), str(root))
        assert list(root.iterdir()) == []
        root.chmod(0o755)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f": Cannot write {root}/b1" in done.stderr
    assert "Permission denied. The build is not complete and nothing was published." in done.stderr


# What a complete build refuses


def test_a_complete_build_loses_no_file_but_to_clear(tmp_path):
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as one:
        one.collect()
        with pytest.raises(BuildIsFrozen, match="Build b1 is complete and never changes"):
            one.storage.delete("a.css")
        with pytest.raises(BuildIsFrozen):
            one.collect(link=True)
        assert (one.root / "b1" / "a.css").read_text() == "a{}"
        one.collect(link=True, clear=True)
        assert (one.root / "b1" / "a.css").is_symlink()


def test_an_empty_build_has_a_manifest_and_lacks_the_file(tmp_path):
    with site(tmp_path, {}, BUILD_VERSION="b1") as one:
        one.collect()
        with pytest.raises(MissingEntry):
            one.storage.url("a.css")


def test_a_source_from_the_future_is_no_change(tmp_path):
    """A clock that was wrong when a file was written, or another machine's."""
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as one:
        later = time.time() + 3600
        os.utime(one.sources / "a.css", (later, later))
        one.collect()
        assert "0 static files copied" in one.collect()


# Regressions that only a second run in one process shows


def test_a_source_that_changes_within_a_second_gets_a_new_hash(tmp_path):
    with site(tmp_path, {"a.png": b"one"}) as one:
        one.collect()
        before = one.storage.hashed_files["a.png"]
        (one.sources / "a.png").write_bytes(b"two")
        one.collect()
        assert one.storage.hashed_files["a.png"] != before


def test_hashed_files_can_be_deleted_and_are_looked_for_again(tmp_path):
    with site(tmp_path, {"a.png": b"one"}) as one:
        one.collect()
        found = dict(one.storage.hashed_files)
        del one.storage.hashed_files
        assert one.storage.hashed_files == found


def test_the_latest_other_build_gives_its_encodings(tmp_path, capsys):
    files = {"a.css": "a{color:red}" * 100, "b.css": "b{color:blue}" * 100}
    with site(tmp_path, files, BUILD_VERSION="b1") as one:
        one.collect()
        encoded = (one.root / "b1" / "a.css.br").read_bytes()
        (one.sources / "b.css").write_text("b{}")
    capsys.readouterr()
    with site(tmp_path, BUILD_VERSION="b2") as two:
        two.collect()
        assert (two.root / "b2" / "a.css.br").read_bytes() == encoded
    assert "2 encodings compressed, 2 reused" in capsys.readouterr().err


def test_a_damaged_encoding_of_another_build_is_made_anew(tmp_path):
    with site(tmp_path, {"a.css": "a{color:red}" * 100}, BUILD_VERSION="b1") as one:
        one.collect()
        whole = (one.root / "b1" / "a.css.br").read_bytes()
        for path in (one.root / "b1").glob("*.br"):
            path.write_bytes(b"damaged")
    with site(tmp_path, BUILD_VERSION="b2") as two:
        two.collect()
        assert (two.root / "b2" / "a.css.br").read_bytes() == whole


def test_text_is_saved_once_and_as_it_is(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1") as one:
        one.storage.save("note.txt", ContentFile("first\nsecond\n"))
        assert (one.root / "b1" / "note.txt").read_text() == "first\nsecond\n"


def test_dotfiles_that_nobody_will_serve_are_named(tmp_path, caplog):
    dotfiles = {f".well-known/{number:02}": "x" for number in range(11)}
    with site(tmp_path, {"a.css": "a{}", "b.x.css": "b{}", **dotfiles}, BUILD_VERSION="b1") as it:
        it.collect()
        assert "begin with a dot" not in caplog.text
        it.collect(use_default_ignore_patterns=False, clear=True)
    assert "begin with a dot: .well-known/00, .well-known/01" in caplog.text
    assert ".well-known/09 and 1 more. collectstatic leaves them out" in caplog.text
    assert "b.x.css" not in caplog.text
