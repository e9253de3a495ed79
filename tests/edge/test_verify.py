"""verify against edges that are as they should be, and against each that is not."""

import gzip
import re
from dataclasses import replace

import brotli
import pytest

from tests.edge.conftest import FILES
from tests.edge.edges import Reply, refused
from versioned_storage.edge import questions
from versioned_storage.edge.client import Client
from versioned_storage.edge.verify import verify_edge


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def asked_of(edge, build, *, names=None):
    base = f"{edge.url}/static/{build.version}/"
    manifest = build.manifest
    assets = [asset for asset in questions.sample(manifest, None) if names in (None, asset.name)]
    private = [f"{base}staticfiles.json", f"{edge.url}/builds/{build.version}.json"]
    return [
        *questions.of_build(manifest, base, assets=assets, known=questions.whose(manifest)),
        *questions.of_edge(manifest, base, private),
    ]


def verified(edge, build, *, names=None, wait=0.0, timeout=5.0):
    clock = Clock()
    client = Client(timeout=timeout, connections=4, sleep=clock.sleep)
    asked = asked_of(edge, build, names=names)
    return verify_edge("Build b1", asked, client, wait=wait, clock=clock)


def only(report):
    """What the faults are about, each once."""
    return {fault.what for fault in report.faults}


def test_an_edge_as_it_should_be_has_no_fault(edge, build):
    report = verified(edge, build)
    assert report.faults == ()
    assert report.ok
    # Two names each; as a browser, identity, and br and gzip where the file is eligible.
    files = 4 * 2 * 4 + 2 * 2 * 2
    # And one for each name with a character that a reference may leave as it is.
    spellings = 2
    assert report.asked == files + spellings + 5
    served = report.served_by["AmazonS3, at FRA56-P1, Miss from cloudfront"]
    assert served == files + spellings + 2


def test_each_name_of_each_asset_is_asked_for_in_each_encoding(edge, build):
    verified(edge, build)
    asked = {(one.path, one.headers["accept-encoding"]) for one in edge.requests}
    for name in ("data/a%20%2B%20b%20%C3%A9.json", "css/app.css"):
        for accepted in ("identity", "br", "gzip", questions.BROWSER):
            assert (f"/static/b1/{name}", accepted) in asked
    assert (build.path("fonts/a.woff2"), questions.BROWSER) in asked
    assert (build.path("fonts/a.woff2"), "br") not in asked


def test_a_name_is_asked_for_in_each_way_that_references_spell_it(edge, build):
    """{% static %} encodes a plus, a style sheet of an older build does not."""
    verified(edge, build)
    paths = {request.path for request in edge.requests}
    assert {
        "/static/b1/data/a%20%2B%20b%20%C3%A9.json",
        "/static/b1/data/a%20+%20b%20%C3%A9.json",
    } <= paths


def test_an_edge_that_hands_a_bare_plus_to_s3_is_found(edge, build):
    def as_s3_reads_it(request, reply):
        return refused() if "+" in request.path else reply

    edge.twist = as_s3_reads_it
    report = verified(edge, build)
    assert {fault.found for fault in report.faults} == {"403"}
    assert all("/a%20+%20b%20%C3%A9." in fault.url for fault in report.faults)
    assert all("bare +" in fault.remedy for fault in report.faults)


# The six that a deploy must not go on with


def test_an_encoding_that_is_missing_is_found(edge, build):
    css = build.path("css/app.css")

    def without_br(request, reply):
        return Reply(403) if request.path == css and request.accepts("br") else reply

    edge.twist = without_br
    report = verified(edge, build)
    assert len(report.faults) == 2
    fault = report.faults[0]
    assert (fault.what, fault.found, fault.expected) == ("status", "403", "200")
    assert fault.url == edge.url + css
    assert f"{css.removeprefix('/static/')}.br" in fault.remedy
    assert "staticbuilds verify b1 --repair" in fault.remedy


def test_a_wrong_content_type_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(content_type="binary/octet-stream")
        if request.path == build.path("js/app.js")
        else reply
    )
    report = verified(edge, build)
    assert len(report.faults) == 4
    assert (report.faults[0].what, report.faults[0].found, report.faults[0].expected) == (
        "Content-Type",
        "binary/octet-stream",
        "text/javascript; charset=utf-8",
    )


