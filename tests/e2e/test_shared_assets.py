"""Chromium visits a site, a deploy changes one style sheet, and it visits again.

The sizes of both visits are printed: ``pytest -s``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from walkthrough.cloudfront import CannotStart, Nginx, cloudfront
from walkthrough.site import HOME, Server, Site

from tests.e2e import browser
from tests.e2e.test_browser import AMBER, PAGES, YELLOW, Visitor, accent
from tests.s3 import ACCESS_KEY, SECRET_KEY, Bucket
from tests.system_packages import skip
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.edge.functions import (
    VIEWER_REQUEST,
    VIEWER_RESPONSE,
    CompressionRules,
    Constants,
    rendered,
)

CHANGED = "css/tokens.css"
LAYOUTS = {"unshared": "", "shared": "yes"}
# Encodings take time, and change only the bytes: with "br gzip" those of a real site.
ENCODINGS = os.environ.get("DEMO_ENCODINGS", "")


@dataclass
class Deployment:
    """A site behind an edge with two builds, and a visitor.

    ``layout`` is "shared" or "unshared", ``place`` is "S3" or "origin pull".
    """

    layout: str
    place: str
    server: Server
    cdn: str
    first: Site
    second: Site
    visitor: Visitor

    def visit(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Open every page in a tab of its own; return the tabs and what the browser measured."""
        tabs = [self.visitor.open(self.server.url + page) for page in PAGES]
        return tabs, [entry for tab in tabs for entry in self.visitor.loaded(tab)]

    def fetch(self, tab: Any, name: str) -> tuple[int, bool]:
        """The status of a file of the first build, and whether an open page gets its bytes."""
        asset = manifest_of(self.first).asset(name)
        assert asset is not None
        url = f"{self.cdn}/static/{asset.path}?later"
        fetching = "url => fetch(url).then(async (r) => [r.status, (await r.blob()).size])"
        status, length = tab.evaluate(fetching, url)
        return status, length == asset.size


def manifest_of(site: Site) -> Manifest:
    text = (site.static_root / site.version / "staticfiles.json").read_text(encoding="utf-8")
    return Manifest.from_json(text)


