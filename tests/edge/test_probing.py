"""Running the probes, retrying them, and the report for people and programs."""

import json
import re

import pytest

from tests.edge.edges import Reply
from tests.edge.verified import verified
from versioned_storage.edge.probes import ProbeResult
from versioned_storage.edge.probing import EdgeReport
from versioned_storage.errors import Fault


def test_an_edge_as_it_should_be_has_no_fault(edge, build):
    report = verified(edge, build)
    assert report.faults == []
    assert report.ok
    # Two names each; as a browser, identity, and br and gzip where the file is eligible.
    files = 4 * 2 * 4 + 2 * 2 * 2
    # And one for each name with a character that a reference may leave as it is.
    spellings = 2
    assert report.probes == files + spellings + 5
    served = report.served_by["AmazonS3, at FRA56-P1, Miss from cloudfront"]
    assert served == files + spellings + 2


def test_an_edge_that_hangs_up_is_asked_one_question(edge, build):
    edge.twist = lambda *_: None
    report = verified(edge, build)
    assert len(edge.requests) == 3
    assert len(report.faults) == 1
    assert report.probes == 1
    assert report.skipped > 20
    assert not report.ok


def test_an_edge_that_dies_half_way_is_not_asked_to_the_end(edge, build):
    edge.twist = lambda _, reply: reply if len(edge.requests) < 5 else None
    report = verified(edge, build)
    assert report.skipped
    assert len(report.faults) >= 20
    assert not report.ok


def test_a_wait_asks_again_for_what_was_wrong_until_it_is_right(edge, build):
    css = build.path("css/app.css")
    edge.twist = lambda request, reply: (
        Reply(403)
        if request.path == css and sum(request.path == css for request in edge.requests) <= 11
        else reply
    )
    report = verified(edge, build, wait=60)
    assert report.ok
    requested = [request.path for request in edge.requests]
    assert requested.count(build.path("img/logo.png")) == 2
    assert requested.count(css) > 11


def test_a_wait_ends_when_its_time_is_over(edge, build, capsys):
    edge.twist = lambda request, reply: Reply(403) if ".css" in request.path else reply
    report = verified(edge, build, wait=20)
    assert not report.ok
    assert report.seconds == pytest.approx(20, abs=3)
    output = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"Build b1: 10 probes of 47 failing, next attempt in 2 s, \d+ s left", output[0]
    )


def test_an_edge_that_is_not_there_yet_is_waited_for(edge, build):
    edge.twist = lambda _, reply: reply if len(edge.requests) > 7 else None
    report = verified(edge, build, wait=60)
    assert report.ok
    assert report.skipped == 0


def test_another_edge_than_cloudfront_will_do(build, edge):
    edge.twist = lambda _, reply: reply.having(
        x_cache=None, x_amz_cf_pop=None, server="cloudflare", cf_cache_status="HIT"
    )
    report = verified(edge, build)
    assert report.ok
    assert set(report.served_by) == {"cloudflare, HIT"}


def failure(number, remedy="Mend it."):
    url = f"https://cdn.example/{number}.css"
    fault = Fault("status", "403", "200", remedy)
    return ProbeResult(url, {"Accept-Encoding": "br"}, (fault,), "nginx")


def test_a_report_that_all_is_well_is_one_line_and_who_answered():
    report = EdgeReport("Build b1", 1234, (), {"AmazonS3, Hit": 1000, "nginx": 1, "x": 233}, 0, 2.5)
    assert report.ok
    assert report.text().splitlines() == [
        "Build b1: 1,234 probes, all passed, 2.5 s",
        "  1,000 responses from AmazonS3, Hit",
        "  233 responses from x",
        "  1 response from nginx",
    ]


def test_faults_that_one_thing_mends_are_told_together():
    report = EdgeReport("Build b1", 9, (failure(1), failure(2), failure(3, "Mend that.")), {}, 0, 1)
    assert not report.ok
    assert report.text().splitlines() == [
        "https://cdn.example/1.css (Accept-Encoding: br): status is 403, expected 200",
        "https://cdn.example/2.css (Accept-Encoding: br): status is 403, expected 200",
        "  -> Mend it.",
        "https://cdn.example/3.css (Accept-Encoding: br): status is 403, expected 200",
        "  -> Mend that.",
        "",
        "Build b1: 9 probes, 3 faults, 1.0 s",
    ]


def test_the_first_ten_faults_are_told_and_all_are_data():
    report = EdgeReport("Build b1", 20, tuple(failure(number) for number in range(12)), {}, 7, 1)
    lines = report.text().splitlines()
    assert lines[-3:] == [
        "and 2 more; --json has all of them",
        "",
        "Build b1: 20 probes, 12 faults, 7 skipped, 1.0 s",
    ]
    assert "https://cdn.example/10.css" not in report.text()
    data = json.loads(json.dumps(report.data()))
    assert len(data["faults"]) == 12
    assert data["faults"][11] == {
        "url": "https://cdn.example/11.css",
        "asked": {"Accept-Encoding": "br"},
        "what": "status",
        "found": "403",
        "expected": "200",
        "remedy": "Mend it.",
    }
    assert (data["ok"], data["asked"], data["not_asked"]) == (False, 20, 7)


def test_what_was_not_asked_is_not_well():
    assert not EdgeReport("Build b1", 1, (), {}, 3, 1).ok
