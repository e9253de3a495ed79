"""What the application itself serves to a CDN that pulls from it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import (
    AsyncClient,
    AsyncRequestFactory,
    RequestFactory,
    override_settings,
)
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.constants import CACHE_CONTROL
from versioned_storage.errors import VersionedStorageError
from versioned_storage.middleware import VersionedWhiteNoiseMiddleware
from versioned_storage.storage import VersionedStaticFilesStorage

from .helpers import Site, site, write
from .pulled import FILES, MIDDLEWARE, served


@pytest.mark.parametrize("name", ["css/app.css", "img/dot.svg"])
def test_a_url_of_the_page_is_served_and_immutable(deployed: Site, name: str) -> None:
    status, headers, body = served(deployed.storage.url(name))
    assert status == 200
    assert headers["Cache-Control"] == CACHE_CONTROL
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert body == Path(deployed.storage.path(name)).read_bytes()


def test_an_original_name_in_a_build_is_immutable_too(deployed: Site) -> None:
    status, headers, _ = served("/static/b1/css/app.css")
    assert (status, headers["Cache-Control"]) == (200, CACHE_CONTROL)


def test_the_encoding_that_is_accepted_is_served(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    assert served(url, accept_encoding="gzip, br")[1]["Content-Encoding"] == "br"
    assert served(url, accept_encoding="gzip")[1]["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in served(url)[1]


def test_the_build_before_is_served_beside_the_new_one(deployed: Site) -> None:
    old = deployed.storage.url("css/app.css")
    (deployed.sources / "css/app.css").write_text("body { color: red }")
    with site(deployed.sources.parent, BUILD_VERSION="b2", MIDDLEWARE=MIDDLEWARE) as redeployed:
        redeployed.collect()
        new = redeployed.storage.url("css/app.css")
        assert old.startswith("/static/b1/")
        assert new.startswith("/static/b2/")
        assert served(old)[2].startswith(b"body { background")
        assert served(new)[2] == b"body { color: red }"


@pytest.mark.parametrize(
    "url",
    ["/static/b1/staticfiles.json", "/static/b1/.hidden", "/static/staticfiles.json"],
)
def test_manifests_and_dotfiles_are_not_served(deployed: Site, url: str) -> None:
    (Path(deployed.root) / "staticfiles.json").write_text("{}")
    (Path(deployed.root) / "b1" / ".hidden").write_text("not for anybody")
    assert served(url)[0] == 404
    with override_settings(WHITENOISE_AUTOREFRESH=True):
        assert served(url)[0] == 404


@pytest.mark.parametrize("name", [".well-known/x.json", "a/.b/x.json", "staticfiles.json"])
def test_a_build_s_file_of_a_private_name_is_neither_served_nor_redirected_to(
    tmp_path: Path, name: str
) -> None:
    """As at the edge, which refuses these names too."""
    with site(tmp_path, {name: "{}"}, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect(use_default_ignore_patterns=False)
        for url in (f"/static/b1/{name}", f"/static/b1/{name}.br", f"/static/{name}"):
            assert served(url)[0] == 404


def test_start_reads_manifests_and_no_file_of_a_build(deployed: Site) -> None:
    for path in (deployed.root / "b1").rglob("*"):
        if path.is_file() and path.name != "staticfiles.json":
            path.unlink()
    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse())
    assert middleware.files == {}
    status, headers, _ = served(deployed.storage.url("css/app.css"))
    assert (status, headers["Cache-Control"]) == (404, "no-store")


def test_an_encoding_that_is_not_on_disk_is_answered_with_identity(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    path = Path(deployed.storage.path("")) / url.removeprefix("/static/b1/")
    path.with_name(f"{path.name}.br").unlink()
    for asked_url in (url, f"{url}.br"):
        status, headers, body = served(asked_url, accept_encoding="br")
        assert (status, body) == (200, path.read_bytes())
        assert headers["Content-Type"] == "text/css; charset=utf-8"
        assert headers["Vary"] == "Accept-Encoding"
        assert "Content-Encoding" not in headers


def test_the_edge_s_name_of_an_encoding_is_that_encoding_whatever_is_accepted(
    deployed: Site,
) -> None:
    url = deployed.storage.url("css/app.css")
    for suffix, encoding in ((".br", "br"), (".gz", "gzip")):
        status, headers, body = served(url + suffix)
        assert (status, headers["Content-Encoding"]) == (200, encoding)
        assert headers["Content-Type"] == "text/css; charset=utf-8"
        assert headers["Vary"] == "Accept-Encoding"
        assert body == (deployed.root / (url + suffix).removeprefix("/static/")).read_bytes()


def test_a_linked_original_has_the_bytes_of_the_hashed_file(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect(link=True)
        by_hash, by_name = shop.storage.url("css/app.css"), "/static/b1/css/app.css"
        assert b"../img/dot." in served(by_hash)[2]
        assert served(by_name)[2] == served(by_hash)[2] != FILES["css/app.css"].encode()


def test_a_link_out_of_the_build_is_not_followed(deployed: Site) -> None:
    url = deployed.storage.url("img/dot.svg")
    path = deployed.root / url.removeprefix("/static/")
    secret = deployed.root.parent / "secret"
    secret.write_bytes(b"x" * path.stat().st_size)
    path.unlink()
    path.symlink_to(secret)
    assert served(url)[0] == 404


def test_a_build_may_itself_be_a_link(deployed: Site) -> None:
    elsewhere = deployed.root.parent / "volume"
    (deployed.root / "b1").rename(elsewhere)
    (deployed.root / "b1").symlink_to(elsewhere)
    assert served(deployed.storage.url("css/app.css"))[0] == 200


def test_a_file_that_is_not_what_the_manifest_says_is_not_served(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    (deployed.root / url.removeprefix("/static/")).write_bytes(b"cut off")
    assert served(url)[0] == 404


def test_without_a_build_version_the_files_beside_the_builds_are_served_too(
    deployed: Site,
) -> None:
    with site(deployed.sources.parent, BUILD_VERSION=None, MIDDLEWARE=MIDDLEWARE) as neutral:
        neutral.collect()
        assert served("/static/css/app.css")[1]["Cache-Control"] == "max-age=60, public"
        assert served("/static/b1/css/app.css")[1]["Cache-Control"] == CACHE_CONTROL
        middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse())
        assert not [url for url in middleware.files if url.startswith("/static/b1/")]


def test_with_a_build_version_the_files_beside_the_builds_are_not(deployed: Site) -> None:
    (deployed.root / "left-over.css").write_text("")
    assert served("/static/left-over.css")[0] == 404


@pytest.mark.parametrize(("size", "has_descriptor"), [(100_000, True), (100, False)])
def test_a_file_goes_to_the_server_s_file_wrapper(
    tmp_path: Path, size: int, has_descriptor: bool
) -> None:
    """A large one with its descriptor, which a server hands to sendfile(2)."""
    wrapped = []

    def file_wrapper(file: Any, size: int) -> FileWrapper:
        wrapped.append(isinstance(file, FileIO))
        return FileWrapper(file, size)

    with site(tmp_path, {"a.png": b"x" * size}, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        environ = RequestFactory().get(shop.storage.url("a.png")).environ
        body = get_wsgi_application()({**environ, "wsgi.file_wrapper": file_wrapper}, print)
        assert b"".join(body) == b"x" * size
        body.close()
    assert wrapped == [has_descriptor]


def test_a_miss_below_the_static_prefix_does_not_run_the_site_s_404(deployed: Site) -> None:
    def site_s_own(request: HttpRequest) -> HttpResponse:
        return HttpResponse("the rest of the site", status=404)

    middleware = VersionedWhiteNoiseMiddleware(site_s_own)
    missed = middleware(RequestFactory().get("/static/b1/missing.css"))
    assert (missed.status_code, missed["Cache-Control"]) == (404, "no-store")
    assert missed.content == b"There is no such static file.\n"
    for path in ("/missing.css", "/static", "/staticfiles/x"):
        assert middleware(RequestFactory().get(path)).content == b"the rest of the site"


def test_a_site_whose_static_files_are_at_its_root_keeps_its_pages(tmp_path: Path) -> None:
    urls = {"STATIC_URL": "/", "MEDIA_URL": "/media/"}
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE, **urls) as shop:
        shop.collect()
        middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"a page"))
        assert middleware(RequestFactory().get("/page/")).content == b"a page"


def test_a_link_without_a_build_leads_behind_the_cdn(tmp_path: Path) -> None:
    options = {"cdn_domain": "cdn.test", "keep_originals": False}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        status, headers, _ = served("/static/css/app.css")
        assert (status, headers["Location"]) == (302, shop.storage.url("css/app.css"))
        assert headers["Location"].startswith("https://cdn.test/static/b1/css/app.")
        assert served("/static/.hidden")[0] == 404


def test_only_who_asks_for_a_file_is_redirected(deployed: Site) -> None:
    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the rest of the site"))
    for method, status in (("GET", 302), ("HEAD", 302), ("POST", 405), ("OPTIONS", 405)):
        response = middleware(RequestFactory().generic(method, "/static/css/app.css"))
        assert (method, response.status_code) == (method, status)


def test_the_name_in_a_redirect_is_encoded(tmp_path: Path) -> None:
    files = {"img/a b+ü%.png": b"x"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        location = served("/static/img/a%20b%2B%C3%BC%25.png")[1]["Location"]
        assert location == shop.storage.url("img/a b+ü%.png")
        assert served(location)[2] == b"x"


def test_where_the_current_build_is_on_s3_alone_its_manifest_is_asked(
    deployed: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    published: dict[str, str] | VersionedStorageError = {"css/app.css": "css/app.1.css"}

    def hashed_files(self: object) -> dict[str, str]:
        if isinstance(published, VersionedStorageError):
            raise published
        return published

    monkeypatch.setattr(VersionedStaticFilesStorage, "hashed_files", property(hashed_files))
    (deployed.root / "b1" / "staticfiles.json").unlink()
    assert served("/static/css/app.css")[1]["Location"] == "/static/b1/css/app.1.css"
    published = VersionedStorageError("the origin does not answer")
    assert served("/static/css/app.css")[0] == 404
    assert "No redirect for css/app.css: the origin does not answer" in caplog.text


@pytest.mark.parametrize("manifest", [b"{", b"\xff\xfe", None])
def test_a_manifest_that_cannot_be_read_makes_a_miss_no_fault(
    tmp_path: Path, manifest: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    with site(tmp_path, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        if manifest is None:
            write(shop.root, {"b1": "a file in the place of the directory"})
        else:
            write(shop.root, {"b1/staticfiles.json": manifest})
        status, headers, _ = served("/static/css/app.css")
        assert (status, headers["Cache-Control"]) == (404, "no-store")
        assert "No redirect for css/app.css: " in caplog.text


def asked_async(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async def ask() -> tuple[int, dict[str, str], bytes]:
        response = await AsyncClient().get(url, headers=headers)
        body = response.content if not response.streaming else b""
        if response.streaming:
            assert response.is_async
            body = b"".join([part async for part in response.streaming_content])
        response.close()
        return response.status_code, dict(response.items()), body

    return asyncio.run(ask())


def test_asgi_gets_the_same_answers(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    for path in (url, f"{url}.br", "/static/css/app.css", "/static/missing.css", "/static/b1/x"):
        for headers in ({}, {"accept_encoding": "br"}, {"range": "bytes=1-2"}):
            for _ in range(2):  # the first time and from then on
                assert asked_async(path, **headers) == served(path, **headers)
    with override_settings(WHITENOISE_AUTOREFRESH=True):
        assert asked_async("/static/b1/css/app.css") == served("/static/b1/css/app.css")


def test_asgi_takes_a_thread_for_a_file_the_first_time_alone(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what Django itself does in threads, before and after."""

    async def get_response(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"the site")

    async def ask_again() -> None:
        first = await middleware(request)
        first.close()
        monkeypatch.setattr("versioned_storage.middleware.in_thread", None)
        again = await middleware(request)
        assert again.status_code == 200
        again.close()
        assert (await middleware(AsyncRequestFactory().get("/page/"))).content == b"the site"

    middleware = VersionedWhiteNoiseMiddleware(get_response)
    request = AsyncRequestFactory().get(deployed.storage.url("css/app.css"))
    asyncio.run(ask_again())


