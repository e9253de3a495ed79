# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.builds import site_origin
from tests.s3 import front, options, refusal
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin import lease, record
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import NewerRecord, Record, State, UnreadableRecord
from versioned_storage.origin.s3_errors import OriginError


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


NOW = datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc)
LEASED = Record("b1", State.PUBLISHING, "c0ffee", NOW, base="b0")
PUBLISHED = LEASED.published(manifest(), NOW)


@pytest.mark.parametrize("written", [LEASED, PUBLISHED, PUBLISHED.released(NOW)])
def test_a_record_reads_back_as_it_was_written(written):
    assert Record.from_json(written.to_json(), name="x") == written


def test_a_record_is_one_json_document_with_the_manifest_in_it():
    stored = json.loads(PUBLISHED.to_json())
    assert stored["state"] == "published"
    assert stored["content"] == "c0ffee"
    assert stored["totals"] == [1, 6, 66]
    assert stored["manifest"] == json.loads(manifest().to_json())


def test_the_first_line_has_all_but_the_manifest():
    head = PUBLISHED.to_json().partition(b"\n")[0]
    assert Record.from_json(head, name="x", head=True) == replace(PUBLISHED, manifest=None)


def test_what_was_published_is_remembered_when_it_is_given_up():
    assert PUBLISHED.released(NOW).state is State.RETIRED
    assert PUBLISHED.leased(NOW, None).released(NOW).state is State.RETIRED
    assert LEASED.released(NOW).state is State.ABANDONED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"state":"published"}',
        b"[" * 200_000,
    ],
)
def test_what_is_no_record_is_an_error_that_names_it(data):
    with pytest.raises(UnreadableRecord) as unreadable:
        Record.from_json(data, name="s3://bucket/builds/b1.json")
    message = str(unreadable.value)
    assert message.startswith("s3://bucket/builds/b1.json is not a readable record of a build: ")
    assert message.endswith(" If nobody needs the build, delete the object.")


def test_a_state_of_a_later_version_is_none_that_is_understood():
    data = LEASED.to_json().replace(b'"publishing"', b'"hibernating"')
    with pytest.raises(UnreadableRecord, match="'hibernating' is not a valid State"):
        Record.from_json(data, name="x")


def test_a_record_with_a_manifest_of_another_format_says_so():
    data = PUBLISHED.to_json().replace(b'"version": "1.1"', b'"version": "9.0"')
    with pytest.raises(UnreadableRecord, match=r"its version is '9\.0', known are 1\.0, 1\.1"):
        Record.from_json(data, name="x")


def test_a_written_record_is_there_to_read(bucket):
    origin = site_origin(bucket.options(location="shop"))
    assert record.read(origin, "b1") is None
    etag = record.write(origin, PUBLISHED, None)
    stored = record.read(origin, "b1")
    assert stored.etag == etag
    assert replace(stored.record, write_id="") == PUBLISHED
    assert bucket.listed() == {"shop/builds/b1.json"}


def test_a_record_is_json_that_no_cache_keeps(bucket):
    record.write(site_origin(bucket.options()), PUBLISHED, None)
    stored = bucket.get("builds/b1.json")
    assert stored["ContentType"] == "application/json"
    assert stored["CacheControl"] == "no-store"
    assert stored["Metadata"] == {"sha256": hashlib.sha256(stored["Body"]).hexdigest()}


def test_a_record_is_only_replaced_by_who_has_seen_it(bucket):
    origin = site_origin(bucket.options())
    first = record.write(origin, LEASED, None)
    assert record.write(origin, LEASED, None) is None
    second = record.write(origin, PUBLISHED, first)
    assert record.write(origin, LEASED, first) is None
    stored = record.read(origin, "b1")
    assert (stored.etag, stored.record.state) == (second, State.PUBLISHED)


def test_the_same_record_written_again_has_another_etag(bucket):
    """A pruner that has read a record of the past must not take a renewed one for it."""
    origin = site_origin(bucket.options())
    first = record.write(origin, PUBLISHED, None)
    assert record.write(origin, PUBLISHED, first) != first


def test_a_write_whose_answer_was_lost_is_known_as_ones_own(bucket):
    """The second attempt is refused, because the first one was done."""

    def loses_the_answer(request):
        if request.method == "PUT":
            bucket.put("builds/b1.json", request.body)
            return refusal(412, "PreconditionFailed", "At least one did not hold")
        return None

    with front(bucket.endpoint, loses_the_answer) as s3:
        origin = site_origin(bucket.options(endpoint_url=s3.url))
        etag = record.write(origin, LEASED, None)
    assert etag == record.read(site_origin(bucket.options()), "b1").etag


