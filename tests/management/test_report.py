"""manage.py staticbuilds report."""

import json
import re

import pytest

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.management.test_diff import collect
from versioned_storage.management.subcommands import report
from versioned_storage.text import bytes_text

FILES = {
    "css/app.css": "body { color: red }\n" * 100,
    "js/large.js": b"\x00\x01".join(str(number).encode() for number in range(4000)),
    "img/logo.png": b"\x89PNG" * 500,
    "img/copy.png": b"\x89PNG" * 500,
    "js/<b>.js": "b()",
    "js/empty.js": "",
    "py/empty.css": "",
}


@pytest.fixture
def two(tmp_path):
    """A site with two builds on disk."""
    old = {name: data for name, data in FILES.items() if name != "js/large.js"}
    collect(tmp_path, "b1", old)
    manifest = collect(tmp_path, "b2", FILES)
    with site(tmp_path):
        yield manifest


def page(*arguments):
    return staticbuilds("report", *arguments).output


def test_it_is_one_page_that_needs_nothing_else(two):
    html = page("b2")
    assert html.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", html)
    assert "js/&lt;b&gt;.js" in html
    assert "<b>" not in html


def test_the_area_of_a_rectangle_is_that_of_what_browsers_download(two):
    box = r'style="[^"]+;width:([\d.]+)%;height:([\d.]+)%"'
    areas = {}
    for folder in page("b2").split('<div class="folder" ')[1:]:
        width, height = map(float, re.match(box, folder).groups())
        for name, *sides in re.findall(rf'title="([^,"]+), [^"]+" {box}', folder):
            areas[name] = width * height * float(sides[0]) * float(sides[1]) / 1e8
    sizes = {asset.name: asset.encodings.get("br", asset.size) for asset in two.assets.values()}
    assert areas.keys() == {name.replace("<", "&lt;").replace(">", "&gt;") for name in sizes}
    assert sum(areas.values()) == pytest.approx(1, abs=0.001)
    assert areas["js/large.js"] == pytest.approx(
        sizes["js/large.js"] / sum(sizes.values()), abs=0.001
    )


def test_it_names_what_is_twice_in_the_build(two):
    assert "img/copy.png<small>= img/logo.png</small>" in page("b2")
    data = json.loads(staticbuilds("report", "b2", "--json").output)
    assert data["duplicates"] == [["img/copy.png", "img/logo.png"]]
    assert data["against"] is None


def test_it_shows_what_changed_since_another_build(two):
    html = page("b2", "--against", "b1")
    assert "Since build b1" in html
    assert f"added js/large.js<td>+{bytes_text(two.asset('js/large.js').size)}<td>+" in html
    assert "<dt>a returning visitor loads<dd>" in html
    assert "A returning visitor who loads every asset downloads" in html
    assert (
        json.loads(staticbuilds("report", "b2", "--against", "b1", "--json").output)["against"][
            "added"
        ]
        == 1
    )


def test_it_says_what_is_not_shared_and_why(tmp_path):
    files = {"js/loader.js": "load(document.currentScript.src)", "js/app.js": "app()"}
    collect(tmp_path, "b1", files, options={"shared_assets": True})
    with site(tmp_path):
        html = page("b1")
    assert "<dt>can be shared with other builds<dd>" in html
    assert re.search(r"Not shared, because of</h2>.+Scripts that ask where they were loaded", html)
    assert re.search(r"<pre>[^<]*js/loader\.js", html)


def test_many_small_files_are_one_rectangle_of_their_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RECTANGLES", 2)
    files = {f"img/{number}.png": b"x" * (100 + number) for number in range(10)}
    collect(tmp_path, "b1", files)
    with site(tmp_path):
        html = page("b1")
    assert html.partition('class="map"')[2].count("<span") == 3
    assert "img/ 8 smaller files" in html


def test_an_empty_build_has_a_report(tmp_path):
    collect(tmp_path, "b1", {})
    with site(tmp_path):
        assert "<dt>assets<dd>0" in page("b1")
