"""The real parts: a bucket, an application server, and nginx as CloudFront in front of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from walkthrough.cloudfront import CannotStart, Nginx, cloudfront

from tests.helpers import site
from tests.s3 import Bucket
from tests.system_packages import skip
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.edge.functions import VIEWER_REQUEST, VIEWER_RESPONSE, Constants, rendered

FILES: dict[str, str | bytes] = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "js/app.js": "console.log('hello');\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
    "data/größe + a b.json": json.dumps(["größe"] * 20),
    "fonts/a.woff2": b"wOF2" * 20,
    "LICENSE": "as is\n" * 20,
    "tiny.txt": "a",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def cache(self) -> str | None:
        """Whether it was from the edge's cache: HIT, MISS, ..."""
        return self.headers["X-Cache"]


@dataclass(frozen=True)
class Edge:
    """What a viewer talks to."""

    url: str

    def ask(self, path: str, accept: str | None = None, method: str = "GET", **more: str) -> Answer:
        """The answer for a path, which is sent as it is; ``accept`` is the Accept-Encoding."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {"Accept-Encoding": accept, **more}.items():
                if value is not None:
                    connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class World:
    """A build on S3 and on disk, and where both are."""

    bucket: Bucket
    root: Path
    manifest: Manifest

    @property
    def bucket_url(self) -> str:
        return f"{self.bucket.endpoint}/{self.bucket.name}"

    def path(self, name: str) -> str:
        """The path of an asset in a URL."""
        return quote(f"/static/{self.asset(name).path}")

    def asset(self, name: str) -> Asset:
        asset = self.manifest.asset(name)
        assert asset is not None
        return asset


@pytest.fixture(scope="session")
def world(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A published build, of which some is shared.

    Everyone may read the builds in the bucket, and nobody the records.
    """
    with Bucket.at(s3_server) as bucket:
        bucket.let_everyone_read()
        base = tmp_path_factory.mktemp("world")
        options = {"origin": bucket.options(), "connections": 4, "shared_assets": True}
        with site(base, FILES, options=options, BUILD_VERSION="b1") as shop:
            shop.collect()
            manifest = shop.storage.manifest
        assert manifest is not None
        yield World(bucket, base / "static_root", manifest)


@pytest.fixture(scope="session")
def app(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of gunicorn, which serves the build with the middleware."""
    log = tmp_path_factory.mktemp("gunicorn") / "log.txt"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
        "E2E_STATIC_ROOT": str(world.root),
    }
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--threads", "4"]
    with log.open("w") as stderr:
        server = subprocess.Popen(
            [*command, "django.core.wsgi:get_wsgi_application()"],
            cwd=Path(__file__).parents[2],
            env=environment,
            stderr=stderr,
        )
        try:
            yield _url_in(log, server)
        finally:
            server.terminate()
            server.wait(timeout=20)


def _url_in(log: Path, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        if found := re.search(r"Listening at: (http://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"gunicorn did not start: {log.read_text()}")


@pytest.fixture
def edge_of(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Makes edges with empty caches, which end with the test; skips it where nginx is not there."""
    skip([], "nginx libnginx-mod-http-js")
    try:
        Nginx.here()
    except CannotStart as error:
        pytest.skip(str(error))
    with ExitStack() as running:

        def made(**origins: Any) -> Edge:
            edge: AbstractContextManager[str] = cloudfront(tmp_path / "nginx", **origins)
            return Edge(running.enter_context(edge))

        yield made


@pytest.fixture
def s3_edge(edge_of: Callable[..., Edge], world: World) -> Edge:
    """An edge in front of the bucket."""
    return edge_of(bucket=world.bucket_url)


@pytest.fixture(params=["bucket", "application"])
def edge(
    request: pytest.FixtureRequest, edge_of: Callable[..., Edge], world: World, app: str
) -> Edge:
    """An edge in front of the one, and of the other with what the stack renders for that."""
    if request.param == "bucket":
        return edge_of(bucket=world.bucket_url)
    code = partial(rendered, constants=Constants().without_encodings())
    return edge_of(app=app, request=code(VIEWER_REQUEST), response=code(VIEWER_RESPONSE))