def test_asgi_gets_a_large_file_block_by_block(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    with site(tmp_path, {"a.png": data}, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        url = shop.storage.url("a.png")
        assert asked_async(url)[2] == data
        assert asked_async(url, range="bytes=5-200004")[2] == data[5:200_005]


def test_where_nothing_is_in_memory_it_is_read_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("versioned_storage.serving.regular_files._NO_WAIT", None)
    files = {"a.png": bytes(range(256)) * 1000, "b.png": b"b", "empty.png": b""}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        for name, data in files.items():
            assert asked_async(one.storage.url(name))[2] == data


def test_a_sync_stack_under_asgi_streams_without_a_warning(tmp_path: Path) -> None:
    """Behind a middleware that is sync alone ours runs sync, and the server is still ASGI."""
    data = bytes(range(256)) * 1000
    stack = ["tests.test_middleware.SyncMiddleware", *MIDDLEWARE]
    with site(tmp_path, {"a.png": data}, BUILD_VERSION="b1", MIDDLEWARE=stack) as shop:
        shop.collect()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert asked_async(shop.storage.url("a.png"))[2] == data


class SyncMiddleware:
    """One that knows no async."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)


@pytest.fixture(scope="module")
def middleware(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VersionedWhiteNoiseMiddleware]:
    """One for many requests, with a secret beside STATIC_ROOT and one in it."""
    directory = tmp_path_factory.mktemp("hostile")
    with site(directory, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        (directory / "secret").write_text("secret")
        (shop.root / "secret").write_text("secret")
        yield VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))


PLAIN = ["/", "static", "b1", "css", "app.css", "secret", "staticfiles.json", ".hidden", ".br"]
ODD = ["..", ".", "%2e", "%2f", "\\", "\0", "\r\n", "\udc80", "\ud800", "é", "\u2215", "a" * 300]
PARTS = st.sampled_from([*PLAIN, *ODD])


@given(st.lists(PARTS, max_size=12).map("".join) | st.text(max_size=50), st.booleans())
def test_no_path_leaves_a_build_and_none_is_a_fault(
    middleware: VersionedWhiteNoiseMiddleware, path: str, below: bool
) -> None:
    request = RequestFactory().get("/")
    request.path_info = f"/static/{path}" if below else f"/{path}"
    response = middleware(request)
    body = response.getvalue()
    response.close()
    assert response.status_code in (200, 302, 404)
    assert b"secret" not in body
    assert b"integrity" not in body
    assert not any("\n" in value for value in response.headers.values())


def test_a_service_worker_is_served_at_the_url_without_a_build(tmp_path: Path) -> None:
    """Its URL in the build may be of another origin, and it takes no redirect."""
    asked = {"sec_fetch_dest": "serviceworker"}
    files = {"js/w.js": "import './lib.js';\n" * 30, "js/lib.js": "export {}"}
    options = {"cdn_domain": "cdn.test"}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        content = (shop.root / "b1/js/w.js").read_bytes()
        status, headers, body = served("/static/js/w.js", **asked)
        assert (status, body) == (200, content)
        assert headers["Cache-Control"] == "max-age=60, public"
        assert headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert headers["Vary"] == "Sec-Fetch-Dest, Accept-Encoding"
        encoded = served("/static/js/w.js", **asked, accept_encoding="br")[1]
        assert encoded["Content-Encoding"] == "br"
        assert served("/static/js/none.js", **asked)[0] == 404
        assert served("/static/js/w.js", **asked, if_none_match=headers["ETag"])[0] == 304
        (shop.root / "b1" / shop.storage.stored_name("js/w.js")).unlink()
        assert served("/static/js/w.js", **asked)[0] == 404


@pytest.mark.parametrize("destination", ["worker", "sharedworker"])
def test_a_worker_is_redirected_to_the_build_at_the_page_s_origin(
    tmp_path: Path, destination: str
) -> None:
    options = {"cdn_domain": "cdn.test"}
    with site(
        tmp_path, {"js/w b.js": ""}, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE
    ) as shop:
        shop.collect()
        status, headers, _ = served("/static/js/w%20b.js", sec_fetch_dest=destination)
        url = shop.storage.url("js/w b.js").removeprefix("https://cdn.test")
        assert (status, headers["Location"]) == (302, url)
        assert headers["Vary"] == "Sec-Fetch-Dest"
        assert served(url)[0] == 200


def test_other_requests_for_that_url_are_redirected_as_before(tmp_path: Path) -> None:
    with site(tmp_path, {"js/w.js": ""}, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        for headers in ({}, {"sec_fetch_dest": "script"}, {"sec_fetch_dest": "document"}):
            status, answered, _ = served("/static/js/w.js", **headers)
            assert (status, answered["Location"]) == (302, shop.storage.url("js/w.js"))
            assert answered["Vary"] == "Sec-Fetch-Dest"


def test_a_worker_whose_build_is_not_on_this_disk_is_redirected(deployed: Site) -> None:
    storage = deployed.storage
    assert storage.manifest is not None
    (deployed.root / "b1").rename(deployed.root / "moved")
    assert served("/static/css/app.css", sec_fetch_dest="worker")[0] == 302


@pytest.mark.parametrize("written", ["+", "%2B"])
def test_a_plus_in_a_path_is_a_plus(tmp_path: Path, written: str) -> None:
    files = {"a+b.txt": "plus", "a b.txt": "space"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        hashed = shop.storage.url("a+b.txt")
        for url in (f"/static/b1/a{written}b.txt", hashed.replace("%2B", written)):
            assert served(url)[2] == b"plus"
            assert asked_async(url)[2] == b"plus"
        assert served(f"/static/a{written}b.txt")[1]["Location"] == hashed
        assert served("/static/b1/a%20b.txt")[2] == b"space"


@pytest.mark.parametrize("autorefresh", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("a.wav", "a.vtt", "a.opus", "a.csv", "a.geojson", "a.glb", "a.webmanifest", "a.map"),
        *("a.mjs", "a.cjs", "a.woff2", "a.ttf", "a.wasm", "a.svg", "a.CSS", "LICENSE", "a.unknown"),
    ],
)
def test_a_media_type_is_the_one_of_the_object_on_s3(
    tmp_path: Path, name: str, autorefresh: bool
) -> None:
    settings = {"MIDDLEWARE": MIDDLEWARE, "WHITENOISE_AUTOREFRESH": autorefresh}
    with site(tmp_path, {name: "x"}, BUILD_VERSION="b1", **settings) as shop:
        shop.collect()
        manifest = shop.storage.manifest
        assert manifest is not None
        (asset,) = manifest.assets.values()
        for url in (f"/static/b1/{name}", shop.storage.url(name)):
            assert served(url)[1]["Content-Type"] == asset.content_type
