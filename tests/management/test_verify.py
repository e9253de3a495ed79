"""manage.py staticbuilds verify --edge and --page."""

import gzip
import json
import re
from contextlib import contextmanager
from functools import partial
from io import StringIO
from wsgiref.simple_server import WSGIRequestHandler, make_server

import brotli
import pytest
from django.core.management import CommandError, call_command
from django.core.wsgi import get_wsgi_application

from tests.edge.conftest import FILES
from tests.edge.edges import Edge, Reply, serving
from tests.helpers import site
from tests.s3 import Bucket, moto, nobody, options
from tests.servers import running
from tests.shared import mark_shared
from versioned_storage.build.manifest import UnreadableManifest
from versioned_storage.edge.client import EdgeClient
from versioned_storage.management.subcommands import verify as subcommand
from versioned_storage.management.subcommands.verify import NoEdge, NothingToVerify
from versioned_storage.origin.record import NotPublished
from versioned_storage.site import UnknownBuild

OTHER = {**FILES, "css/app.css": "body { color: red }\n" * 20}


@pytest.fixture(autouse=True)
def nobody_sleeps(monkeypatch):
    monkeypatch.setattr(subcommand, "EdgeClient", partial(EdgeClient, sleep=lambda _: None))


@pytest.fixture
def edge(tmp_path):
    with serving(Edge(tmp_path / "static_root")) as request:
        yield request


@pytest.fixture
def shop(tmp_path, edge):
    """A site with two builds behind an edge."""
    storage_options = {"cdn_domain": edge.url}
    with site(tmp_path, OTHER, options=storage_options, BUILD_VERSION="b0") as older:
        older.collect()
    with site(tmp_path, FILES, options=storage_options, BUILD_VERSION="b1") as newer:
        newer.collect()
        yield newer


def verify(*arguments):
    """What the command says, and its exit code."""
    output = StringIO()
    try:
        call_command("staticbuilds", "verify", *arguments, stdout=output)
    except SystemExit as end:
        return output.getvalue(), end.code
    return output.getvalue(), 0


def test_an_edge_with_the_build_is_well_and_the_command_says_who_answered(shop, edge):
    output, code = verify("--edge")
    assert code == 0
    lines = output.splitlines()
    assert re.fullmatch(
        rf"Build b1 at {edge.url}/static/b1/: 52 probes, all passed, \d+\.\d s", lines[0]
    )
    assert lines[1] == "  49 responses from AmazonS3, at FRA56-P1, Miss from cloudfront"


def test_an_edge_is_well_where_copies_of_a_bundler_stand_beside_their_files(tmp_path, edge):
    """At the original name of such a copy is the encoding of the file itself."""
    script, text = b"let e\n" * 50, b"a,b\n" * 50
    files = {
        "index-BWz4x_9Q.js": script,
        "index-BWz4x_9Q.js.gz": gzip.compress(script),
        "index-BWz4x_9Q.js.br": brotli.compress(script),
        "decodes.csv": text,
        "decodes.csv.gz": gzip.compress(text),
        "differs.csv": text,
        "differs.csv.gz": b"not gzip",
        "differs.csv.br": b"not brotli",
    }
    options = {"cdn_domain": edge.url, "prehashed": r"-\w{8}\.js$"}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1") as shop:
        shop.collect()
        output, code = verify("--edge")
    assert code == 0, output


def test_a_few_assets_of_the_oldest_build_are_asked_for(shop, edge):
    verify("--edge")
    older = {request.path for request in edge.requests if request.path.startswith("/static/b0/")}
    assert len(older) == 5


def test_shared_assets_of_the_oldest_build_that_are_gone_are_asked_for(shop, edge, tmp_path):
    """Pages of that build still name them; what both builds share is among those of the new one."""
    older, newer = (mark_shared(tmp_path / "static_root" / build) for build in ("b0", "b1"))
    paths = {
        asset.path: f"{manifest.build}/{asset.hashed_name}"
        for manifest in (older, newer)
        for asset in manifest.assets.values()
    }
    edge.moved = paths
    output, code = verify("--edge")
    assert code == 0, output
    current = {asset.path for asset in newer.assets.values()}
    gone = {asset.path for asset in older.assets.values()} - current
    requested = {request.path.removeprefix("/static/") for request in edge.requests}
    assert gone
    assert gone <= requested
    edge.moved = {path: paths[path] for path in current}
    output, code = verify("--edge")
    assert code == 1
    assert all(path in output for path in gone)


