"""manage.py staticbuilds diff."""

import re
import shutil

import pytest
from django.core.management.base import CommandError

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.shared import mark_shared
from versioned_storage.site import UnknownBuild
from versioned_storage.text import bytes_text

OLD = {
    "css/app.css": "body { color: red }\n" * 100,
    "img/logo.png": b"\x89PNG" * 500,
    "js/gone.js": "gone();\n",
    "js/same.js": "same();\n" * 50,
}
NEW = {
    "css/app.css": "body { color: red }\n" * 110,
    "img/logo.png": b"\x89PNG" * 501,
    "js/new.js": "fresh();\n",
    "js/same.js": OLD["js/same.js"],
}


def collect(tmp_path, build, files, **settings):
    """Make a build of these files; gives its manifest."""
    shutil.rmtree(tmp_path / "sources", ignore_errors=True)
    with site(tmp_path, files, BUILD_VERSION=build, **settings) as one:
        one.collect()
        return one.storage.manifest


@pytest.fixture
def two(tmp_path):
    """A site with two builds on disk, which are given too."""
    old, new = collect(tmp_path, "b1", OLD), collect(tmp_path, "b2", NEW)
    with site(tmp_path):
        yield old, new


def br(manifest, name):
    return manifest.asset(name).encodings["br"]


def test_it_tells_what_was_added_removed_and_changed_with_what_it_weighs(two):
    old, new = two
    css = br(new, "css/app.css") - br(old, "css/app.css")
    brs = [br(new, "js/new.js"), -br(old, "js/gone.js"), css]
    added, removed, changed, total = (f"{one:+d} B" for one in [*brs, sum(brs)])
    everything = 2004 + sum(br(new, name) for name in NEW if name != "img/logo.png")
    news = everything - br(new, "js/same.js")
    downloads = (
        f"Added and changed assets have {news / 1000:.1f} kB, in br if they have it. A "
        f"returning visitor who loads every asset downloads {everything / 1000:.1f} kB, "
        "because each build has URLs of its own."
    )
    said = staticbuilds("diff", "b1", "b2").output
    # How wide a column is depends on what brotli makes of a file.
    assert re.sub(" +", " ", said).splitlines() == [
        "From build b1 to b2: 1 added, 1 removed, 2 changed, 1 unchanged",
        "",
        "CHANGE ASSET SIZE BR",
        f"added js/new.js +9 B {added}",
        f"removed js/gone.js -8 B {removed}",
        f"changed css/app.css +200 B {changed}",
        "changed img/logo.png +4 B -",
        f"total +205 B {total}",
        "",
        downloads,
    ]


def test_what_stays_at_a_shared_url_is_not_downloaded_again(two, tmp_path):
    """The image is shared in both and changed; of the unchanged scripts one is bound."""
    names = ("css/app.css", "img/logo.png", "js/same.js")
    old = mark_shared(tmp_path / "static_root/b1", *names)
    new = mark_shared(tmp_path / "static_root/b2", *names)
    assert old.asset("js/same.js").path == new.asset("js/same.js").path
    same = br(new, "js/same.js")
    data = staticbuilds("diff", "b1", "b2", "--json").data
    everything = 2004 + sum(br(new, name) for name in NEW if name != "img/logo.png")
    assert data["cached_bytes"] == same
    assert data["new_bytes"] == data["download_bytes"] == everything - same
    said = staticbuilds("diff", "b1", "b2").output
    assert said.endswith(
        f"A returning visitor who loads every asset downloads {bytes_text(everything - same)}, "
        f"0 B of it for unchanged assets with another URL, and has {same} B in the cache; "
        "'staticbuilds show --shared' lists what is not shared.\n"
    )


def test_what_is_bound_is_downloaded_again_unchanged(two, tmp_path):
    mark_shared(tmp_path / "static_root/b1", "css/app.css")
    new = mark_shared(tmp_path / "static_root/b2", "css/app.css")
    same = br(new, "js/same.js")
    data = staticbuilds("diff", "b1", "b2", "--json").data
    assert (data["cached_bytes"], data["download_bytes"]) == (0, data["new_bytes"] + same)
    assert f", {same} B of it for unchanged assets with" in staticbuilds("diff", "b1", "b2").output


def test_json_has_the_bytes_before_and_after(two):
    old, new = two
    data = staticbuilds("diff", "b1", "b2", "--json").data
    changes = {change["name"]: change for change in data.pop("changes")}
    assert data == {
        "from": "b1",
        "to": "b2",
        "added": 1,
        "removed": 1,
        "changed": 2,
        "unchanged": 1,
        "new_bytes": br(new, "css/app.css") + br(new, "js/new.js") + 2004,
        "download_bytes": br(new, "css/app.css")
        + br(new, "js/new.js")
        + br(new, "js/same.js")
        + 2004,
        "cached_bytes": 0,
    }
    assert changes["css/app.css"] == {
        "change": "changed",
        "name": "css/app.css",
        "bytes": [2000, 2200],
        "br_bytes": [br(old, "css/app.css"), br(new, "css/app.css")],
        "delta": 200,
        "br_delta": br(new, "css/app.css") - br(old, "css/app.css"),
    }
    assert changes["js/gone.js"]["bytes"] == [8, None]
    assert changes["js/new.js"]["bytes"] == [None, 9]
    assert changes["img/logo.png"]["br_delta"] is None


def test_the_other_way_round_everything_is_the_other_way_round(two):
    data = staticbuilds("diff", "b2", "b1", "--json").data
    kinds = {change["name"]: change["change"] for change in data["changes"]}
    assert (kinds["js/new.js"], kinds["js/gone.js"]) == ("removed", "added")
    assert sum(change["delta"] for change in data["changes"]) == -205


def test_the_same_content_under_two_versions_differs_in_nothing_but_its_urls(tmp_path):
    collect(tmp_path, "b1", OLD)
    new = collect(tmp_path, "b2", OLD)
    with site(tmp_path):
        answer = staticbuilds("diff", "b1", "b2")
        data = staticbuilds("diff", "b1", "b2", "--json").data
    assert answer.output.startswith(
        "From build b1 to b2: 0 added, 0 removed, 0 changed, 4 unchanged\n\nAdded and changed "
        "assets have 0 B, "
    )
    everything = 2000 + sum(br(new, name) for name in OLD if name != "img/logo.png")
    assert (data["new_bytes"], data["download_bytes"]) == (0, everything)


def test_nobody_downloads_a_build_again_that_they_have(two):
    assert staticbuilds("diff", "b2", "b2", "--json").data["download_bytes"] == 0


def test_a_difference_is_no_error(two):
    assert staticbuilds("diff", "b1", "b2").code == 0


def test_either_build_may_be_on_the_origin_alone(shop):
    with shop("b1", OLD, machine="another") as another:
        another.collect()
    with shop("b2", NEW, publish=False) as here:
        here.collect()
        there = staticbuilds("diff", "b1", "b2", "--json").data
        back = staticbuilds("diff", "b2", "b1", "--json").data
    assert (there["added"], there["removed"], there["changed"]) == (1, 1, 2)
    assert (back["from"], back["to"]) == ("b2", "b1")


def test_a_build_that_is_nowhere_is_an_error(two):
    with pytest.raises(UnknownBuild, match="There is no build b7"):
        staticbuilds("diff", "b1", "b7")


def test_it_takes_two_builds(two):
    with pytest.raises(CommandError, match="the following arguments are required: B"):
        staticbuilds("diff", "b1")
