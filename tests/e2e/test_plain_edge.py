"""The edge that the demo has where nginx is not installed."""

import brotli
import pytest
from walkthrough.plain_edge import plain_edge

from tests.e2e.conftest import FILES, Edge


@pytest.fixture(scope="module")
def edge(world):
    with plain_edge(world.bucket_url) as url:
        yield Edge(url)


def test_it_picks_the_encoding(world, edge):
    for name in ("css/app.css", "data/größe + a b.json"):
        answer = edge.ask(world.path(name), "gzip, deflate, br")
        assert answer.headers["Content-Encoding"] == "br"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Content-Type"] == world.manifest.asset(name).content_type
        assert brotli.decompress(answer.body) == edge.ask(world.path(name)).body


def test_what_is_compressed_already_arrives_as_it_is(world, edge):
    answer = edge.ask(world.path("fonts/a.woff2"), "gzip, br")
    assert answer.body == FILES["fonts/a.woff2"]
    assert answer.headers["Content-Encoding"] is None
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/builds/b1.json", "/static/b1/.env", "/", "/static/../builds/x"])
def test_what_is_not_public_is_not_found(edge, path):
    assert edge.ask(path).status == 404
