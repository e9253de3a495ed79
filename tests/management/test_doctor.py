"""manage.py staticbuilds doctor."""

import pytest

from tests.edge.edges import Edge, Reply, serving
from tests.helpers import site
from tests.management.command import staticbuilds
from tests.management.conftest import FILES
from tests.s3 import SECRET_KEY, nobody


@pytest.fixture
def edge(tmp_path):
    with serving(Edge(tmp_path / "here" / "static_root")) as finding:
        yield finding


def levels(answer):
    return {finding["check"]: finding["level"] for finding in answer.data["checks"]}


def finding_of(answer, check):
    (finding,) = (finding for finding in answer.data["checks"] if finding["check"] == check)
    return finding


def test_a_site_that_is_well_is_a_table_and_exits_with_0(shop, edge):
    with shop("b1", cdn_domain=edge.url) as finding:
        finding.collect()
        answer = staticbuilds("doctor")
    assert answer.code == 0
    lines = answer.output.splitlines()
    assert lines[0].startswith("ok       bucket              s3://bucket-")
    assert "ok       build               b1 is published" in lines
    assert (
        f"ok       CDN                 {edge.url}/static/ responds, and refuses a missing file"
        in (answer.output)
    )
    assert "ok       CDN, a file         img/logo.png of b1 is served" in lines
    assert lines[-1] == "18 checks: 2 warnings"


def test_nothing_is_left_of_it(shop, bucket):
    with shop("b1") as finding:
        finding.collect()
        before = bucket.listed()
        staticbuilds("doctor")
    assert bucket.listed() == before


def test_json_has_each_check(shop):
    with shop("b1"):
        answer = staticbuilds("doctor", "--json")
    assert answer.code == 0
    assert answer.data["ok"] is True
    assert finding_of(answer, "build") == {
        "check": "build",
        "level": "warning",
        "found": "b1 is not published",
        "remedy": "Before pages are served with it, run 'python manage.py staticbuilds publish b1' "
        "if STATIC_ROOT has it, else collectstatic with BUILD_VERSION=b1.",
    }
    assert finding_of(answer, "CDN")["level"] == "unknown"


def test_a_failure_exits_with_1_and_says_what_mends_it(shop, bucket):
    with shop("b1", s3=bucket.options(bucket_name="another-bucket")):
        answer = staticbuilds("doctor")
    assert answer.code == 1
    assert answer.output.startswith("failure  bucket  ")
    assert "Correct bucket_name in the origin option, or create the bucket" in answer.output
    assert answer.output.endswith("2 checks: 1 failure\n")


def test_a_server_that_nobody_reaches_is_a_failure(shop, bucket):
    with nobody() as gone, shop("b1", s3=bucket.options(endpoint_url=gone)):
        answer = staticbuilds("doctor", "--json")
    assert levels(answer) == {"bucket": "failure", "CDN": "unknown"}


def test_no_secret_is_said(shop, edge):
    with shop("b1", cdn_domain=edge.url) as finding:
        finding.collect()
        assert SECRET_KEY not in staticbuilds("doctor", "--json").output


def test_without_a_build_version_the_bucket_is_examined_all_the_same(shop):
    with shop(None):
        answer = staticbuilds("doctor", "--json")
    assert answer.code == 0
    assert finding_of(answer, "build")["found"] == "BUILD_VERSION is not set"
    assert levels(answer)["write static/"] == "ok"


def test_a_cdn_that_does_not_answer_is_a_failure(shop):
    with nobody() as gone, shop("b1", cdn_domain=gone):
        answer = staticbuilds("doctor", "--json")
    assert answer.code == 1
    assert finding_of(answer, "CDN")["level"] == "failure"


def test_a_cdn_that_answers_for_anything_is_a_failure(shop, edge):
    edge.twist = lambda *_: Reply(200, {}, b"<html>")
    with shop("b1", cdn_domain=edge.url):
        answer = staticbuilds("doctor", "--json")
    assert finding_of(answer, "CDN")["level"] == "failure"
    assert "Answer a missing file with 403 or 404" in finding_of(answer, "CDN")["remedy"]


def test_a_cdn_that_does_not_have_what_is_published_is_a_failure(shop, edge):
    edge.twist = lambda *_: Reply(403, {}, b"")
    with shop("b1", cdn_domain=edge.url) as finding:
        finding.collect()
        answer = staticbuilds("doctor", "--json")
    assert levels(answer)["CDN"] == "ok"
    assert finding_of(answer, "CDN, a file")["level"] == "failure"


def test_a_shared_file_is_requested_too(shop, edge):
    with shop("b1", {**FILES, "data.json": "{}"}, cdn_domain=edge.url, shared_assets=True) as here:
        here.collect()
        assets = here.storage.manifest.assets.values()
        edge.moved = {asset.path: f"b1/{asset.hashed_name}" for asset in assets if asset.is_shared}
        answer = staticbuilds("doctor", "--json")
        edge.moved = {}
        without = staticbuilds("doctor", "--json")
    assert levels(answer)["CDN, a file"] == levels(answer)["CDN, a shared file"] == "ok"
    assert levels(without)["CDN, a file"] == "ok"
    assert levels(without)["CDN, a shared file"] == "failure"


def test_a_site_without_a_bucket_has_its_cdn_examined(tmp_path, edge):
    with site(tmp_path, FILES, options={"cdn_domain": edge.url}, BUILD_VERSION="b1"):
        answer = staticbuilds("doctor", "--json")
    assert levels(answer) == {"bucket": "unknown", "CDN": "ok"}


def test_a_site_with_one_domain_has_it_examined(shop, edge):
    with shop("b1") as finding:
        finding.collect()
        answer = staticbuilds("doctor", "--edge-url", edge.url, "--json")
        without = staticbuilds("doctor", "--json")
    assert levels(answer)["CDN"] == levels(answer)["CDN, a file"] == "ok"
    remedy = finding_of(without, "CDN")["remedy"]
    assert remedy == "Name the site's own domain: --edge-url https://www.example.com."