def test_records_and_manifests_are_asked_for(shop, edge):
    verify("--edge")
    requested = {request.path for request in edge.requests}
    assert {"/static/b1/staticfiles.json", "/builds/b1.json"} <= requested


def test_a_fault_is_told_and_the_exit_code_is_1(shop, edge):
    edge.twist = lambda request, reply: (
        reply.having(content_type="text/plain") if request.path.endswith(".js") else reply
    )
    output, code = verify("--edge")
    assert code == 1
    assert "Content-Type is text/plain, expected text/javascript; charset=utf-8" in output
    output, code = verify("--edge", "--json")
    assert code == 1
    assert json.loads(output)["faults"][0]["found"] == "text/plain"


def test_a_sample_asks_for_fewer(shop, edge):
    output, _ = verify("--edge", "--sample", "1", "--json")
    assert json.loads(output)["asked"] < 20


def test_another_build_can_be_named(shop, edge):
    output, code = verify("b0", "--edge")
    assert code == 0
    assert output.startswith(f"Build b0 at {edge.url}/static/b0/")


def test_a_page_alone_is_one_question(shop, edge):
    html = f'<link rel="stylesheet" href="{shop.storage.url("css/app.css")}">'.encode()
    edge.twist = lambda request, reply: Reply(200, {}, html) if request.path == "/cart" else reply
    output, code = verify("--page", f"{edge.url}/cart")
    assert (code, ": 1 probe, all passed" in output) == (0, True)
    output, code = verify("b0", "--page", f"{edge.url}/cart")
    assert code == 1
    assert "its build is 'b1', expected 'b0'" in output


def test_neither_edge_nor_page_nor_an_origin_is_an_error(shop):
    with pytest.raises(NothingToVerify, match="--edge"):
        verify()