def test_cors_that_is_missing_is_found(edge, build):
    edge.twist = lambda _, reply: reply.having(access_control_allow_origin=None)
    report = verified(edge, build, names="fonts/a.woff2")
    assert only(report) == {"Access-Control-Allow-Origin"}
    assert report.faults[0].found == "none"


def test_cors_for_those_who_send_an_origin_alone_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply if "origin" in request.headers else reply.having(access_control_allow_origin=None)
    )
    report = verified(edge, build, names="fonts/a.woff2")
    assert only(report) == {"Access-Control-Allow-Origin"}


@pytest.mark.parametrize("path", ["/static/b1/staticfiles.json", "/builds/b1.json"])
def test_a_manifest_that_is_public_is_found(edge, build, path):
    edge.twist = lambda request, reply: (
        Reply(200, {}, b'\n{"paths": {}}') if request.path == path else reply
    )
    report = verified(edge, build)
    assert [fault.url for fault in report.faults] == [edge.url + path]
    assert report.faults[0].what == "status of a private file"


def test_a_page_of_the_site_at_a_private_url_is_no_manifest(edge, build):
    edge.twist = lambda request, reply: (
        Reply(200, {}, b"<!doctype html>") if request.path == "/builds/b1.json" else reply
    )
    assert verified(edge, build).ok


def test_an_old_object_under_a_new_name_is_found(edge, build):
    def swapped(request, reply):
        if request.path != build.path("css/app.css"):
            return reply
        return edge.right(replace(request, path=build.path("js/app.js"))).having(
            content_type="text/css; charset=utf-8"
        )

    edge.twist = swapped
    report = verified(edge, build)
    # The one question for a range is about the first asset, which is the style sheet.
    assert only(report) == {"sha384 of the decoded body", "Content-Range"}
    assert f"that of b1/{build.manifest.paths['js/app.js']}" in report.faults[0].found
    assert build.manifest.asset("css/app.css").integrity in report.faults[0].expected


def test_an_edge_that_compresses_twice_is_found(edge, build):
    def again(request, reply):
        if reply.headers.get("content-encoding") != "br":
            return reply
        return replace(reply, body=gzip.compress(reply.body)).having(content_encoding="br, gzip")

    edge.twist = again
    report = verified(edge, build, names="css/app.css")
    assert "Content-Encoding" in only(report)
    assert (report.faults[0].found, report.faults[0].expected) == ("br, gzip", "br")
    assert "turn its compression off" in report.faults[0].remedy


def test_an_edge_that_compresses_gzip_once_more_without_saying_so_is_found(edge, build):
    def again(request, reply):
        if reply.headers.get("content-encoding") != "gzip":
            return reply
        return replace(reply, body=gzip.compress(reply.body))

    edge.twist = again
    report = verified(edge, build, names="css/app.css")
    assert "sha384 of the decoded body" in only(report)
    assert report.faults[-1].found == "gzip inside of gzip"
    assert "turn its compression off" in report.faults[-1].remedy


def test_an_edge_that_compresses_a_font_is_found(edge, build):
    def compressed(request, reply):
        if request.path != build.path("fonts/a.woff2") or not request.accepts("gzip"):
            return reply
        return replace(reply, body=gzip.compress(reply.body)).having(content_encoding="gzip")

    edge.twist = compressed
    report = verified(edge, build)
    assert [(fault.found, fault.expected) for fault in report.faults] == [("gzip", "none")]
    assert "turn its compression off" in report.faults[0].remedy


def test_an_edge_that_compresses_by_itself_what_the_build_has_in_br_is_found(edge, build):
    def worse(request, reply):
        if not request.accepts("br") or not reply.headers.get("content-encoding"):
            return reply
        body = brotli.compress(brotli.decompress(reply.body), quality=0)
        return replace(reply, body=body).having(etag='W/"weak"')

    edge.twist = worse
    report = verified(edge, build, names="css/app.css")
    assert only(report) == {"size in br"}
    assert "turn its compression off" in report.faults[0].remedy


