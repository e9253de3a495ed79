"""What the middleware answers over real HTTP, from the servers that sites run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

import brotli
import pytest

from versioned_storage.constants import CACHE_CONTROL, MANIFEST_NAME

from .helpers import Site, site

SERVERS = {
    "gunicorn sync": ["gunicorn", "--worker-class=sync", "--bind={}", "tests.served_site:wsgi()"],
    "gunicorn gthread": [
        "gunicorn", "--worker-class=gthread", "--threads=4", "--bind={}",
        "tests.served_site:wsgi()",
    ],
    "uvicorn": ["tests.uvicorn_at", "{}"],
    "hypercorn": ["hypercorn", "--bind={}", "tests.served_site:asgi()"],
}  # fmt: skip
LARGE = b"".join(b"const value%d = %d;\n" % (number, number) for number in range(20_000))
FILES = {
    "css/app.css": "body { background: url(../img/dot.svg) }" + " " * 500,
    "img/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "img/photo.png": bytes(range(256)),
    "js/large.js": LARGE,
    "empty.txt": "",
}


@dataclass
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes


class Client:
    """One connection, kept where the server keeps it."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._connection = HTTPConnection(host, int(port), timeout=20)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        # http.client refuses control characters in a path, so the rest is sent as it is.
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, headers=named)
        response = self._connection.getresponse()
        body = response.read()
        return Answer(response.status, response.headers, body)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two builds on disk: b1, and one that is still to come."""
    directory = tmp_path_factory.mktemp("deployed")
    for version in ("b1", "later"):
        with site(directory, FILES, BUILD_VERSION=version) as shop:
            shop.collect()
    (directory / "static_root" / "later").rename(directory / "later")
    (directory / "public").mkdir()
    (directory / "public" / "robots.txt").write_text("User-agent: *\n")
    return shop


@contextmanager
def serving(arguments: list[str], root: Path) -> Iterator[str]:
    """A server in a process of its own, and where it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", *(part.format(address) for part in arguments)]
    environment = {
        **os.environ,
        "STATIC_ROOT": str(root),
        "WHITENOISE_ROOT": str(root.parent / "public"),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert b"Traceback" not in output, output.decode()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    pytest.fail("the server did not start")


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def address(request: pytest.FixtureRequest, deployed: Site) -> Iterator[str]:
    with serving(request.param, deployed.root) as listening:
        yield listening


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    client = Client(address)
    yield client
    client.close()


@pytest.fixture(scope="module")
def hashed(deployed: Site) -> dict[str, str]:
    """The URL of each file in build b1."""
    manifest = json.loads((deployed.root / "b1" / MANIFEST_NAME).read_text())
    return {name: f"/static/b1/{hashed_name}" for name, hashed_name in manifest["paths"].items()}


def test_each_file_has_its_bytes_and_the_headers_of_a_build(
    client: Client, deployed: Site, hashed: dict[str, str]
) -> None:
    for name, url in hashed.items():
        on_disk = (deployed.root / url.removeprefix("/static/")).read_bytes()
        for path in (url, f"/static/b1/{name}"):
            answer = client.ask(path)
            assert (answer.status, answer.body) == (200, on_disk)
            assert answer.headers["Content-Length"] == str(len(on_disk))
            assert answer.headers["Cache-Control"] == CACHE_CONTROL
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Timing-Allow-Origin"] == "*"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert ("Vary" in answer.headers) == (not name.endswith(".png"))


def test_an_encoding_is_sent_to_who_accepts_it_and_by_its_own_name(
    client: Client, hashed: dict[str, str]
) -> None:
    for name in ("js/large.js", "css/app.css"):
        identity = client.ask(hashed[name])
        encoded = client.ask(hashed[name], Accept_Encoding="gzip, br")
        named = client.ask(hashed[name] + ".br")
        assert encoded.headers["Content-Encoding"] == named.headers["Content-Encoding"] == "br"
        assert encoded.body == named.body
        assert brotli.decompress(encoded.body) == identity.body
        assert encoded.headers["Content-Type"] == identity.headers["Content-Type"]
        assert encoded.headers["ETag"] != identity.headers["ETag"]


def test_what_a_client_has_is_not_sent_again(client: Client, hashed: dict[str, str]) -> None:
    url = hashed["css/app.css"]
    etag = client.ask(url).headers["ETag"]
    answer = client.ask(url, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == etag
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Type" not in answer.headers
    assert client.ask(url, If_None_Match=etag, Accept_Encoding="br").status == 200
    assert client.ask(url).status == 200  # the connection goes on


def test_a_range_is_of_the_encoding_that_is_served(client: Client, hashed: dict[str, str]) -> None:
    url = hashed["js/large.js"]
    encoded = client.ask(url, Accept_Encoding="br").body
    for header, part in (
        ("bytes=0-0", encoded[:1]),
        ("bytes=-5", encoded[-5:]),
        ("bytes=7-", encoded[7:]),
    ):
        answer = client.ask(url, Accept_Encoding="br", Range=header)
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["Content-Encoding"] == "br"
        assert answer.headers["Content-Range"].endswith(f"/{len(encoded)}")
    long = client.ask(url, Range="bytes=1-200000")
    assert (long.status, long.body) == (206, LARGE[1:200_001])
    beyond = client.ask(url, Range=f"bytes={len(LARGE)}-")
    assert (beyond.status, beyond.body) == (416, b"")
    assert beyond.headers["Content-Range"] == f"bytes */{len(LARGE)}"
    assert beyond.headers["Access-Control-Allow-Origin"] == "*"
    assert client.ask(url, Range="bytes=0-0,2-2").body == LARGE


def test_head_has_the_headers_of_get_and_no_body(client: Client, hashed: dict[str, str]) -> None:
    for url in (hashed["js/large.js"], hashed["css/app.css"], "/static/missing"):
        get, head = client.ask(url), client.ask(url, "HEAD")
        assert (head.status, head.body) == (get.status, b"")
        skipped = {"date", "connection", "transfer-encoding"}
        for name, value in get.headers.items():
            if name.lower() not in skipped:
                assert head.headers[name] == value
    assert client.ask(hashed["css/app.css"], "HEAD", Range="bytes=0-0").status == 200


def test_other_methods_are_not_allowed(client: Client, hashed: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = client.ask(hashed["css/app.css"], method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_link_without_a_build_leads_to_the_current_one(
    client: Client, hashed: dict[str, str]
) -> None:
    for path in ("/static/img/photo.png", hashed["img/photo.png"].replace("/b1/", "/")):
        answer = client.ask(path)
        assert (answer.status, answer.headers["Location"]) == (302, hashed["img/photo.png"])
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_miss_is_no_page_of_the_site_and_is_not_stored(client: Client) -> None:
    for path in ("/static/missing.css", "/static/b1/missing.css", "/static/b9/css/app.css"):
        answer = client.ask(path)
        assert (answer.status, answer.body) == (404, b"There is no such static file.\n")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_rest_of_the_site_and_whitenoise_root_are_served_as_ever(client: Client) -> None:
    assert client.ask("/page/").body == b"a page"
    assert client.ask("/robots.txt").body == b"User-agent: *\n"


HOSTILE = [
    "/static/b1/../b1/css/app.css",
    "/static/b1/%2e%2e/b1/css/app.css",
    "/static/b1/..%2f..%2f..%2fetc/passwd",
    "/static/b1/css%2fapp.css/../../../../etc/passwd",
    "/static/b1//css/app.css",
    "/static//b1/css/app.css",
    "/static/b1/./css/app.css",
    "/static/b1/css\\app.css",
    "/static/b1/%00",
    "/static/b1/css/app.css%00.png",
    "/static/%00/css/app.css",
    "/static/b1/%ff%fe",
    "/static/%ed%a0%80/x",
    "/static/b1/" + "a" * 3000,
    "/static/" + "a" * 300 + "/x",
    "/static/b1/" + "../" * 100 + "etc/passwd",
    "/static/b1/%c0%ae%c0%ae/etc/passwd",
    "/static/b1/css/app.css%0d%0aSet-Cookie:a=b",
    "/static/img/photo.png%0d%0aSet-Cookie:a=b",
    "/static/b1/staticfiles.json",
    "/static/b1/.hidden",
    "/static/b1/",
    "/static/b1",
    "/static/",
    "/static/.%2e/.%2e/etc/passwd",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_leaves_no_build_and_breaks_nothing(client: Client, path: str) -> None:
    answer = client.ask(path)
    assert answer.status in (400, 404)
    assert b"root:" not in answer.body
    assert "Set-Cookie" not in answer.headers


def test_an_encoded_slash_is_a_slash(client: Client, hashed: dict[str, str]) -> None:
    """Servers decode the path before any application sees it."""
    assert client.ask(hashed["css/app.css"].replace("/css/", "/css%2F")).status == 200


def test_a_client_that_leaves_leaves_no_file_open(
    address: str, client: Client, hashed: dict[str, str]
) -> None:
    host, port = address.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET {hashed['js/large.js']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(100)
    assert _open_files(client) == []


@pytest.mark.deep
@pytest.mark.deep
def test_builds_come_and_go_under_load(
    address: str, deployed: Site, hashed: dict[str, str]
) -> None:
    """Every answer is the file or our own 404, and no descriptor is left."""
    names = ("css/app.css", "js/large.js", "img/photo.png")
    bodies = {
        name: (deployed.root / hashed[name].removeprefix("/static/")).read_bytes() for name in names
    }
    later = deployed.root / "later"

    def ask_often(name: str) -> dict[str, int]:
        client, counts = Client(address), {"b1": 0, "later": 0}
        for _ in range(150):
            for build in counts:
                answer = client.ask(hashed[name].replace("/b1/", f"/{build}/"))
                if answer.status == 200:
                    assert answer.body == bodies[name]
                    counts[build] += 1
                else:
                    assert (answer.status, build) == (404, "later")
                    assert answer.headers["Cache-Control"] == "no-store"
        client.close()
        return counts

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ask_often, name) for name in names]
        while not all(future.done() for future in futures):
            shutil.copytree(
                deployed.root.parent / "later", later, ignore=lambda *_: {MANIFEST_NAME}
            )
            shutil.copy(deployed.root.parent / "later" / MANIFEST_NAME, later / ".partial")
            (later / ".partial").rename(later / MANIFEST_NAME)
            time.sleep(1.2)
            shutil.rmtree(later)
        all_counts = [future.result() for future in futures]
    assert all(counts["b1"] == 150 for counts in all_counts)
    client = Client(address)
    assert _open_files(client) == []
    client.close()


def _open_files(client: Client) -> list[str]:
    # A thread of the server may still be at its last file.
    links: list[str] = []
    for _ in range(100):
        links = json.loads(client.ask("/open/").body)["open"]
        if not links:
            break
        time.sleep(0.05)
    return links
