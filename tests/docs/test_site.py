"""The documentation as it is built: every link leads somewhere, and nothing comes from outside."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.docs.reader import DOCS, ROOT
from tests.docs.test_errors import SECTIONS

#: A page loads these; an <a> only leads away.
LOADS = {"img": "src", "link": "href", "script": "src", "source": "src", "iframe": "src"}
#: A <link> that names the site itself.
NAMES = {"canonical", "alternate", "next", "prev"}


class Page(HTMLParser):
    """The anchors, the links and the loaded URLs of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if values.get(LOADS.get(tag, "")) and values.get("rel") not in NAMES:
            self.loaded.append(values[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


def build_site(project: Path) -> Path:
    """Build the documentation in an empty directory, as `make docs` does, and return the site."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("zensical is not installed (pip install -e '.[docs]')")
    shutil.copytree(DOCS, project / "docs")
    shutil.copy(ROOT / "mkdocs.yml", project)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return project / "site"


def test_the_site_builds_strictly_and_each_link_in_its_pages_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_the_section_of_an_error_is_where_commands_say(site: Path) -> None:
    page = Page((site / "errors" / "index.html").read_text())
    assert page.anchors >= {name.lower() for name in SECTIONS}


def test_the_search_knows_each_page_and_each_error(site: Path) -> None:
    items = json.loads((site / "search.json").read_text())["items"]
    locations = {item["location"].strip("/") for item in items}
    pages = {path.parent.relative_to(site).as_posix() for path in site.rglob("index.html")}
    assert pages - {"."} <= {location.partition("#")[0].strip("/") for location in locations}
    assert {f"errors/#{name.lower()}" for name in SECTIONS} <= locations


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = {url for path in site.rglob("*.html") for url in Page(path.read_text()).loaded}
    assert loaded
    assert not [url for url in loaded if urlsplit(url).netloc]


def test_each_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    nav = set(_pages(yaml.safe_load(text)["nav"]))
    assert nav == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_each_link_of_the_files_beside_the_docs_leads_to_a_file() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md")):
        links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
        assert not [link for link in links if not (path.parent / link).exists()], path


def test_no_page_names_the_address_of_a_package_registry() -> None:
    for path in (*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "mkdocs.yml"):
        assert not re.search(r"--(extra-)?index-url|files\.pythonhosted", path.read_text()), path


def _pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from _pages(list(nav.values()))
    elif isinstance(nav, list):
        for entry in nav:
            yield from _pages(entry)