def test_a_site_without_a_cdn_has_nobody_to_ask(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        with pytest.raises(NoEdge, match="The build's URL is /static/b1/, which has no host"):
            verify("--edge")


@pytest.fixture
def relative_shop(tmp_path, edge):
    """A site whose static files have its own domain: no cdn_domain, and no host in STATIC_URL."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        yield shop


def test_a_site_with_one_domain_is_verified_there(relative_shop, edge):
    output, code = verify("--edge", "--edge-url", f"{edge.url}/")
    assert code == 0
    assert output.startswith(f"Build b1 at {edge.url}/static/b1/: ")
    requested = {request.path for request in edge.requests}
    assert {"/static/b1/staticfiles.json", "/builds/b1.json"} <= requested


def test_a_page_of_a_site_with_one_domain_is_verified_without_more(relative_shop, edge):
    url = relative_shop.storage.url("css/app.css")
    assert url.startswith("/static/b1/")
    html = f'<link rel="stylesheet" href="{url}">'.encode()
    edge.twist = lambda request, reply: Reply(200, {}, html) if request.path == "/cart" else reply
    for arguments in ((), ("--edge", "--edge-url", edge.url)):
        assert verify("--page", f"{edge.url}/cart", *arguments)[1] == 0
    edge.twist = lambda request, reply: (
        Reply(200, {}, html.replace(b"/b1/", b"/b0/")) if request.path == "/cart" else reply
    )
    output, code = verify("--page", f"{edge.url}/cart")
    assert code == 1
    assert "its build is 'b0', expected 'b1'" in output


def test_an_edge_is_verified_before_its_domain_leads_to_it(shop, edge):
    with serving(Edge(shop.root)) as new:
        output, code = verify("--edge", "--edge-url", new.url)
    assert code == 0
    assert output.startswith(f"Build b1 at {new.url}/static/b1/")
    assert edge.requests == []


def test_a_static_url_with_a_host_is_asked(tmp_path, edge):
    with site(tmp_path, FILES, BUILD_VERSION="b1", STATIC_URL=f"{edge.url}/static/") as shop:
        shop.collect()
        assert verify("--edge")[1] == 0


def test_a_build_that_nobody_knows_is_an_error(shop):
    with pytest.raises(UnknownBuild, match="There is no build b7"):
        verify("b7", "--edge")


def test_a_manifest_that_django_wrote_is_an_error(shop):
    text = '{"version": "1.1", "paths": {"a.css": "a.123.css"}, "hash": ""}'
    (shop.root / "b1" / "staticfiles.json").write_text(text)
    with pytest.raises(UnreadableManifest, match="only names"):
        verify("--edge")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--page", "ftp://127.0.0.1/"),
        ("--page", "/cart"),
        ("--page", "http://["),
        ("--page", "http://127.0.0.1:x/"),
        ("--edge", "--edge-url", "www.example.com"),
        ("--edge", "--edge-url", "https://www.example.com/static/"),
        ("--wait", "0"),
        ("--wait", "soon"),
        ("--timeout", "-1"),
        ("--sample", "0"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(shop, arguments):
    with pytest.raises(CommandError, match=arguments[0]):
        verify("--edge", *arguments)


# With an S3 origin


@pytest.fixture(scope="module")
def s3_server():
    with moto() as url:
        yield url


@pytest.fixture
def published(tmp_path, edge, s3_server):
    """Two builds on S3, and an app server that has neither of them on disk."""
    with Bucket.at(s3_server) as bucket:
        storage_options = {"cdn_domain": edge.url, "origin": bucket.options(location="shop")}
        for build, files in (("b0", OTHER), ("b1", FILES)):
            with site(tmp_path, files, options=storage_options, BUILD_VERSION=build) as deploy:
                deploy.collect()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        with site(elsewhere, {}, options=storage_options, BUILD_VERSION="b1") as shop:
            yield shop


def test_the_manifests_are_those_of_s3_where_none_is_on_disk(published, edge):
    output, code = verify("--edge")
    assert (code, output.startswith("Build b1 at ")) == (0, True)
    assert (
        len({request.path for request in edge.requests if request.path.startswith("/static/b0/")})
        == 5
    )
    assert verify("b0", "--edge")[1] == 0


def test_a_build_that_is_only_on_the_disk_is_an_error_before_any_request(tmp_path, edge, s3_server):
    with Bucket.at(s3_server) as bucket:
        storage_options = {"cdn_domain": edge.url, "origin": bucket.options(), "publish": False}
        with site(tmp_path, FILES, options=storage_options, BUILD_VERSION="b2") as unpublished:
            unpublished.collect()
            with pytest.raises(NotPublished, match="staticbuilds publish b2"):
                verify("b2", "--edge")
    assert edge.requests == []


def test_records_are_asked_for_below_the_location_too(published, edge):
    verify("--edge")
    requested = {request.path for request in edge.requests}
    assert {"/builds/b1.json", "/shop/builds/b1.json"} <= requested


def test_without_an_answer_of_s3_the_edge_is_verified_and_it_is_said(shop, edge, caplog):
    with nobody() as gone:
        origin = options(gone, "bucket")
        storage_options = {"cdn_domain": edge.url, "origin": origin}
        with site(shop.sources.parent, options=storage_options, BUILD_VERSION="b1"):
            assert verify("--edge")[1] == 0
    assert "No older build is verified: " in caplog.text


@contextmanager
def application():
    """The site's own WSGI application on a free port; gives the server."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    server = make_server("127.0.0.1", 0, lambda *_: [], handler_class=Quiet)
    with server, running(server):
        yield server


def test_the_middleware_is_an_origin_with_which_all_is_well(tmp_path):
    middleware = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]
    with application() as server:
        storage_options = {"cdn_domain": f"http://127.0.0.1:{server.server_port}"}
        with site(
            tmp_path, FILES, options=storage_options, BUILD_VERSION="b1", MIDDLEWARE=middleware
        ) as shop:
            shop.collect()
            server.set_app(get_wsgi_application())
            output, code = verify("--edge")
    assert (output, code) == (output, 0)
