"""The URLs of shared assets, served from the builds in STATIC_ROOT."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings

from versioned_storage.build.manifest import Manifest
from versioned_storage.constants import CACHE_CONTROL, MANIFEST_NAME
from versioned_storage.middleware import VersionedWhiteNoiseMiddleware
from versioned_storage.serving import build_index

from .helpers import Site, site
from .pulled import FILES, MIDDLEWARE, served
from .shared import Clock, mark_shared
from .test_middleware import asked_async

NAME = "css/app.css"
TYPE = "text/css; charset=utf-8"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """A site whose build b1 shares everything."""
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect(use_default_ignore_patterns=False)
        mark_shared(shop.root / "b1")
        del shop.storage.hashed_files
        yield shop


def collect(shop: Site, build: str, *names: str, **options: object) -> str:
    """Make another build that shares these assets, all without names; return the URL of NAME."""
    with site(shop.sources.parent, BUILD_VERSION=build, options=options) as other:
        other.collect()
        mark_shared(shop.root / build, *names)
        del other.storage.hashed_files
        return other.storage.url(NAME)


class Process:
    """One process that serves the site; its middleware lives as long as it."""

    def __init__(self) -> None:
        self._middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))

    def get(self, url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        response = self._middleware(RequestFactory().get(url, headers=headers))
        body = b"".join(response.streaming_content) if response.streaming else response.content
        response.close()
        return response.status_code, dict(response.items()), body


def test_a_shared_asset_is_served_and_immutable(shop: Site) -> None:
    url = shop.storage.url(NAME)
    assert url.startswith("/static/_shared/css/app.")
    status, headers, body = served(url)
    assert (status, headers["Content-Type"]) == (200, TYPE)
    assert headers["Cache-Control"] == CACHE_CONTROL
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Vary"] == "Accept-Encoding"
    assert body == (shop.root / "b1" / NAME).read_bytes()


def test_it_is_the_same_response_as_below_the_build(shop: Site) -> None:
    url = shop.storage.url(NAME)
    below_build = url.replace("_shared", "b1")
    for suffix in ("", ".br", ".gz"):
        for headers in ({}, {"accept_encoding": "br"}, {"range": "bytes=1-2"}):
            assert served(url + suffix, **headers) == served(below_build + suffix, **headers)


def test_asgi_gets_the_same_responses(shop: Site) -> None:
    url = shop.storage.url(NAME)
    for path in (url, f"{url}.br", "/static/_shared/css/app.css", "/static/_shared/missing.css"):
        for headers in ({}, {"accept_encoding": "br"}, {"range": "bytes=1-2"}):
            for _ in range(2):
                assert asked_async(path, **headers) == served(path, **headers)


def test_the_file_of_a_bound_asset_has_no_shared_url(shop: Site) -> None:
    mark_shared(shop.root / "b1", NAME)
    del shop.storage.hashed_files
    url = shop.storage.url("img/dot.svg")
    assert url.startswith("/static/b1/")
    assert served(url)[0] == 200
    assert served(url.replace("b1", "_shared"))[0] == 404


def test_another_prefix_or_a_private_name_is_not_served(shop: Site) -> None:
    url = shop.storage.url(NAME)
    for other in (
        url.replace("_shared", "_other"),
        f"/static/_shared/{MANIFEST_NAME}",
        "/static/_shared/.hidden",
        "/static/_shared/",
        "/static/_shared",
        "/static/_shared/../b1/css/app.css",
        f"{url}.br.br",
        f"{url}/",
    ):
        assert served(other)[0] == 404, other
    dotfile = Manifest.from_json((shop.root / "b1" / MANIFEST_NAME).read_text()).paths[".hidden"]
    assert served(f"/static/_shared/{dotfile}")[0] == 404


def test_an_old_build_s_asset_is_served_while_the_build_is_there(shop: Site, clock: Clock) -> None:
    process = Process()
    old = shop.storage.url(NAME)
    (shop.sources / NAME).write_text("body { color: red }")
    new = collect(shop, "b2")
    assert new != old
    assert process.get(new)[0] == 200
    assert process.get(old)[0] == 200
    shutil.rmtree(shop.root / "b1")
    clock.now += 1
    assert process.get(old)[0] == 404
    assert process.get(new)[0] == 200


def test_what_two_builds_share_outlives_either_of_them(shop: Site, clock: Clock) -> None:
    process = Process()
    url = shop.storage.url(NAME)
    assert process.get(url)[0] == 200
    assert collect(shop, "b2") == url
    shutil.rmtree(shop.root / "b1")
    clock.now += 1
    assert process.get(url)[0] == 200
    collect(shop, "b3")
    shutil.rmtree(shop.root / "b2")
    clock.now += 1
    assert process.get(url)[0] == 200


def test_a_build_of_which_only_the_manifest_was_pulled_takes_the_files_of_another(
    shop: Site,
) -> None:
    url = shop.storage.url(NAME)
    assert collect(shop, "b2") == url
    body = served(url, accept_encoding="br")[2]
    for path in (shop.root / "b1").rglob("*.*"):
        if path.is_file() and path.name != MANIFEST_NAME:
            path.unlink()
    assert served(url, accept_encoding="br")[2] == body
    assert served(url)[0] == 200


def test_a_build_that_does_not_share_it_serves_it_where_another_marks_it(shop: Site) -> None:
    url = shop.storage.url(NAME)
    collect(shop, "b2", "img/dot.svg")
    shutil.rmtree(shop.root / "b1" / "css")
    assert served(url)[0] == 200
    shutil.rmtree(shop.root / "b1")
    assert served(url)[0] == 404


def test_encodings_are_those_of_all_builds(shop: Site) -> None:
    url = shop.storage.url(NAME)
    with override_settings(BUILD_VERSION="b2"):
        assert served(url, accept_encoding="br")[1]["Content-Encoding"] == "br"
    shutil.rmtree(shop.root / "b1")
    assert collect(shop, "b1", encodings=["gzip"]) == url
    assert "Content-Encoding" not in served(url, accept_encoding="br")[1]
    assert served(f"{url}.br")[0] == 404
    collect(shop, "b2", encodings=["br"])
    assert served(url, accept_encoding="br")[1]["Content-Encoding"] == "br"
    assert served(url, accept_encoding="gzip")[1]["Content-Encoding"] == "gzip"
    assert served(f"{url}.br")[1]["Content-Encoding"] == "br"


def test_where_builds_disagree_the_process_s_own_wins_then_the_newest(
    shop: Site, caplog: pytest.LogCaptureFixture
) -> None:
    url = shop.storage.url(NAME)
    hashed_name = url.removeprefix("/static/_shared/")
    for number, build in enumerate(("b2", "b3")):
        shutil.copytree(shop.root / "b1", shop.root / build)
        path = shop.root / build / MANIFEST_NAME
        asset = Manifest.from_json(path.read_text()).assets[hashed_name]
        text = path.read_text().replace('"build": "b1"', f'"build": "{build}"')
        path.write_text(text.replace(asset.integrity, f"sha384-{build}"))
        content = (build + "x" * asset.size)[: asset.size]
        (path.parent / hashed_name).unlink()
        (path.parent / hashed_name).write_text(content)
        os.utime(path, (2_000_000_000 + number, 2_000_000_000 + number))
    process = Process()
    for _ in range(2):
        assert process.get(url)[2] == (shop.root / "b1" / NAME).read_bytes()
        assert process.get(f"{url}.br")[0] == 200
    (message,) = (record.getMessage() for record in caplog.records)
    assert message == (
        f"The build b1 has other bytes at the URL _shared/{hashed_name} than b3, b2. Those of b1 "
        'are served. Take the file out of the shared ones, shared_assets = ["!css/app.css"], or '
        "give all a new URL, with another shared_prefix."
    )
    with site(shop.sources.parent, BUILD_VERSION="elsewhere", MIDDLEWARE=MIDDLEWARE):
        assert Process().get(url)[2].startswith(b"b3")
    # Nor is an encoding of the one sent for the other.
    (shop.root / "b1" / f"{hashed_name}.br").unlink()
    assert "Content-Encoding" not in Process().get(url, accept_encoding="br")[1]


def test_the_preferred_encoding_is_that_of_any_build(shop: Site) -> None:
    """The process's own build has gzip alone, and comes first."""
    url = shop.storage.url(NAME)
    assert collect(shop, "b2", encodings=["gzip"]) == url
    with site(shop.sources.parent, BUILD_VERSION="b2", MIDDLEWARE=MIDDLEWARE):
        encoded = served(url, accept_encoding="gzip, br")[1]
        assert encoded["Content-Encoding"] == "br"


