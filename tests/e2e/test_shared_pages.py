"""Chromium opens pages with shared assets: of packages, with integrity, and of modules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from tests.e2e import browser
from tests.e2e.packages import PAGES
from tests.helpers import REPOSITORY, site
from tests.pulled import MIDDLEWARE
from tests.servers import wsgi_server

#: An element of a page that loads a script or a style sheet of the site.
ELEMENT = re.compile(r"""<(?:script|link)\s[^>]*(?:src|href)="/static/[^"]+\.(?:js|css)"[^>]*>""")


@contextmanager
def serving(directory: Path, package: str) -> Iterator[str]:
    """The URL of a site with the pages of a package."""
    command = [sys.executable, "-m", "tests.e2e.packages", str(directory), package]
    with (
        (directory / "log.txt").open("w") as log,
        subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            assert url, (directory / "log.txt").read_text()
            yield url
        finally:
            server.terminate()


def complaints(page: Any) -> list[str]:
    """What goes wrong on a page from now on: errors, failed requests, answers that are errors."""
    said: list[str] = []
    page.on("console", lambda it: said.append(it.text) if it.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "requestfailed",
        # Aborted by the page itself, which needs it no longer.
        lambda it: said.append(f"{it.url}: {it.failure}") if "ABORTED" not in it.failure else None,
    )
    page.on("response", lambda it: said.append(f"{it.url}: {it.status}") if it.status > 399 else 0)
    return said


@pytest.mark.deep
@pytest.mark.parametrize("package", PAGES)
def test_no_page_of_a_package_fails_with_shared_assets_and_integrity(
    tmp_path: Path, package: str
) -> None:
    if find_spec("django.contrib.admin" if package == "admin" else package) is None:
        pytest.skip(f"{package} is not installed")
    shared: set[str] = set()
    with browser.chromium() as chromium, serving(tmp_path, package) as url:
        page = chromium.new_page()
        page.goto(f"{url}/enter/")
        said = complaints(page)
        page.on("response", lambda it: shared.add(it.url) if "/_shared/" in it.url else None)
        for address in PAGES[package]:
            answer = page.goto(f"{url}{address}", wait_until="networkidle")
            assert answer.status == 200
            elements = ELEMENT.findall(answer.text())
            assert elements
            assert [element for element in elements if "integrity=" not in element] == []
    assert said == []
    assert shared


MODULES = {
    "js/bound.js": "/* document.currentScript */ import './lib.js'; import './deep/other.js'",
    "js/portable.js": "import { name } from './lib.js'; window.portable = name",
    "js/deep/other.js": "import '../lib.js'",
    "js/lib.js": "window.loads = (window.loads || 0) + 1; export const name = 'lib'",
}


def page_of_modules(request: Any) -> HttpResponse:
    from django.templatetags.static import static

    scripts = [
        f'<script type="module" src="{static(name)}"></script>'
        for name in ("js/bound.js", "js/portable.js")
    ]
    return HttpResponse(f"<!doctype html>{''.join(scripts)}")


urlpatterns = [
    path("page/", page_of_modules),
    path("favicon.ico", lambda _: HttpResponse(status=204)),
]


def test_a_module_that_shared_and_bound_ones_import_is_loaded_once(tmp_path: Path) -> None:
    options = {"shared_assets": True, "js_modules": True, "encodings": []}
    settings: dict[str, Any] = {
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": __name__,
        "ALLOWED_HOSTS": ["*"],
    }
    with browser.chromium() as chromium:
        page = chromium.new_page()
        said = complaints(page)
        fetched: list[str] = []
        page.on("response", lambda it: fetched.append(it.url))
        urls = {}
        for version in ("b1", "b2"):
            changed = MODULES["js/portable.js"].replace("portable =", f"portable = '{version} ' +")
            files = {**MODULES, "js/portable.js": changed}
            with site(tmp_path, files, options=options, BUILD_VERSION=version, **settings) as shop:
                shop.collect()
                with wsgi_server(get_wsgi_application()) as url:
                    fetched.clear()
                    page.goto(f"{url}/page/", wait_until="networkidle")
                    assert page.evaluate("[window.loads, window.portable]") == [1, f"{version} lib"]
                    urls[version] = [
                        address.removeprefix(url) for address in fetched if "/lib" in address
                    ]
    assert said == []
    assert urls["b1"] == urls["b2"]
    (lib,) = urls["b1"]
    assert lib.startswith("/static/_shared/js/lib.")
