"""Chromium shows the report of a build on a screen and on a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import browser
from tests.helpers import site
from tests.management.command import staticbuilds

FILES = {
    f"{folder}/a-name-that-is-longer-than-its-rectangle-{number}.js": f"a({number})\n" * number
    for folder in ("shop/js", "vendor/editor/plugins", "admin")
    for number in range(1, 60)
}


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_of_a_build_fits_the_window(tmp_path: Path, width: int) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        (tmp_path / "report.html").write_text(staticbuilds("report", "b1").output)
    with browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        drawing = page.locator(".map").bounding_box()
        assert drawing["height"] > 400
        tiles = page.locator(".map span")
        for box in (tiles.first.bounding_box(), tiles.last.bounding_box()):
            assert box["x"] >= drawing["x"] - 1
            assert box["x"] + box["width"] <= drawing["x"] + drawing["width"] + 2
