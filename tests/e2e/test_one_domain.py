"""Pages and static files on one domain, as with Mode=site: nginx stands for the distribution."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from io import StringIO
from itertools import count
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Template
from django.urls import path

from tests.e2e import browser
from tests.e2e.conftest import Edge
from tests.helpers import Site, site
from tests.s3 import Bucket
from tests.servers import running, wsgi_server

FILES: dict[str, str | bytes] = {
    "css/app.css": "h1 { color: rgb(1, 2, 3); background: url(../img/icons.svg) }\n" * 20,
    "css/a + b.css": "h2 { color: rgb(4, 5, 6) }\n" * 20,
    "css/all.css": '@import "a + b.css";\n',
    "js/page.js": "import { name } from './lib.js'; window.heard = [name];\n",
    "js/lib.js": "export const name = 'module';\n",
    "js/worker.js": "import { name } from './lib.js'; onmessage = () => postMessage(name);\n",
    "js/shared.js": "onconnect = event => event.ports[0].postMessage('shared');\n",
    "img/icons.svg": '<svg xmlns="http://www.w3.org/2000/svg"><symbol id="dot" viewBox="0 0 8 8">'
    '<circle cx="4" cy="4" r="4"/></symbol></svg>\n',
}
PAGE = """<!doctype html>{% load static %}<link rel="icon" href="data:,">
<link rel="stylesheet" href="{% static 'css/app.css' %}">
<link rel="stylesheet" href="{% static 'css/all.css' %}">
<script type="module" src="{% static 'js/page.js' %}"></script>
<h1>A</h1><h2>B</h2>
<svg width="8" height="8"><use href="{% static 'img/icons.svg' %}#dot"/></svg>
<script>
function answer(port) {
  return new Promise((resolve, reject) => {
    port.onmessage = event => resolve(event.data);
    port.onerror = () => reject(new Error('it does not load'));
  });
}
function worker() {
  const started = new Worker("{% static 'js/worker.js' %}", { type: "module" });
  started.postMessage("");
  return answer(started);
}
function shared() { return answer(new SharedWorker("{% static 'js/shared.js' %}").port); }
</script>"""
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")

times = count(1)


def echo(request: HttpRequest) -> HttpResponse:
    """Answer with what arrived, and with how many requests did."""
    arrived = {
        "method": request.method,
        "host": request.headers["Host"],
        "query": request.META["QUERY_STRING"],
        "cookie": request.headers.get("Cookie"),
        "language": request.headers.get("Accept-Language"),
        "encoding": request.headers.get("Accept-Encoding"),
        "body": request.body.decode(),
        "time": next(times),
    }
    answer = JsonResponse(arrived, status=int(request.GET.get("status", 200)))
    answer["X-Arrived"] = json.dumps(arrived)
    # Nothing that a page says lets the edge keep it.
    answer["Cache-Control"] = "max-age=60, public"
    return answer


urlpatterns = [
    path("", lambda _: HttpResponse(Template(PAGE).render(Context()))),
    path("echo/", echo),
]


@pytest.fixture(scope="module")
def shop(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Bucket]]:
    """A site without cdn_domain, with a build on S3 and none on its disk."""
    with Bucket.at(s3_server) as bucket:
        bucket.let_everyone_read()
        options = {"origin": bucket.options(), "connections": 4, "js_modules": True}
        settings = {"ROOT_URLCONF": __name__, "ALLOWED_HOSTS": ["*"], "BUILD_VERSION": "b1"}
        with site(tmp_path_factory.mktemp("one"), FILES, options=options, **settings) as shop:
            shop.collect()
            yield shop, bucket


@pytest.fixture
def edge(shop: tuple[Site, Bucket], edge_of: Callable[..., Edge]) -> Iterator[Edge]:
    """The domain of the site: static files from the bucket, all else from Django."""
    bucket = shop[1]
    with wsgi_server(get_wsgi_application()) as pages:
        yield edge_of(bucket=f"{bucket.endpoint}/{bucket.name}", pages=pages)


def arrived(edge: Edge, method: str = "GET", query: str = "a=1&a=2", **headers: str) -> Any:
    answer = edge.ask(f"/echo/?{query}", "gzip, br, zstd", method, **headers)
    return answer.status, json.loads(answer.headers["X-Arrived"])


# Pages


def test_a_page_is_requested_as_the_visitor_did(edge: Edge) -> None:
    for method in METHODS:
        status, request = arrived(edge, method, Cookie="session=1", Accept_Language="de")
        assert status == 200
        del request["time"]
        assert request == {
            "method": method,
            "host": urlsplit(edge.url).netloc,
            "query": "a=1&a=2",
            "cookie": "session=1",
            "language": "de",
            "encoding": "gzip, br, zstd",
            "body": "",
        }


def test_a_body_arrives(edge: Edge) -> None:
    connection = HTTPConnection(urlsplit(edge.url).netloc, timeout=20)
    connection.request("POST", "/echo/", body=b"name=value")
    answer = connection.getresponse()
    assert json.loads(answer.read())["body"] == "name=value"
    connection.close()


def test_no_page_and_no_error_is_kept(edge: Edge) -> None:
    for status in (200, 403, 404, 500, 503):
        (first, request), (second, again) = (
            arrived(edge, query=f"status={status}") for _ in range(2)
        )
        assert first == second == status
        assert again["time"] == request["time"] + 1


def test_a_websocket_is_connected(shop: tuple[Site, Bucket], edge_of: Callable[..., Edge]) -> None:
    class Echo(StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n")).lower()
            assert b"upgrade: websocket" in head
            assert b"connection: upgrade" in head
            self.wfile.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\n\r\n"
            )
            self.wfile.write(self.rfile.read(5).upper())

    with ThreadingTCPServer(("127.0.0.1", 0), Echo) as server, running(server):
        edge = edge_of(
            bucket=f"{shop[1].endpoint}/{shop[1].name}",
            pages=f"http://127.0.0.1:{server.server_address[1]}",
        )
        parts = urlsplit(edge.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as visitor:
            visitor.sendall(
                f"GET /chat HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
                "\r\nhello".encode()
            )
            received = b""
            while not received.endswith(b"HELLO"):
                part = visitor.recv(4096)
                assert part, received
                received += part
    assert received.startswith(b"HTTP/1.1 101 ")


# Static files


def test_static_files_come_from_the_bucket_and_pages_never_see_them(
    shop: tuple[Site, Bucket], edge: Edge
) -> None:
    path = shop[0].storage.url("css/app.css")
    assert path.startswith("/static/b1/css/app.")
    answers = [edge.ask(path, "br", Cookie="session=1") for _ in range(2)]
    assert [answer.cache for answer in answers] == ["MISS", "HIT"]
    assert answers[0].headers["Content-Encoding"] == "br"
    missing = edge.ask("/static/b1/css/none.css")
    assert missing.status in (403, 404)
    assert edge.ask("/static/b1/staticfiles.json").status == 404


def test_records_are_a_page_that_the_site_does_not_have(edge: Edge) -> None:
    answer = edge.ask("/builds/b1.json")
    assert answer.status == 404
    assert b"published" not in answer.body


def test_the_site_is_verified_with_its_own_domain(shop: tuple[Site, Bucket], edge: Edge) -> None:
    output = StringIO()
    call_command(
        "staticbuilds",
        "verify",
        "--edge",
        "--edge-url",
        edge.url,
        "--page",
        f"{edge.url}/",
        stdout=output,
    )
    assert output.getvalue().startswith(f"Build b1 at {edge.url}/static/b1/: ")
    assert "all passed" in output.getvalue()
    call_command("staticbuilds", "doctor", "--edge-url", edge.url, stdout=output)
    assert f"{edge.url}/static/ responds, and refuses a missing file" in output.getvalue()
    assert "of b1 is served" in output.getvalue()


# What a visitor sees


@contextmanager
def visited(edge: Edge) -> Iterator[tuple[Any, list[str], list[Any]]]:
    """A page of the site in Chromium, what the console said, and the responses."""
    with browser.chromium() as chromium:
        page = chromium.new_page()
        said: list[str] = []
        responses: list[Any] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("response", lambda response: responses.append(response))
        page.goto(edge.url)
        page.wait_for_load_state("networkidle")
        yield page, said, responses


def test_what_needs_the_origin_of_the_page_works(edge: Edge) -> None:
    with visited(edge) as (page, said, responses):
        assert page.evaluate("window.heard") == ["module"]
        assert page.evaluate("worker()") == "module"
        assert page.evaluate("shared()") == "shared"
        colours = "['h1', 'h2'].map(n => getComputedStyle(document.querySelector(n)).color)"
        assert page.evaluate(colours) == ["rgb(1, 2, 3)", "rgb(4, 5, 6)"]
        assert page.evaluate("document.querySelector('use').getBoundingClientRect().width") == 8
        assert said == []
        assert {response.status for response in responses} == {200}
        hosts = {urlsplit(response.url).netloc for response in responses}
        assert hosts == {urlsplit(edge.url).netloc}
        styles = [response for response in responses if response.url.endswith(".css")]
        assert {response.headers.get("content-encoding") for response in styles} == {"br"}


def test_a_second_visit_loads_no_static_file_again(edge: Edge) -> None:
    with visited(edge) as (page, _, _):
        page.goto(edge.url)
        page.wait_for_load_state("networkidle")
        sizes = "performance.getEntriesByType('resource').map(e => [e.name, e.transferSize])"
        entries = dict(page.evaluate(sizes))
        assert len(entries) >= 5
        assert set(entries.values()) == {0}
