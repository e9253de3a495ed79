"""The shipped functions at work: viewer, edge, origin."""

import gzip
import time

import brotli
import pytest

from tests.e2e.conftest import FILES, Edge
from tests.s3 import front, refusal

BROWSER = "gzip, deflate, br, zstd"
IMMUTABLE = "max-age=315360000, public, immutable"
DECODED = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}


def content(world, name):
    """The bytes that an asset has in the build."""
    return (world.root / "b1" / world.manifest.paths[name]).read_bytes()


# Which encoding arrives


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (None, None),
        ("identity", None),
        (BROWSER, "br"),
        ("br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("deflate", None),
    ],
)
def test_a_file_arrives_in_the_encoding_that_is_asked_for_and_then_from_the_cache(
    world, edge, accept, encoding
):
    for name in ("css/app.css", "js/app.js", "data/größe + a b.json", "LICENSE"):
        for cache in ("MISS", "HIT"):
            answer = edge.ask(world.path(name), accept)
            assert answer.status == 200
            assert answer.cache == cache
            assert answer.headers["Content-Encoding"] == encoding
            assert DECODED[encoding](answer.body) == content(world, name)
            content_type = answer.headers["Content-Type"].replace('"', "")
            assert content_type == world.manifest.asset(name).content_type
            assert answer.headers["Cache-Control"] == IMMUTABLE
            assert answer.headers.get_all("Vary") == ["Accept-Encoding"]


def test_every_answer_has_the_headers_for_other_sites_and_timing(world, edge):
    for name in FILES:
        for accept in (None, BROWSER):
            for origin in (None, "https://www.example.com"):
                headers = edge.ask(world.path(name), accept, Origin=origin).headers
                assert headers.get_all("Access-Control-Allow-Origin") == ["*"]
                assert headers.get_all("Timing-Allow-Origin") == ["*"]
                assert headers.get_all("Cross-Origin-Resource-Policy") == ["cross-origin"]
                assert headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_what_is_compressed_already_arrives_as_it_is_and_does_not_vary(world, edge):
    for name in ("img/logo.png", "fonts/a.woff2"):
        # To a request under CORS the bucket says Vary: Origin.
        answer = edge.ask(world.path(name), BROWSER, Origin="https://www.example.com")
        assert answer.body == FILES[name]
        assert answer.headers["Content-Encoding"] is None
        assert answer.headers["Vary"] is None


def test_viewers_that_get_the_same_bytes_share_one_place_in_the_cache(world, s3_edge):
    asked = [BROWSER, "br", "BR;q=0.5", "gzip, br"]
    caches = [s3_edge.ask(world.path("css/app.css"), accept).cache for accept in asked]
    assert caches == ["MISS", "HIT", "HIT", "HIT"]


def test_a_query_string_changes_nothing(world, edge):
    path = world.path("css/app.css")
    assert edge.ask(path, "br").cache == "MISS"
    answer = edge.ask(f"{path}?response-content-type=text/html&v=2", "br")
    assert answer.cache == "HIT"
    assert answer.headers["Content-Type"].startswith("text/css")


def test_the_query_string_never_reaches_s3(world, edge_of):
    with front(world.bucket.endpoint) as between:
        edge = edge_of(bucket=f"{between.url}/{world.bucket.name}")
        edge.ask(f"{world.path('css/app.css')}?response-content-type=text/html", "gzip")
    (request,) = between.requests
    assert request.path == f"/{world.bucket.name}{world.path('css/app.css')}.gz"
    assert request.query == ""


# The rest of HTTP


def test_a_part_of_an_encoded_file_is_a_part_of_those_bytes(world, edge):
    path = world.path("css/app.css")
    whole = edge.ask(path, "br").body
    answer = edge.ask(path, "br", Range="bytes=2-5")
    assert answer.status == 206
    assert answer.body == whole[2:6]
    assert answer.headers["Content-Encoding"] == "br"
    assert answer.headers["Content-Range"] == f"bytes 2-5/{len(whole)}"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_what_the_viewer_has_is_not_sent_again(world, edge):
    path = world.path("css/app.css")
    tag = edge.ask(path, "br").headers["ETag"]
    answer = edge.ask(path, "br", If_None_Match=tag)
    assert answer.status == 304
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert edge.ask(path, "gzip", If_None_Match=tag).status == 200


