# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import random
import re
import threading
from base64 import b64encode
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from tests.origin.transport.wire import client_of, sha256_of
from tests.s3 import Answer, Bucket, front, options, refusal
from versioned_storage.origin import transport
from versioned_storage.origin.body import Body
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.transport import Transport, multipart

# The least that S3, and moto, take for a part that is not the last.
PART = 5 << 20
BODY = random.Random(4).randbytes(2 * PART + 1000)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Files of some MB in parts, and no waiting."""
    monkeypatch.setattr(multipart, "PART", PART)
    monkeypatch.setattr(transport, "THRESHOLD", len(BODY))
    monkeypatch.setattr(transport.time, "sleep", lambda _: None)


@pytest.fixture
def large(tmp_path):
    """A file that is large enough."""
    path = tmp_path / "large.mp4"
    path.write_bytes(BODY)
    return path


def put(options, bucket, path, connections=4, **parameters):
    to = Transport(client_of(options, connections), bucket, connections)
    body = path.read_bytes()
    with path.open("rb") as file:
        parameters["Metadata"] = {"sha256": sha256_of(body)}
        return to.put("large.mp4", file, len(body), sha256_of(body), parameters)


def test_a_large_file_arrives_whole_with_its_headers(bucket, large):
    etag = put(
        bucket.options(), bucket.name, large, ContentType="video/mp4", CacheControl="max-age=1"
    )
    stored = bucket.get("large.mp4")
    assert stored["Body"] == BODY
    assert stored["ETag"] == etag
    assert etag.endswith('-3"')
    assert stored["ContentType"] == "video/mp4"
    assert stored["CacheControl"] == "max-age=1"
    assert stored["Metadata"] == {"sha256": sha256_of(BODY)}


def test_a_smaller_file_is_put_at_once(bucket, large):
    large.write_bytes(BODY[:-1])
    with front(bucket.endpoint) as s3:
        put(bucket.options(endpoint_url=s3.url), bucket.name, large)
    assert [request.method for request in s3.requests] == ["PUT"]


def test_each_part_counts_as_a_request(bucket, large):
    with front(bucket.endpoint) as s3:
        origin = S3Origin(bucket.options(endpoint_url=s3.url))
        origin.put_file("large.mp4", Body.of(large))
    # Ceph's server is asked for the ETag, too.
    assert origin.requests == len(s3.requests) >= 5


def test_s3_is_sent_the_sha256_of_each_part_to_check(bucket, large):
    with front(bucket.endpoint) as s3:
        put(bucket.options(endpoint_url=s3.url), bucket.name, large)
    parts = [request for request in s3.requests if request.method == "PUT"]
    assert sorted(len(part.body) for part in parts) == [1000, PART, PART]
    for part in parts:
        digest = hashlib.sha256(part.body)
        assert part.headers["x-amz-checksum-sha256"] == b64encode(digest.digest()).decode()
        assert part.headers["X-Amz-Content-SHA256"] == digest.hexdigest()


def test_each_request_has_the_parameters_that_it_knows(bucket, large):
    with front(bucket.endpoint) as s3:
        put(
            bucket.options(endpoint_url=s3.url),
            bucket.name,
            large,
            StorageClass="STANDARD",
            RequestPayer="requester",
            IfNoneMatch="*",
        )
    begin, *parts = (request for request in s3.requests if request.method != "HEAD")
    complete = parts.pop()
    assert begin.headers["x-amz-storage-class"] == "STANDARD"
    assert "x-amz-storage-class" not in parts[0].headers
    assert complete.headers["If-None-Match"] == "*"
    assert {request.headers.get("x-amz-request-payer") for request in s3.requests} == {"requester"}


def test_a_server_that_leaves_out_the_etag_is_asked_for_it(moto_server, large):
    with Bucket.at(moto_server) as bucket, front(bucket.endpoint) as s3:
        passed_on = s3.passed_on

        def without_etag(request, target):
            answer = passed_on(request, target)
            return replace(answer, body=re.sub(rb"<ETag>[^<]+</ETag>", b"<ETag/>", answer.body))

        s3.passed_on = without_etag
        etag = put(bucket.options(endpoint_url=s3.url), bucket.name, large, IfNoneMatch="*")
        assert etag == bucket.get("large.mp4")["ETag"]
    assert s3.requests[-1].method == "HEAD"
    assert "If-None-Match" not in s3.requests[-1].headers


def test_no_more_parts_are_in_memory_than_a_few(large, monkeypatch, bucket):
    monkeypatch.setattr(multipart, "AT_ONCE", 2)
    under_way, most = [], []
    with front(bucket.endpoint) as s3:
        passed_on = s3.passed_on

        def watched(request, target):
            under_way.append(request)
            most.append(len(under_way))
            threading.Event().wait(0.01)
            try:
                return passed_on(request, target)
            finally:
                under_way.remove(request)

        s3.passed_on = watched
        put(bucket.options(endpoint_url=s3.url), bucket.name, large, connections=8)
    assert max(most) == 2


def test_after_a_failure_nothing_is_left_and_the_failure_is_told(bucket, large):
    def refuses_the_last(request):
        if request.method == "PUT" and len(request.body) == 1000:
            return refusal(403, "AccessDenied", "No.")
        return None

    with front(bucket.endpoint, refuses_the_last) as s3:
        with pytest.raises(ClientError, match="AccessDenied"):
            put(bucket.options(endpoint_url=s3.url), bucket.name, large)
    assert s3.requests[-1].method == "DELETE"
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
    assert bucket.listed() == set()


def test_what_went_wrong_is_told_also_when_giving_up_goes_wrong(bucket, large, caplog):
    def refuses(request):
        if request.method == "DELETE":
            return refusal(403, "AccessDenied", "Not even that.")
        if request.method == "PUT":
            return refusal(400, "BadDigest", "It does not match.")
        return None

    with front(bucket.endpoint, refuses) as s3:
        with pytest.raises(ClientError, match="BadDigest"):
            put(bucket.options(endpoint_url=s3.url), bucket.name, large)
    assert "The parts of large.mp4 that were uploaded are still in the bucket" in caplog.text
    assert "Not even that." in caplog.text


def test_after_a_failure_no_further_part_is_begun(large, monkeypatch):
    monkeypatch.setattr(multipart, "PART", len(BODY) // 100)

    def refuses(request):
        if request.method == "POST":
            return Answer(200, b"<R><UploadId>u</UploadId></R>")
        return refusal(403, "AccessDenied", "No.")

    with front(answer=refuses) as s3:
        with pytest.raises(ClientError, match="AccessDenied"):
            put(options(s3.url, "bucket"), "bucket", large)
    assert len(s3.asked("PUT")) < 50