def test_its_time_is_that_of_the_oldest_build(shop: Site) -> None:
    """A client that has it from before the last deploy is told that it did not change."""
    url = shop.storage.url(NAME)
    os.utime(shop.root / "b1" / MANIFEST_NAME, (1_000_000_000, 1_000_000_000))
    modified = served(url)[1]["Last-Modified"]
    collect(shop, "b2")
    with site(shop.sources.parent, BUILD_VERSION="b2", MIDDLEWARE=MIDDLEWARE):
        assert served(url)[1]["Last-Modified"] == modified == "Sun, 09 Sep 2001 01:46:40 GMT"
        assert served(url, if_modified_since=modified)[0] == 304


def test_a_link_out_of_the_build_is_not_followed(shop: Site) -> None:
    url = shop.storage.url(NAME)
    path = shop.root / "b1" / url.removeprefix("/static/_shared/")
    outside = shop.root.parent / "outside.css"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)
    assert served(url)[0] == 404


def test_a_miss_reads_static_root_once_a_second_at_most(
    shop: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read = build_index.BuildIndex.read
    monkeypatch.setattr(
        build_index.BuildIndex, "read", lambda self: (reads.append(clock.now), read(self))[1]
    )
    process = Process()
    reads.clear()
    for number in range(5):
        assert process.get(f"/static/_shared/missing-{number}.css")[0] == 404
    assert reads == [100.0]
    clock.now += 1
    for number in range(5):
        process.get(f"/static/_shared/again-{number}.css")
    assert reads == [100.0, 101.0]


def test_a_miss_below_a_prefix_that_nobody_shares_under_reads_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        process = Process()
        with monkeypatch.context() as patched:
            patched.delattr(build_index.BuildIndex, "read")
            assert process.get("/static/_next/missing.css")[0] == 404
        # Another process switches shared assets on.
        assert process.get(collect(shop, "b2"))[0] == 200


def test_a_miss_is_not_kept_by_caches(shop: Site) -> None:
    status, headers, _ = served("/static/_shared/css/app.0123456789ab.css")
    assert (status, headers["Cache-Control"]) == (404, "no-store")


def test_an_original_name_below_the_prefix_is_redirected_and_logged_once(
    shop: Site, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process()
    page = "https://shop.example/cart/"
    for _ in range(2):
        status, headers, _ = process.get("/static/_shared/css/app.css", referer=page)
        assert (status, headers["Location"]) == (302, shop.storage.url(NAME))
        assert headers["Cache-Control"] == "max-age=60"
    (message,) = (record.getMessage() for record in caplog.records)
    assert message == (
        "/static/_shared/css/app.css was requested, which is an original name below the prefix of "
        "shared assets. It is redirected to the current build here, and missing on S3. Something "
        f"computes it from the URL of a shared asset: look in the page or the script {page}"
    )
    assert process.get("/static/_other/css/app.css")[0] == 404


def test_a_hashed_name_that_is_not_on_disk_is_not_redirected_to_itself(shop: Site) -> None:
    url = shop.storage.url(NAME)
    shutil.rmtree(shop.root / "b1" / "css")
    assert served(url)[0] == 404


def test_a_prehashed_name_that_is_not_on_disk_is_not_redirected_to_itself(tmp_path: Path) -> None:
    name = "assets/index-abcd1234.js"
    options = {"prehashed": "^assets/"}
    files = {name: "go()"}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        mark_shared(shop.root / "b1")
        del shop.storage.hashed_files
        url = shop.storage.url(name)
        assert url == f"/static/_shared/{name}"
        assert served(url)[0] == 200
        shutil.rmtree(shop.root / "b1" / "assets")
        assert served(url)[0] == 404
        assert served(f"/static/{name}")[1]["Location"] == url


def test_a_name_without_a_build_is_redirected_to_the_shared_url(shop: Site) -> None:
    status, headers, _ = served("/static/css/app.css")
    assert (status, headers["Location"]) == (302, shop.storage.url(NAME))


@pytest.mark.parametrize("path", ["/static/css/app.css", "/static/_shared/css/app.css"])
def test_a_worker_is_redirected_to_the_shared_url_at_the_page_s_origin(
    shop: Site, path: str
) -> None:
    url = shop.storage.url(NAME)
    with site(
        shop.sources.parent,
        BUILD_VERSION="b1",
        MIDDLEWARE=MIDDLEWARE,
        options={"cdn_domain": "cdn.test"},
    ):
        assert served(path, sec_fetch_dest="worker")[1]["Location"] == url
        assert served(path)[1]["Location"] == f"https://cdn.test{url}"


def test_a_service_worker_is_served_at_the_original_name(shop: Site) -> None:
    status, headers, body = served("/static/_shared/css/app.css", sec_fetch_dest="serviceworker")
    assert (status, body) == (200, (shop.root / "b1" / NAME).read_bytes())
    assert "immutable" not in headers["Cache-Control"]


@pytest.mark.parametrize("destination", ["worker", "sharedworker"])
def test_the_references_of_a_worker_lead_to_shared_assets(tmp_path: Path, destination: str) -> None:
    files = {"js/w.js": "import './lib.js'; postMessage('')", "js/lib.js": "export {}"}
    options = {"shared_assets": True, "js_modules": True, "cdn_domain": "cdn.test"}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        url = served("/static/js/w.js", sec_fetch_dest=destination)[1]["Location"]
        body = served(url)[2].decode()
        (reference,) = re.findall(r'"(.*?)"', body)
        assert reference.startswith("../../_shared/js/lib.")
        assert served(urljoin(url, reference))[0] == 200


def test_the_site_s_hook_for_headers_is_asked(shop: Site) -> None:
    def add_headers(headers: dict[str, str], path: str, url: str) -> None:
        headers["X-Url"] = f"{url} {path}"

    url = shop.storage.url(NAME)
    with override_settings(WHITENOISE_ADD_HEADERS_FUNCTION=add_headers):
        headers = served(url)[1]
    path = shop.root / "b1" / url.removeprefix("/static/_shared/")
    assert headers["X-Url"] == f"{url} {path}"


def test_a_directory_of_that_name_in_a_build_is_served_from_the_build(tmp_path: Path) -> None:
    files = {"_shared/app.css": "a{}"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        url = shop.storage.url("_shared/app.css")
        assert url.startswith("/static/b1/_shared/app.")
        assert served(url)[0] == 200
        assert served("/static/_shared/app.css")[1]["Location"] == url


def test_the_log_says_nothing_of_what_is_served(
    shop: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert Client().get(shop.storage.url(NAME)).status_code == 200
    assert not [record for record in caplog.records if record.name == "versioned_storage"]