def test_head_has_the_headers_of_get(world, edge):
    path = world.path("css/app.css")
    head, get = edge.ask(path, "br", "HEAD"), edge.ask(path, "br")
    assert head.status == 200
    assert head.body == b""
    for name in ("Content-Encoding", "Content-Length", "Content-Type", "ETag", "Vary"):
        assert head.headers[name] == get.headers[name], name


def test_a_preflight_is_answered_by_the_edge(world, edge):
    more = {"Origin": "https://www.example.com", "Access-Control-Request-Method": "GET"}
    answer = edge.ask(world.path("fonts/a.woff2"), None, "OPTIONS", **more)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]


# What is not there, and what is not for viewers


@pytest.mark.parametrize(
    "path",
    ["/", "/builds/b1.json", "/static/b1/staticfiles.json", "/static/b1/.env", "/static/b1/", "/x"],
)
def test_what_is_not_public_is_not_found_and_the_origin_is_not_asked(edge, path):
    answer = edge.ask(path, BROWSER)
    assert answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.cache is None


def test_the_bucket_too_keeps_the_record_to_itself(world):
    assert world.bucket.get("builds/b1.json")["Body"]
    viewer = Edge(world.bucket.endpoint)
    assert viewer.ask(f"/{world.bucket.name}/builds/b1.json").status == 403
    assert viewer.ask(f"/{world.bucket.name}{world.path('css/app.css')}").status == 200


def test_a_file_that_is_not_there_is_no_answer_to_keep(edge):
    for accept in (None, BROWSER):
        answer = edge.ask("/static/b1/css/none.css", accept)
        assert answer.status in (403, 404)
        assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_a_file_that_comes_late_is_there_after_a_second(world, s3_edge):
    path = "/static/b1/late.txt"
    assert s3_edge.ask(path).status in (403, 404)
    world.bucket.put(path.removeprefix("/"), b"late")
    until = time.monotonic() + 5
    while s3_edge.ask(path).status != 200:
        assert time.monotonic() < until, "it was still not there after five seconds"
        time.sleep(0.1)


# The bucket, and the application where the bucket fails


@pytest.mark.parametrize("accept", [None, "br", "gzip"])
@pytest.mark.parametrize(("status", "name"), [(500, "css/app.css"), (503, "data/größe + a b.json")])
def test_the_application_answers_where_s3_fails(world, edge_of, app, accept, status, name):
    asset = world.asset(name)
    assert asset.is_shared is (name == "css/app.css")
    with front() as broken:
        broken.answer = lambda _: refusal(status, "SlowDown", "Reduce your request rate.")
        answer = edge_of(bucket=f"{broken.url}/a", app=app).ask(world.path(name), accept)
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == accept
    assert DECODED[accept](answer.body) == content(world, name)
    assert answer.headers["Content-Type"].replace('"', "") == asset.content_type
    assert answer.headers["Cache-Control"] == IMMUTABLE
    assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("status", [403, 404])
def test_the_application_is_not_asked_for_what_s3_refuses(world, edge_of, app, status):
    with front() as refusing, front(app) as behind:
        refusing.answer = lambda _: refusal(status, "AccessDenied", "Access Denied")
        edge = edge_of(bucket=f"{refusing.url}/a", app=behind.url)
        assert edge.ask(world.path("css/app.css")).status == status
    assert behind.requests == []


def test_as_long_as_s3_answers_the_application_is_not_asked(world, edge_of, app):
    with front(app) as behind:
        edge = edge_of(bucket=world.bucket_url, app=behind.url)
        assert edge.ask(world.path("css/app.css"), BROWSER).status == 200
    assert behind.requests == []