def test_an_encoding_by_another_version_of_zlib_is_no_fault(edge, build):
    def other(request, reply):
        if reply.headers.get("content-encoding") != "gzip":
            return reply
        return replace(reply, body=gzip.compress(gzip.decompress(reply.body), 8))

    edge.twist = other
    assert verified(edge, build).ok


# What else an edge can have wrong


def test_an_edge_that_does_not_negotiate_is_found(edge, build):
    edge.twist = lambda request, _: edge.right(
        replace(request, headers={**request.headers, "accept-encoding": "identity"})
    )
    report = verified(edge, build, names="css/app.css")
    assert {(fault.found, fault.expected) for fault in report.faults} == {
        ("none", "br"),
        ("none", "gzip"),
    }
    assert "staticbuilds cloudformation" in report.faults[0].remedy


def test_a_cache_that_mixes_encodings_is_found(edge, build):
    edge.twist = lambda request, _: edge.right(
        replace(request, headers={**request.headers, "accept-encoding": "br"})
    )
    report = verified(edge, build, names="css/app.css")
    found = {(fault.found, fault.expected) for fault in report.faults}
    assert ("br", "gzip") in found
    assert ("br", "none") in found


@pytest.mark.parametrize(
    ("header", "value"), [("Cache-Control", "max-age=60"), ("Vary", None), ("Vary", "Origin")]
)
def test_a_header_that_is_wrong_or_missing_is_found(edge, build, header, value):
    edge.twist = lambda _, reply: reply.having(
        **{header.lower().replace("-", "_"): value if reply.status < 400 else None}
    )
    report = verified(edge, build, names="css/app.css")
    assert only(report) == {header}
    assert report.faults[0].found == (value or "none")


def test_headers_that_say_the_same_in_other_words_are_no_fault(edge, build):
    edge.twist = lambda _, reply: (
        reply.having(
            cache_control="public,max-age=315360000,Immutable",
            content_type=re.sub("charset=(.*)", r'charset="UTF-8"', reply.headers["content-type"]),
            vary="origin, accept-encoding",
        )
        if reply.status < 400
        else reply
    )
    assert verified(edge, build).ok


def test_a_redirect_is_a_fault_and_not_followed(edge, build):
    edge.twist = lambda *_: Reply(301, {"location": f"{edge.url}/elsewhere"})
    report = verified(edge, build, names="css/app.css")
    assert f"301 to {edge.url}/elsewhere" in {fault.found for fault in report.faults}
    assert "/elsewhere" not in {request.path for request in edge.requests}


