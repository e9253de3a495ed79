"""The documentation in a browser, at the width of a screen and of a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_site import build_site
from tests.e2e import browser
from tests.servers import running

IS_TOO_WIDE = "document.documentElement.scrollWidth > innerWidth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    with server, running(server):
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


def test_no_page_is_wider_than_a_telephone_or_complains(
    site: Path, url: str, chromium: Any
) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on("response", lambda response: response.status < 400 or complaints.append(response.url))
    for path in sorted(site.rglob("index.html")):
        page.goto(f"{url}{path.parent.relative_to(site).as_posix()}/")
        if page.evaluate(IS_TOO_WIDE):
            complaints.append(f"{page.url} is too wide")
    page.close()
    assert not complaints


def test_the_widest_table_fits_a_screen(url: str, chromium: Any) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}explain/compared/")
    assert not page.evaluate(IS_TOO_WIDE)
    widths = page.evaluate(
        """() => [...document.querySelectorAll(".md-typeset__scrollwrap")].map(
            ({ clientWidth, scrollWidth }) => [clientWidth, scrollWidth])"""
    )
    assert widths
    assert all(needed <= available for available, needed in widths), widths
    page.close()


def test_a_dark_system_gets_dark_pages_and_drawings(url: str, chromium: Any) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme)
        page.goto(url)
        seen.add(
            page.evaluate(
                """() => [document.body, document.querySelector(".drawing svg text")].map(
                    (element, index) => getComputedStyle(element)[
                        index ? "fill" : "backgroundColor"]).join(" ")"""
            )
        )
        page.close()
    assert len(seen) == 2