def asset_at(site: Site, url: str) -> Asset:
    """The asset of a build at a URL, by its path or by its original path."""
    path = unquote(urlsplit(url).path).removeprefix("/static/")
    for asset in manifest_of(site).assets.values():
        if path in (asset.path, asset.original_path):
            return asset
    raise AssertionError(url)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def bucket(moto_server: str) -> Iterator[Bucket]:
    with Bucket.at(moto_server) as bucket:
        bucket.let_everyone_read()
        yield bucket


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module", params=LAYOUTS)
def sites(request: pytest.FixtureRequest, chromium: Any, bucket: Bucket, root: Path) -> list[Site]:
    """Two deploys of the example project, on S3 and on disk; the second has other colours.

    It asks for ``chromium`` first, so that nothing is deployed where there is no browser.
    """
    layout = str(request.param)
    overlay = root / "changed"
    (overlay / "css").mkdir(parents=True, exist_ok=True)
    tokens = (HOME / "showcase/static" / CHANGED).read_text(encoding="utf-8")
    (overlay / CHANGED).write_text(tokens.replace(YELLOW, AMBER), encoding="utf-8")
    environment = {
        "CDN_DOMAIN": "http://127.0.0.1:9",
        "DEMO_ENCODINGS": ENCODINGS,
        "STATIC_SHARED_ASSETS": LAYOUTS[layout],
        "STATIC_BUCKET": bucket.name,
        "STATIC_REGION": "eu-west-1",
        "STATIC_ENDPOINT_URL": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    made = [
        Site(f"{layout}-{number}", root / "static", environment, changed)
        for number, changed in enumerate((None, overlay), 1)
    ]
    for site in made:
        site.collectstatic()
    return made


@pytest.fixture(params=["S3", "origin pull"])
def deployment(
    request: pytest.FixtureRequest,
    sites: list[Site],
    chromium: Any,
    bucket: Bucket,
    tmp_path: Path,
) -> Iterator[Deployment]:
    """The first deploy runs."""
    place = str(request.param)
    skip([], "nginx libnginx-mod-http-js")
    try:
        Nginx.here()
    except CannotStart as error:
        pytest.skip(str(error))
    with ExitStack() as running:
        server = running.enter_context(Server())
        more, origin = {}, {"bucket": f"{bucket.endpoint}/{bucket.name}"}
        constants = Constants(compression=CompressionRules(tuple(ENCODINGS.split())))
        if place == "origin pull":
            more, origin = {"STATIC_BUCKET": ""}, {"app": server.url.rstrip("/")}
            constants = constants.without_encodings()
        edge = cloudfront(
            tmp_path / "nginx",
            **origin,
            request=rendered(VIEWER_REQUEST, constants),
            response=rendered(VIEWER_RESPONSE, constants),
        )
        cdn = running.enter_context(edge)
        first, second = (
            replace(site, edge={**site.edge, **more, "CDN_DOMAIN": cdn}) for site in sites
        )
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        running.callback(context.close)
        visitor = Visitor(context, cdn, [], running)
        server.switch_to(first)
        layout = first.version.partition("-")[0]
        yield Deployment(layout, place, server, cdn, first, second, visitor)


def transferred(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What did not come from the browser's cache."""
    return [entry for entry in entries if entry["transferSize"]]


def size(entries: list[dict[str, Any]]) -> int:
    """Bytes of bodies, as they travelled."""
    return sum(entry["encodedBodySize"] for entry in entries)


def test_a_second_visit_transfers_what_was_changed_and_what_is_bound(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    first = transferred(deployment.visit()[1])
    deployment.server.switch_to(deployment.second)
    tabs, visit = deployment.visit()
    second = transferred(visit)
    assert accent(tabs[0]) == AMBER
    with capsys.disabled():
        sys.stdout.write(
            f"\n{deployment.layout}, {deployment.place}: first visit {len(first)} requests, "
            f"{size(first):,} bytes; with another style sheet {len(second)} requests, "
            f"{size(second):,} bytes\n"
        )
    old, new = manifest_of(deployment.first), manifest_of(deployment.second)
    assets = {entry["name"]: asset_at(deployment.second, entry["name"]) for entry in second}
    changed = {
        asset.name for asset in assets.values() if old.paths[asset.name] != new.paths[asset.name]
    }
    # The second one imports the first, and names it by its hash.
    assert changed == {CHANGED, "css/site.css"}
    if deployment.layout == "shared":
        below_build = {url for url in assets if f"/static/{new.build}/" in url}
        assert {assets[url].name for url in assets.keys() - below_build} == changed
        # What is bound, and what the loader of TinyMCE finds by original names beside it.
        assert all(assets[url].bound or "/tinymce/" in url for url in below_build)
    else:
        # A font may be in the memory of the browser, whose requests are not counted.
        assert len(assets) > 0.9 * len({entry["name"] for entry in visit})
    modules = {entry["name"] for entry in visit if "js/lib/format." in entry["name"]}
    module = new.asset("js/lib/format.js")
    assert module is not None
    # It is imported by modules of two pages.
    assert modules == {f"{deployment.cdn}/static/{module.path}"}
    assert deployment.visitor.said == []
    assert {response.status for response in deployment.visitor.from_cdn()} == {200}


@pytest.mark.parametrize("sites", ["shared"], indirect=True)
def test_an_open_page_works_after_the_next_deploy(deployment: Deployment) -> None:
    """Its build is on S3, or in STATIC_ROOT of the new process; its own process is gone."""
    tab = deployment.visitor.open(deployment.server.url)
    assert accent(tab) == YELLOW
    deployment.server.switch_to(deployment.second)
    assert accent(deployment.visitor.open(deployment.server.url)) == AMBER
    for name in ("js/lib/format.js", "css/site.css", "img/core.svg"):
        assert deployment.fetch(tab, name) == (200, True), name
    assert accent(tab) == YELLOW
    assert deployment.visitor.said == []


@pytest.mark.parametrize("deployment", ["origin pull"], indirect=True)
@pytest.mark.parametrize("sites", ["shared"], indirect=True)
def test_what_is_shared_outlives_the_container_with_the_old_build(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Also where the new container has no copy of the old build."""
    tab = deployment.visitor.open(deployment.server.url)
    second = deployment.second
    shutil.copytree(second.static_root / second.version, tmp_path / "new" / second.version)
    deployment.server.switch_to(replace(second, static_root=tmp_path / "new"))
    for name in ("js/lib/format.js", "img/core.svg"):
        assert deployment.fetch(tab, name) == (200, True), name
