"""manage.py staticbuilds show."""

# The site stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import re
import shutil
from datetime import datetime, timezone

import pytest
from django.core.management.base import CommandError

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.s3 import front
from tests.shared import mark_shared
from versioned_storage.build.manifest import Reason
from versioned_storage.build.portability import bound_text
from versioned_storage.origin.record import Record, State
from versioned_storage.site import UnknownBuild
from versioned_storage.text import bytes_text

FILES = {
    "css/app.css": "body { color: red }\n" * 100,
    "css/b.css": "a {}\n",
    "img/logo.png": b"\x89PNG" * 500,
}


@pytest.fixture
def built(tmp_path):
    """A site with a build on disk, and no origin."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as one:
        one.collect()
        yield one


def test_it_shows_totals_by_type_and_encoding_and_the_largest_assets(built):
    sizes = {path.name: path.stat().st_size for path in (built.root / "b1").rglob("*.css.*[rz]")}
    said = staticbuilds("show", "b1").output
    br = sizes["app.css.br"] + sizes["b.css.br"]
    gzip = sizes["app.css.gz"] + sizes["b.css.gz"]
    said = re.sub(r"\d+\.\d kB; content digest \w{12}\n", "N kB\n", said)
    # How wide a column is depends on what zlib makes of a file.
    assert re.sub(" +", " ", said).splitlines() == [
        f"Build b1 from {built.root}/b1",
        "3 assets in 14 files, N kB",
        "",
        "TYPE ASSETS IDENTITY BR GZIP",
        f"text/css 2 2.0 kB {br} B {gzip} B",
        "image/png 1 2.0 kB - -",
        f"total 3 4.0 kB {br} B {gzip} B",
        "",
        "LARGEST IDENTITY BR GZIP",
        f"css/app.css 2.0 kB {sizes['app.css.br']} B {sizes['app.css.gz']} B",
        "img/logo.png 2.0 kB - -",
        f"css/b.css 5 B {sizes['b.css.br']} B {sizes['b.css.gz']} B",
    ]


def test_it_tells_shared_files_apart_from_those_of_the_build(built):
    manifest = mark_shared(built.root / "b1", "img/logo.png", "css/app.css")
    shared = sum(file.size for file in manifest.files() if file.path.startswith("_shared/"))
    own = sum(file.size for file in manifest.files()) - shared
    data = staticbuilds("show", "--json").data
    assert (data["objects"], data["shared_objects"], data["shared_bytes"]) == (14, 4, shared)
    assert staticbuilds("show").output.splitlines()[2] == (
        f"Shared: 4 files, {bytes_text(shared)}; its own: 10 files, {bytes_text(own)}"
    )


@pytest.fixture
def sharing(tmp_path):
    """A site whose build has shared assets, and a script that asks where it came from."""
    files = {
        **FILES,
        "js/loader.js": "load(document.currentScript.src)",
        "js/page.html": "<p>",
        "css/uses.css": "a { background: url(../js/page.html) }",
    }
    options = {"shared_assets": True}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1") as project:
        project.collect()
        yield project


def test_why_an_asset_is_not_shared_is_listed_by_reason(sharing):
    lines = staticbuilds("show", "--shared").output.splitlines()
    manifest = sharing.storage.manifest
    sheet = manifest.asset("css/uses.css").size + 3
    assert lines == [
        f"Build b1 from {sharing.root}/b1: 3 of 6 assets shared, 4.0 kB of 4.1 kB",
        "",
        "Not shared, because of:",
        *bound_text(manifest.assets.values()).splitlines(),
    ]
    assert any("js/loader.js" in line and "currentScript" in line for line in lines)
    assert any("js/page.html" in line and f"({sheet} B, 2 assets)" in line for line in lines)


def test_json_has_the_root_cause_and_all_that_it_binds(sharing):
    data = staticbuilds("show", "--shared", "--json").data
    bound = {cause["cause"]: cause for cause in data.pop("bound")}
    assert (data["assets"], data["shared_assets"], data["shared_bytes"]) == (6, 3, 4005)
    assert data["shared_prefix"] == "_shared"
    assert bound["js/page.html"]["assets"] == ["css/uses.css", "js/page.html"]
    assert bound["js/loader.js"]["reason"] == Reason.LOCATION.value
    assert "currentScript" in bound["js/loader.js"]["culprit"]


def test_a_build_without_shared_assets_has_nothing_to_list(built):
    assert staticbuilds("show", "--shared").output == (
        f"Build b1 from {built.root}/b1 was made without shared_assets: all of it is its own\n"
    )
    assert staticbuilds("show", "--shared", "--json").data["bound"] == []


def test_json_has_the_bytes_of_each_type_and_of_the_largest_assets(built):
    data = staticbuilds("show", "--json").data
    manifest = built.storage.manifest
    assert (data["build"], data["place"]) == ("b1", f"{built.root}/b1")
    assert (data["state"], data["since"]) == (None, None)
    assert data["content"] == manifest.content
    files = [file.size for file in manifest.files()]
    assert (data["assets"], data["objects"], data["bytes"]) == (3, len(files), sum(files))
    css = manifest.asset("css/app.css")
    assert data["types"] == [
        {
            "type": "text/css",
            "assets": 2,
            "bytes": {
                "identity": 2005,
                "br": css.encodings["br"] + manifest.asset("css/b.css").encodings["br"],
                "gzip": css.encodings["gzip"] + manifest.asset("css/b.css").encodings["gzip"],
            },
        },
        {"type": "image/png", "assets": 1, "bytes": {"identity": 2000}},
    ]
    assert data["largest"][0] == {
        "name": "css/app.css",
        "hashed_name": css.hashed_name,
        "type": "text/css; charset=utf-8",
        "integrity": css.integrity,
        "bytes": {"identity": 2000, **css.encodings},
    }


def test_the_limit_says_how_many_of_the_largest_are_shown(built):
    names = [one["name"] for one in staticbuilds("show", "--limit", "2", "--json").data["largest"]]
    assert names == ["css/app.css", "img/logo.png"]
    assert "LARGEST" not in staticbuilds("show", "--limit", "0").output


@pytest.mark.parametrize("limit", ["-1", "many"])
def test_a_limit_that_is_no_number_is_refused(built, limit):
    with pytest.raises(CommandError, match="is not a whole number from 0 on"):
        staticbuilds("show", f"--limit={limit}")


def test_a_build_on_disk_is_shown_without_asking_the_origin(shop, bucket):
    with front(bucket.endpoint) as s3:
        with shop(s3=bucket.options(endpoint_url=s3.url), publish=False) as here:
            here.collect()
            staticbuilds("show")
    assert s3.requests == []


def test_a_build_that_is_on_the_origin_alone_is_shown_with_its_state(shop, bucket):
    with shop() as here:
        here.collect()
        shutil.rmtree(here.root)
        said = staticbuilds("show", "b1").output
        data = staticbuilds("show", "b1", "--json").data
    place = f"s3://{bucket.name}/builds/b1.json"
    assert re.match(rf"Build b1 from {place}, published since [\d-]+ [\d:]+ UTC\n", said)
    assert (data["place"], data["state"]) == (place, "published")
    assert abs(datetime.now(timezone.utc) - datetime.fromisoformat(data["since"])).seconds < 60


def test_a_build_that_is_nowhere_is_an_error_that_says_where_was_looked(shop, bucket):
    with shop() as here:
        with pytest.raises(UnknownBuild) as unknown:
            staticbuilds("show", "b7")
    assert str(unknown.value) == (
        f"There is no build b7: looked at {here.root}/b7/staticfiles.json and "
        f"s3://{bucket.name}/builds/b7.json. 'python manage.py staticbuilds list --all' shows the "
        "existing builds."
    )


def test_a_build_that_was_never_published_has_nothing_to_show(shop, bucket):
    claimed = Record("b1", State.PUBLISHING, "x", datetime.now(timezone.utc))
    bucket.put("builds/b1.json", claimed.to_json())
    with shop():
        with pytest.raises(UnknownBuild, match=r"builds/b1\.json, where it is publishing\."):
            staticbuilds("show")


def test_without_disk_and_origin_there_is_nowhere_to_look(tmp_path):
    with site(tmp_path, STATIC_ROOT=None):
        with pytest.raises(UnknownBuild, match="STATIC_ROOT is not set"):
            staticbuilds("show", "b1")
