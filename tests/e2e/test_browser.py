"""Chromium opens the example project: the page from the application, its files from another origin.

What it saw is left in artifacts/screenshots, or where SCREENSHOTS says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import brotli
import pytest
from walkthrough.cloudfront import CannotStart, Nginx, cloudfront
from walkthrough.site import HOME, Site

from tests.e2e import browser
from tests.edge import edges
from tests.s3 import ACCESS_KEY, SECRET_KEY, Bucket
from tests.system_packages import skip
from versioned_storage.build.manifest import Asset, Manifest

PAGES = ("", "editor/", "api/", "admin/login/")
SCREENSHOTS = Path(
    os.environ.get("SCREENSHOTS") or Path(__file__).parents[2] / "artifacts" / "screenshots"
)
# Colours of the first and of the second deploy.
YELLOW, AMBER = "#f2cf3b", "#ffb000"
#: Milliseconds that anything on a page may take.
PATIENCE = 20_000


# The site and its two deploys


@dataclass(frozen=True)
class Deploy:
    """One build on S3, and how its application is run."""

    site: Site
    manifest: Manifest
    bucket: Bucket

    @contextmanager
    def served(self, cdn: str) -> Iterator[str]:
        """The application, whose pages name files of ``cdn``."""
        environment = {**self.site.edge, "CDN_DOMAIN": cdn}
        with Site(self.site.version, self.site.static_root, environment).served() as url:
            yield url

    def key(self, name: str) -> str:
        return f"static/{self.site.version}/{self.manifest.paths[name]}"

    def asset_at(self, url: str) -> Asset:
        """The asset of a URL, by its hashed or by its original name."""
        prefix = f"/static/{self.site.version}/"
        path = unquote(urlsplit(url).path)
        assert path.startswith(prefix), url
        name = path.removeprefix(prefix)
        asset = self.manifest.assets.get(name) or self.manifest.asset(name)
        assert asset is not None, url
        return asset


@pytest.fixture(scope="module")
def deploys(moto_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Deploy]]:
    """Two deploys of the example project; the second has other colours."""
    base = tmp_path_factory.mktemp("example")
    overlay = base / "changed"
    (overlay / "css").mkdir(parents=True)
    tokens = (HOME / "showcase/static/css/tokens.css").read_text(encoding="utf-8")
    assert YELLOW in tokens
    (overlay / "css/tokens.css").write_text(tokens.replace(YELLOW, AMBER), encoding="utf-8")
    with Bucket.at(moto_server) as bucket:
        bucket.let_everyone_read()
        environment = {
            "CDN_DOMAIN": "http://127.0.0.1:9",
            "STATIC_BUCKET": bucket.name,
            "STATIC_REGION": "eu-west-1",
            "STATIC_ENDPOINT_URL": bucket.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        made = []
        for version, changed in (("e2e-1", None), ("e2e-2", overlay)):
            site = Site(version, base / "static", environment, changed)
            made.append(Deploy(site, site.collectstatic().manifest, bucket))
        yield made


# The edges


@dataclass
class BucketEdge(edges.Edge):
    """The edge in Python, in front of a bucket."""

    bucket: Bucket | None = None

    def right(self, request: edges.Request) -> edges.Reply:
        key = unquote(request.path).lstrip("/")
        suffixes = edges.SUFFIXES if edges.is_eligible(key) else {}
        coding = next((one for one in suffixes if request.accepts(one)), None)
        assert self.bucket is not None
        try:
            stored = self.bucket.get(key + suffixes.get(coding or "", ""))
        except self.bucket.client.exceptions.NoSuchKey:
            return edges.refused()
        headers = {
            "content-type": stored["ContentType"],
            "cache-control": stored["CacheControl"],
            "access-control-allow-origin": "*",
            "timing-allow-origin": "*",
            **({"vary": "Accept-Encoding"} if suffixes else {}),
            **({"content-encoding": coding} if coding else {}),
        }
        return edges.Reply(200, headers, stored["Body"])


@pytest.fixture(params=["nginx", "python"])
def edge(request: pytest.FixtureRequest, deploys: list[Deploy], tmp_path: Path) -> Iterator[str]:
    """The URL of an edge in front of S3, with nothing in its cache."""
    bucket = deploys[0].bucket
    if request.param == "python":
        with edges.serving(BucketEdge(tmp_path, bucket=bucket)) as one:
            yield one.url
        return
    skip([], "nginx libnginx-mod-http-js")
    try:
        Nginx.here()
    except CannotStart as error:
        pytest.skip(str(error))
    with cloudfront(tmp_path / "nginx", bucket=f"{bucket.endpoint}/{bucket.name}") as url:
        yield url


# The browser


@dataclass
class Visitor:
    """A browser with a profile of its own, and all that it complained of."""

    context: Any
    cdn: str
    deploys: list[Deploy]
    running: ExitStack
    said: list[str] = field(default_factory=list)
    responses: list[Any] = field(default_factory=list)

    def site(self, deploy: Deploy) -> str:
        """The URL of the application of a deploy, which runs until the end of the test."""
        return self.running.enter_context(deploy.served(self.cdn))

    def open(self, url: str) -> Any:
        """A new tab with that page, once nothing more is loaded."""
        tab = self.context.new_page()
        tab.on("console", lambda one: self.note(one.type, f"{one.text} {one.location['url']}"))
        tab.on("pageerror", lambda error: self.note("error", str(error)))
        tab.on("requestfailed", lambda one: self.note("error", f"{one.url} {one.failure}"))
        tab.on("response", lambda one: self.responses.append(one))
        tab.goto(url, wait_until="networkidle")
        return tab

    def note(self, kind: str, text: str) -> None:
        # A browser asks the site itself for that one where a page names no icon.
        if kind == "error" and not text.endswith("/favicon.ico"):
            self.said.append(text)

    def loaded(self, tab: Any) -> list[dict[str, Any]]:
        """What the browser measured of each file from the CDN."""
        entries = tab.evaluate(
            "performance.getEntriesByType('resource').map((entry) => entry.toJSON())"
        )
        return [entry for entry in entries if entry["name"].startswith(self.cdn)]

    def from_cdn(self) -> list[Any]:
        return [one for one in self.responses if one.url.startswith(self.cdn)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture
def visitor(chromium: Any, edge: str, deploys: list[Deploy]) -> Iterator[Visitor]:
    with ExitStack() as running:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        running.callback(context.close)
        context.set_default_timeout(PATIENCE)
        yield Visitor(context, edge, deploys, running)


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Any:
    """Keeps a picture of a tab, named for the test."""

    def keep(tab: Any, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        edge_name = request.node.callspec.params["edge"]
        tab.screenshot(path=SCREENSHOTS / f"{name}-{edge_name}.png", full_page=True)

    return keep


def accent(tab: Any) -> str:
    """The colour that the deploys differ by, as the page has it."""
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--sulphur')"
    found: str = tab.evaluate(colour)
    return found.strip().lower()


# What a visitor sees


def test_every_page_loads_all_its_files_without_a_complaint(visitor, screenshot):
    deploy = visitor.deploys[0]
    site = visitor.site(deploy)
    for page in PAGES:
        tab = visitor.open(site + page)
        assert visitor.loaded(tab), page
        screenshot(tab, page.strip("/").replace("/", "-") or "home")
    assert visitor.said == []
    assert {one.status for one in visitor.from_cdn()} == {200}
    for response in visitor.from_cdn():
        deploy.asset_at(response.url)


def test_fonts_and_modules_load_under_cors(visitor):
    tab = visitor.open(visitor.site(visitor.deploys[0]))
    fonts = tab.evaluate("[...document.fonts].filter((one) => one.status == 'loaded').length")
    assert fonts
    # The module of the page has run, and the one that it imports.
    assert " on the wire." in tab.text_content("[data-arrivals]")
    under_cors = {
        one.url: one.headers
        for one in visitor.from_cdn()
        if one.request.all_headers().get("sec-fetch-mode") == "cors"
    }
    kinds = {Path(urlsplit(url).path).suffix for url in under_cors}
    assert {".woff2", ".js", ".css"} <= kinds
    assert {headers["access-control-allow-origin"] for headers in under_cors.values()} == {"*"}


def test_each_eligible_file_travels_in_br(visitor):
    deploy = visitor.deploys[0]
    tab = visitor.open(visitor.site(deploy))
    eligible = 0
    for entry in visitor.loaded(tab):
        asset = deploy.asset_at(entry["name"])
        expected = asset.encodings.get("br", asset.size)
        assert entry["encodedBodySize"] == expected, entry["name"]
        assert entry["decodedBodySize"] == asset.size, entry["name"]
        eligible += bool(asset.encodings)
    assert eligible > 5


def test_a_second_visit_takes_everything_from_the_cache(visitor):
    site = visitor.site(visitor.deploys[0])
    first = visitor.loaded(visitor.open(site))
    assert any(entry["transferSize"] for entry in first)
    second = visitor.loaded(visitor.open(site))
    assert {entry["name"] for entry in second} == {entry["name"] for entry in first}
    assert [entry["name"] for entry in second if entry["transferSize"]] == []


def test_a_script_that_was_tampered_with_does_not_run(visitor, screenshot):
    deploy = visitor.deploys[0]
    with tampered(deploy, "js/site.js", b"document.documentElement.dataset.owned = 'yes'"):
        tab = visitor.open(visitor.site(deploy))
        screenshot(tab, "tampered")
        url = f"{visitor.cdn}/{deploy.key('js/site.js')}"
        assert tab.evaluate("document.documentElement.dataset.owned") is None
        blocked = [text for text in visitor.said if "integrity" in text]
        assert blocked
        assert all(url in text for text in blocked)
        # Without integrity the very same file would have run.
        tab.add_script_tag(url=url)
        assert tab.evaluate("document.documentElement.dataset.owned") == "yes"


@contextmanager
def tampered(deploy: Deploy, name: str, script: bytes) -> Iterator[None]:
    """Another file on S3 in the place of an asset, in each encoding that a browser may get."""
    before = {}
    for suffix, body in (("", script), (".br", brotli.compress(script))):
        key = deploy.key(name) + suffix
        before[key] = deploy.bucket.get(key)
        store(deploy.bucket, key, body, before[key])
    try:
        yield
    finally:
        for key, stored in before.items():
            store(deploy.bucket, key, stored["Body"], stored)


def store(bucket: Bucket, key: str, body: bytes, like: dict[str, Any]) -> None:
    names = ("ContentType", "CacheControl", "ContentEncoding")
    headers = {name: like[name] for name in names if like.get(name)}
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body, **headers)


def test_a_deploy_in_between_changes_the_new_page_and_nothing_of_the_open_one(visitor, screenshot):
    first, second = visitor.deploys
    open_tab = visitor.open(visitor.site(first))
    assert accent(open_tab) == YELLOW
    before = visitor.loaded(open_tab)
    visitor.responses.clear()
    new_tab = visitor.open(visitor.site(second))
    screenshot(new_tab, "second-deploy")
    assert accent(new_tab) == AMBER
    after = visitor.loaded(new_tab)
    # Every file of the new page is of the new build; by content, only what was changed differs.
    names = {second.asset_at(entry["name"]).name for entry in after}
    assert names == {first.asset_at(entry["name"]).name for entry in before}
    differ = {name for name in names if first.manifest.paths[name] != second.manifest.paths[name]}
    assert differ == {"css/site.css", "css/tokens.css"}
    # The open page is as it was, and what it loads later is there.
    assert accent(open_tab) == YELLOW
    later = f"{visitor.cdn}/{first.key('js/lib/format.js')}?later"
    assert open_tab.evaluate(f"import('{later}').then((one) => typeof one.bytes)") == "function"
    assert visitor.said == []