def test_the_heads_of_all_records_are_read_without_their_manifests(bucket):
    origin = site_origin(bucket.options())
    for n in range(5):
        large = replace(PUBLISHED, build=f"b{n}", skip_compress_extensions=("x",) * 10)
        record.write(origin, large, None)
    bucket.put("builds/", b"")
    stored = [stored_record.record for stored_record in record.heads(origin)]
    assert [item.build for item in stored] == ["b0", "b1", "b2", "b3", "b4"]
    assert all(item.manifest is None and item.totals == PUBLISHED.totals for item in stored)


def test_the_head_of_a_record_can_be_long(bucket):
    origin = site_origin(bucket.options())
    extensions = tuple(f"extension-{n}" for n in range(2000))
    record.write(origin, replace(PUBLISHED, skip_compress_extensions=extensions), None)
    (stored_record,) = record.heads(origin)
    assert stored_record.record.skip_compress_extensions == extensions


def test_records_of_the_same_second_are_in_the_order_of_their_own_times(bucket):
    origin = site_origin(bucket.options())
    for build, seconds in (("b1", 2), ("b3", 1), ("b2", 3)):
        since = NOW + timedelta(seconds=seconds)
        record.write(origin, replace(PUBLISHED, build=build, since=since), None)
    order = [stored_record.record.build for stored_record in record.newest_first(origin)]
    assert order in (["b2", "b1", "b3"], ["b2", "b3", "b1"])  # the clock may have gone on


def test_a_record_on_s3_that_is_none_is_named(bucket):
    bucket.put("shop/builds/b1.json", b"<html>")
    with pytest.raises(UnreadableRecord, match=f"^s3://{bucket.name}/shop/builds/b1.json is not"):
        record.read(site_origin(bucket.options(location="shop")), "b1")


def test_a_record_that_may_not_be_read_is_an_error():
    with front(answer=lambda _: refusal(403, "AccessDenied", "Access Denied.")) as s3:
        with pytest.raises(OriginError) as denied:
            record.read(site_origin(options(s3.url, "bucket")), "b1")
    assert denied.value.status == 403


def test_a_record_has_the_number_of_its_format():
    assert json.loads(PUBLISHED.to_json())["format"] == 1


def old(written):
    """The record as the package wrote it before records had a format number."""
    stored = json.loads(written.to_json())
    del stored["format"]
    stored["effort"] = stored.pop("publish_id")
    stored["writing"] = stored.pop("write_id")
    manifest = json.dumps(stored.pop("manifest"))
    return f'{json.dumps(stored)[:-1]}, "manifest":\n{manifest}}}\n'.encode()


@pytest.mark.parametrize("written", [LEASED, PUBLISHED])
def test_a_record_without_a_format_number_is_read(written):
    written = replace(written, publish_id="of-a-publish", write_id="of-a-write")
    assert Record.from_json(old(written), name="x") == written
    head = old(written).partition(b"\n")[0]
    assert Record.from_json(head, name="x", head=True) == replace(written, manifest=None)


@pytest.mark.parametrize("format_", [record.FORMAT + 1, 99, "2"])
def test_a_record_of_a_later_format_is_not_read(format_):
    data = json.dumps({"format": format_, "state": "shared", "manifest": None}).encode()
    with pytest.raises(NewerRecord) as newer:
        Record.from_json(data, name="s3://bucket/builds/b1.json")
    assert str(newer.value) == (
        f"s3://bucket/builds/b1.json has the record format {format_}, and this version of "
        "django-versioned-storage reads formats up to 2. Nothing was changed. Upgrade the package "
        "to the version that published the build."
    )


def test_a_record_of_a_later_format_is_never_rewritten(bucket, tmp_path):
    """Neither by a publisher, a pruner nor by hand."""
    data = PUBLISHED.to_json().replace(b'"format": 1', b'"format": 3')
    bucket.put("builds/b1.json", data)
    origin = site_origin(bucket.options())
    pruner = Pruner(origin)
    for work in (
        lambda: Publisher(origin).publish(manifest(), BuildDirectory(tmp_path)),
        lambda: lease.abandon(origin, "b1"),
        lambda: list(pruner.execute(pruner.plan(keep=1, older_than=timedelta(0)))),
    ):
        with pytest.raises(NewerRecord):
            work()
    assert bucket.get("builds/b1.json")["Body"] == data
