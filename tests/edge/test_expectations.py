"""Each way in which an edge can serve a build wrongly, and what is not a fault."""

import gzip
import re
from dataclasses import replace

import brotli
import pytest

from tests.edge.edges import Reply, refused
from tests.edge.verified import only, verified


def test_an_edge_that_hands_a_bare_plus_to_s3_is_found(edge, build):
    def as_s3_reads_it(request, reply):
        return refused() if "+" in request.path else reply

    edge.twist = as_s3_reads_it
    report = verified(edge, build)
    assert {fault.found for fault in report.faults} == {"403"}
    assert all("/a%20+%20b%20%C3%A9." in result.url for result in report.failures)
    assert all("bare +" in fault.remedy for fault in report.faults)


def test_an_encoding_that_is_missing_is_found(edge, build):
    css = build.path("css/app.css")

    def without_br(request, reply):
        return Reply(403) if request.path == css and request.accepts("br") else reply

    edge.twist = without_br
    report = verified(edge, build)
    assert len(report.faults) == 2
    fault = report.faults[0]
    assert (fault.what, fault.found, fault.expected) == ("status", "403", "200")
    assert report.failures[0].url == edge.url + css
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
    assert [result.url for result in report.failures] == [edge.url + path]
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
    # The probe for a range is about the first asset, which is the style sheet.
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
    assert "switch its compression off" in report.faults[0].remedy


def test_an_edge_that_compresses_gzip_once_more_without_saying_so_is_found(edge, build):
    def again(request, reply):
        if reply.headers.get("content-encoding") != "gzip":
            return reply
        return replace(reply, body=gzip.compress(reply.body))

    edge.twist = again
    report = verified(edge, build, names="css/app.css")
    assert "sha384 of the decoded body" in only(report)
    assert report.faults[-1].found == "gzip inside of gzip"
    assert "switch its compression off" in report.faults[-1].remedy


def test_an_edge_that_compresses_a_font_is_found(edge, build):
    def compressed(request, reply):
        if request.path != build.path("fonts/a.woff2") or not request.accepts("gzip"):
            return reply
        return replace(reply, body=gzip.compress(reply.body)).having(content_encoding="gzip")

    edge.twist = compressed
    report = verified(edge, build)
    assert [(fault.found, fault.expected) for fault in report.faults] == [("gzip", "none")]
    assert "switch its compression off" in report.faults[0].remedy


def test_an_edge_that_compresses_by_itself_what_the_build_has_in_br_is_found(edge, build):
    def worse(request, reply):
        if not request.accepts("br") or not reply.headers.get("content-encoding"):
            return reply
        body = brotli.compress(brotli.decompress(reply.body), quality=0)
        return replace(reply, body=body).having(etag='W/"weak"')

    edge.twist = worse
    report = verified(edge, build, names="css/app.css")
    assert only(report) == {"size in br"}
    assert "switch its compression off" in report.faults[0].remedy


def test_an_encoding_by_another_version_of_zlib_is_no_fault(edge, build):
    def other(request, reply):
        if reply.headers.get("content-encoding") != "gzip":
            return reply
        return replace(reply, body=gzip.compress(gzip.decompress(reply.body), 8))

    edge.twist = other
    assert verified(edge, build).ok


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
    pairs = {(fault.found, fault.expected) for fault in report.faults}
    assert ("br", "gzip") in pairs
    assert ("br", "none") in pairs


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
    assert only(report) == {"status of a missing file"}


def test_a_missing_name_that_browsers_are_told_to_keep_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(cache_control="public, max-age=86400")
        if "not-there" in request.path
        else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert only(report) == {"Cache-Control of a missing file"}


def test_a_missing_name_that_the_edge_keeps_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(age="2") if "not-there" in request.path else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert only(report) == {"Age of a missing file"}
    assert "ErrorCachingMinTTL" in report.faults[0].remedy


def test_a_query_that_reaches_s3_is_found(edge, build):
    edge.twist = lambda request, reply: (
        reply.having(content_type="text/html")
        if "response-content-type" in request.query
        else reply
    )
    report = verified(edge, build, names="tiny.txt")
    assert [fault.what for fault in report.faults] == ["Content-Type"]
    assert report.failures[0].url.endswith("?response-content-type=text/html")


def test_ranges_that_are_ignored_are_found(edge, build):
    def without_range(request, reply):
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return edge.right(replace(request, headers=headers))

    edge.twist = without_range
    report = verified(edge, build, names="tiny.txt")
    assert [(fault.found, fault.expected) for fault in report.faults] == [("200", "206")]


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
    assert [fault.what for fault in report.faults] == ["response"]
    assert "broke off" in report.faults[0].found
    attempts = [
        request
        for request in edge.requests
        if (request.path, request.headers["accept-encoding"]) == (js, "identity")
        and not request.query
        and "range" not in request.headers
    ]
    assert len(attempts) == 3


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
