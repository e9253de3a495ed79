# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import json

import pytest

from tests.s3 import front, options, refusal
from versioned_storage.build.manifest import Asset, Manifest, UnreadableManifest
from versioned_storage.origin import record
from versioned_storage.origin.record import Record
from versioned_storage.origin.s3 import OriginError, S3Origin


def manifest(content="c0ffee"):
    asset = Asset(
        name="app.css",
        hashed_name="app.0123456789ab.css",
        build="b1",
        size=3,
        integrity="sha384-x",
        content_type="text/css; charset=utf-8",
        encodings={"br": 7, "gzip": 23},
    )
    return Manifest(
        paths={"app.css": "app.0123456789ab.css"},
        build="b1",
        content=content,
        assets={asset.hashed_name: asset},
    )


def test_the_record_is_outside_of_what_the_edge_may_read():
    assert record.path("b1") == "builds/b1.json"


def test_a_record_reads_back_as_it_was_written():
    written = Record(manifest())
    assert Record.from_json(written.to_json(), name="x") == written


def test_a_record_says_its_state_and_its_content():
    stored = json.loads(Record(manifest()).to_json())
    assert stored["state"] == "published"
    assert stored["content"] == "c0ffee"
    assert stored["manifest"] == json.loads(manifest().to_json())


def test_the_same_build_gives_the_same_record():
    assert Record(manifest()).to_json() == Record(manifest()).to_json()


@pytest.mark.parametrize("state", ["publishing", "pruning", "retired", "of a later version"])
def test_only_a_published_build_is_read(state):
    assert Record.from_json(json.dumps({"state": state, "content": "x"}).encode(), name="x") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"no JSON", b"\xff\xfe", b"null", b"[]", b'"text"', b"{}", b'{"state":"published"}'],
)
def test_what_is_no_record_is_an_error_that_names_it(data):
    with pytest.raises(UnreadableManifest) as unreadable:
        Record.from_json(data, name="s3://bucket/builds/b1.json")
    assert str(unreadable.value) == (
        "Couldn't load manifest 's3://bucket/builds/b1.json' (version 1.1): it is not the record "
        "of a build. Run collectstatic again, with --clear if it is there by mistake."
    )


def test_a_record_with_a_manifest_of_another_format_says_so():
    data = json.dumps({"state": "published", "manifest": {"version": "9.0"}}).encode()
    with pytest.raises(UnreadableManifest, match=r"its version is '9\.0', known are 1\.0, 1\.1"):
        Record.from_json(data, name="x")


def test_a_created_record_is_there_to_read(bucket):
    origin = S3Origin(bucket.options(location="shop"))
    assert record.read(origin, "b1") is None
    assert record.create(origin, "b1", Record(manifest())) is True
    assert record.read(origin, "b1") == Record(manifest())
    assert bucket.listed() == {"shop/builds/b1.json"}


def test_a_record_is_json_that_no_cache_keeps(bucket):
    record.create(S3Origin(bucket.options()), "b1", Record(manifest()))
    stored = bucket.get("builds/b1.json")
    assert stored["ContentType"] == "application/json"
    assert stored["CacheControl"] == "no-store"
    assert stored["Metadata"] == {"sha256": hashlib.sha256(stored["Body"]).hexdigest()}


def test_a_record_is_never_overwritten(bucket):
    origin = S3Origin(bucket.options())
    record.create(origin, "b1", Record(manifest()))
    assert record.create(origin, "b1", Record(manifest(content="decaf"))) is False
    assert record.read(origin, "b1") == Record(manifest())


def test_a_claim_of_a_build_is_not_a_published_one(bucket):
    bucket.put("builds/b1.json", b'{"state": "publishing", "content": "c0ffee"}')
    assert record.read(S3Origin(bucket.options()), "b1") is None


def test_a_record_on_s3_that_is_none_is_named(bucket):
    bucket.put("shop/builds/b1.json", b"<html>")
    with pytest.raises(UnreadableManifest, match=f"'s3://{bucket.name}/shop/builds/b1.json'"):
        record.read(S3Origin(bucket.options(location="shop")), "b1")


def test_a_record_that_may_not_be_read_is_an_error():
    with front(answer=lambda _: refusal(403, "AccessDenied", "Access Denied.")) as s3:
        with pytest.raises(OriginError) as denied:
            record.read(S3Origin(options(s3.url, "bucket")), "b1")
    assert denied.value.status == 403