def test_a_missing_name_that_is_answered_with_a_page_is_found(edge, build):
    edge.twist = lambda request, reply: (
        Reply(200, {}, b"<!doctype html>") if "not-there" in request.path else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert only(report) == {"status of a name that is not there"}


def test_a_missing_name_that_browsers_are_told_to_keep_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(cache_control="public, max-age=86400")
        if "not-there" in request.path
        else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert only(report) == {"Cache-Control of a name that is not there"}


def test_a_missing_name_that_the_edge_keeps_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(age="2") if "not-there" in request.path else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert only(report) == {"Age of a name that is not there"}
    assert "ErrorCachingMinTTL" in report.faults[0].remedy


def test_a_query_that_reaches_s3_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(content_type="text/html")
        if "response-content-type" in request.query
        else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert [fault.what for fault in report.faults] == ["Content-Type"]
    assert report.faults[0].url.endswith("?response-content-type=text/html")


def test_ranges_that_are_ignored_are_found(edge, build):
    def whole(request, reply):
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return edge.right(replace(request, headers=headers))

    edge.twist = whole
    report = verified(edge, build, names="tiny.txt")
    assert [(fault.found, fault.expected) for fault in report.faults] == [("200", "206")]


# What a network can have wrong


def test_a_body_that_breaks_off_is_found_after_three_attempts(edge, build):
    js = build.path("js/app.js")
    edge.twist = lambda request, reply: (
        replace(reply, body=reply.body[:-5], lost=5)
        if request.path == js
        and not request.accepts("br")
        and not request.accepts("gzip")
        and "range" not in request.headers
        and not request.query
        else reply
    )
    report = verified(edge, build)
    assert [fault.what for fault in report.faults] == ["the answer"]
    assert "broke off" in report.faults[0].found
    identity = [
        one
        for one in edge.requests
        if (one.path, one.headers["accept-encoding"]) == (js, "identity")
    ]
    assert len([one for one in identity if not one.query and "range" not in one.headers]) == 3


def test_a_body_that_ends_early_and_does_not_decode_is_found(edge, build):
    edge.twist = lambda _, reply: (
        replace(reply, body=reply.body[:-5]) if reply.headers.get("content-encoding") else reply
    )
    report = verified(edge, build, names="css/app.css")
    assert only(report) == {"sha384 of the decoded body"}
    assert "does not decode as br" in report.faults[0].found


def test_a_server_error_that_passes_is_no_fault(edge, build):
    failed = set()

    def once(request, reply):
        if (key := (request.path, request.headers["accept-encoding"])) in failed:
            return reply
        failed.add(key)
        return Reply(503)

    edge.twist = once
    assert verified(edge, build, names="css/app.css").ok


def test_a_server_error_that_stays_is_found(edge, build):
    edge.twist = lambda request, reply: Reply(502) if "logo" in request.path else reply
    report = verified(edge, build, names="img/logo.png")
    assert {(fault.found, fault.expected) for fault in report.faults} == {("502", "200")}
    assert "logs" in report.faults[0].remedy


def test_an_edge_that_hangs_up_is_asked_one_question(edge, build):
    edge.twist = lambda *_: None
    report = verified(edge, build)
    assert len(edge.requests) == 3
    assert len(report.faults) == 1
    assert report.asked == 1
    assert report.put_off > 20
    assert not report.ok


def test_an_edge_that_dies_half_way_is_not_asked_to_the_end(edge, build):
    edge.twist = lambda _, reply: reply if len(edge.requests) < 5 else None
    report = verified(edge, build)
    assert report.put_off
    assert len(report.faults) >= 20
    assert not report.ok


# Waiting


def test_a_wait_asks_again_for_what_was_wrong_until_it_is_right(edge, build):
    css = build.path("css/app.css")
    edge.twist = lambda request, reply: (
        Reply(403)
        if request.path == css and sum(one.path == css for one in edge.requests) <= 11
        else reply
    )
    report = verified(edge, build, wait=60)
    assert report.ok
    asked = [one.path for one in edge.requests]
    assert asked.count(build.path("img/logo.png")) == 2
    assert asked.count(css) > 11


def test_a_wait_ends_when_its_time_is_over(edge, build, capsys):
    edge.twist = lambda request, reply: Reply(403) if ".css" in request.path else reply
    report = verified(edge, build, wait=20)
    assert not report.ok
    assert report.seconds == pytest.approx(20, abs=3)
    said = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"Build b1: 10 questions of 47 still open, asking again in 2 s; \d+ s are left", said[0]
    )


def test_an_edge_that_is_not_there_yet_is_waited_for(edge, build):
    edge.twist = lambda _, reply: reply if len(edge.requests) > 7 else None
    report = verified(edge, build, wait=60)
    assert report.ok
    assert report.put_off == 0


def test_sampling_takes_one_of_each_kind_first(build):
    few = questions.sample(build.manifest, 6)
    assert {asset.name for asset in few} == set(FILES)
    assert len(questions.sample(build.manifest, 3)) == 3
    assert questions.sample(build.manifest, 3) == questions.sample(build.manifest, 3)
    assert len(questions.sample(build.manifest, None)) == 6


def test_an_earlier_build_is_asked_for_a_few_of_its_assets(edge, build):
    base = f"{edge.url}/static/b1/"
    few = list(questions.of_earlier_build(build.manifest, base))
    assert len(few) == 5
    assert verify_edge("Earlier", few, Client()).ok


def test_another_edge_than_cloudfront_will_do(build, edge):
    edge.twist = lambda _, reply: reply.having(
        x_cache=None, x_amz_cf_pop=None, server="cloudflare", cf_cache_status="HIT"
    )
    report = verified(edge, build)
    assert report.ok
    assert set(report.served_by) == {"cloudflare, HIT"}
