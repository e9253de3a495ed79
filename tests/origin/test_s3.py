# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import os
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

import pytest

from tests.builds import put_file
from tests.s3 import Answer, front, options, refusal
from versioned_storage.conf import Options
from versioned_storage.origin.objects import IN_MEMORY, FileChanged, UploadBody
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.static_url import StaticURL


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("", "static/b1/a.css"),
        ("shop", "shop/static/b1/a.css"),
        ("shop/stage/", "shop/stage/static/b1/a.css"),
    ],
)
def test_keys_are_below_the_location(bucket, tmp_path, location, key):
    origin = S3Origin(bucket.options(location=location))
    (tmp_path / "a.css").write_bytes(b"a{}")
    put_file(origin, "static/b1/a.css", tmp_path / "a.css", ContentType="text/css")
    assert bucket.listed() == {key}
    assert origin.url("static/b1/a.css") == f"s3://{bucket.name}/{key}"
    assert origin.get("static/b1/a.css").data == b"a{}"


def test_a_file_is_stored_with_its_headers_and_the_sha256_of_its_bytes(bucket, tmp_path):
    content = bytes(range(256)) * 9000  # more than is read at once
    (tmp_path / "a.bin").write_bytes(content)
    etag = put_file(
        S3Origin(bucket.options()),
        "a.bin.gz",
        tmp_path / "a.bin",
        ContentType="text/css; charset=utf-8",
        ContentEncoding="gzip",
        CacheControl="max-age=1",
    )
    stored = bucket.get("a.bin.gz")
    assert stored["ETag"] == etag
    assert stored["Body"] == content
    assert stored["ContentType"] == "text/css; charset=utf-8"
    assert stored["ContentEncoding"] == "gzip"
    assert stored["CacheControl"] == "max-age=1"
    assert stored["Metadata"] == {"sha256": hashlib.sha256(content).hexdigest()}


def test_an_empty_file_is_stored_too(bucket, tmp_path):
    (tmp_path / "empty").touch()
    put_file(S3Origin(bucket.options()), "empty", tmp_path / "empty")
    assert bucket.get("empty")["Body"] == b""


@pytest.mark.parametrize("name", ["a b.css", "naïve.css", "a+b%20c.css", "日本.css"])
def test_any_name_can_be_a_key(bucket, tmp_path, name):
    (tmp_path / "a.css").write_bytes(b"a{}")
    origin = S3Origin(bucket.options())
    put_file(origin, f"static/{name}", tmp_path / "a.css")
    assert bucket.listed() == {f"static/{name}"}
    assert origin.get(f"static/{name}").data == b"a{}"


def test_s3_is_sent_the_sha256_of_each_body_to_check(echo, tmp_path):
    """As S3's checksum, and signed, for servers that know only one of them."""
    (tmp_path / "a.css").write_bytes(b"a{}")
    origin = S3Origin(options(echo.url, "bucket"))
    put_file(origin, "a.css", tmp_path / "a.css")
    origin.put("b.json", b"{}")
    for request in echo.requests:
        digest = hashlib.sha256(request.body)
        assert request.headers["x-amz-checksum-sha256"] == b64encode(digest.digest()).decode()
        assert request.headers["X-Amz-Content-SHA256"] == digest.hexdigest()
    assert [request.body for request in echo.requests] == [b"a{}", b"{}"]


def test_getting_what_is_not_there_gives_none(bucket):
    assert S3Origin(bucket.options()).get("builds/b1.json") is None


def test_creating_what_is_there_leaves_it_as_it_is(bucket):
    origin = S3Origin(bucket.options())
    assert origin.put("builds/b1.json", b"first") is not None
    assert origin.put("builds/b1.json", b"second") is None
    assert bucket.get("builds/b1.json")["Body"] == b"first"


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
)
def test_losing_the_race_to_create_is_no_error(status, code):
    with front(answer=lambda _: refusal(status, code, "At least one did not hold")) as s3:
        assert S3Origin(options(s3.url, "bucket")).put("a", b"") is None
    assert s3.requests[0].headers["If-None-Match"] == "*"


def test_creating_fails_for_any_other_refusal():
    with front(answer=lambda _: refusal(500, "InternalError", "We are sorry.")) as s3:
        with pytest.raises(OriginError, match="500 InternalError"):
            S3Origin(options(s3.url, "bucket")).put("a", b"")


def test_making_an_origin_talks_to_nobody(echo):
    S3Origin(options(echo.url, "bucket"))
    assert echo.requests == []


def test_a_process_with_few_open_files_makes_fewer_requests_at_a_time(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    origin = S3Origin({"bucket_name": "static"}, connections=128)
    assert origin.connections == 64
    assert origin.client.meta.config.max_pool_connections == 64


def test_object_parameters_are_on_each_object(bucket, tmp_path):
    (tmp_path / "a.css").write_bytes(b"a{}")
    parameters = {
        "StorageClass": "STANDARD_IA",
        "Tagging": "team=web&kind=static",
        "Metadata": {"team": "web"},
    }
    origin = S3Origin(bucket.options(object_parameters=parameters))
    put_file(origin, "a.css", tmp_path / "a.css")
    origin.put("b.json", b"{}")
    for key, content in (("a.css", b"a{}"), ("b.json", b"{}")):
        stored = bucket.get(key)
        assert stored["StorageClass"] == "STANDARD_IA"
        assert stored["Metadata"] == {"team": "web", "sha256": hashlib.sha256(content).hexdigest()}
        tags = bucket.client.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "web", "kind": "static"}


def test_an_acl_of_origin_is_on_each_object(echo):
    S3Origin(options(echo.url, "static", default_acl="bucket-owner-full-control")).put("a", b"")
    assert echo.requests[0].headers["x-amz-acl"] == "bucket-owner-full-control"


def test_object_parameters_cannot_move_an_object(bucket):
    parameters = {"Bucket": "elsewhere", "Key": "elsewhere", "Body": b"else"}
    S3Origin(bucket.options(object_parameters=parameters)).put("a", b"content")
    assert bucket.get("a")["Body"] == b"content"


def test_a_small_file_is_sent_as_it_was_read(echo, tmp_path):
    (tmp_path / "a.js").write_bytes(b"x" * 2000)
    body = UploadBody.of(tmp_path / "a.js")
    os.truncate(tmp_path / "a.js", 1000)
    S3Origin(options(echo.url, "static")).put_file("a.js", body)
    (sent,) = echo.requests
    assert sent.body == b"x" * 2000
    assert sent.headers["X-Amz-Content-SHA256"] == body.sha256


def test_a_large_file_that_has_changed_since_it_was_read_is_not_sent(echo, tmp_path):
    (tmp_path / "a.js").write_bytes(b"x" * 2 * IN_MEMORY)
    body = UploadBody.of(tmp_path / "a.js")
    os.truncate(tmp_path / "a.js", IN_MEMORY + 1)
    with pytest.raises(FileChanged, match="has changed since"):
        S3Origin(options(echo.url, "static")).put_file("a.js", body)
    assert echo.requests == []


def test_the_origin_of_a_site_has_the_prefix_of_its_builds():
    given = Options(origin={"bucket_name": "bucket", "location": "shop"}, connections=7)
    origin = S3Origin.from_options(given, StaticURL.parse("https://cdn.example.com/s/static/"))
    assert (origin.prefix, origin.connections, origin.location) == ("s/static/", 7, "shop")


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Wed, 99 Nov 2026 12:00:00 GMT", "Wed, 25 Nov 99999 12:00:00 GMT"]
)
def test_an_odd_date_does_not_set_the_clock(date):
    response = {"ETag": '"0"', "Date": date}
    with front(answer=lambda _: Answer(200, b"", response)) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        origin.get("a")
    assert abs(origin.now() - datetime.now(timezone.utc)) < timedelta(seconds=2)


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_the_clock_is_that_of_s3_however_it_writes_the_zone(zone):
    ahead = datetime.now(timezone.utc) + timedelta(hours=1)
    response = {"ETag": '"0"', "Date": f"{ahead:%a, %d %b %Y %H:%M:%S} {zone}"}
    with front(answer=lambda _: Answer(200, b"", response)) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        origin.get("a")
    assert abs(origin.now() - ahead) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "MissingContentMD5", "Missing"),
        (400, "InvalidRequest", "Missing required header for this request: Content-MD5"),
    ],
)
def test_a_deletion_has_the_md5_of_its_body_where_a_store_asks_for_it(status, code, message):
    """boto3 sends another checksum since version 1.36."""
    deleted = Answer(200, b"<DeleteResult></DeleteResult>")

    def answer(request):
        digest = b64encode(hashlib.md5(request.body).digest()).decode()
        return deleted if request.headers.get("Content-MD5") == digest else refused

    refused = refusal(status, code, message)
    with front(answer=answer) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        assert list(origin.delete(["a", "b"])) == [2]
        assert list(origin.delete(["c"])) == [1]
    assert len(s3.requests) == 3


def test_an_access_point_is_a_bucket_too():
    """Its ARN; in the source of a copy, S3 wants "/object/" between it and the key."""
    arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/static"
    copied = Answer(200, b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>')
    with front(answer=lambda _: copied) as proxy:
        option = options("", arn, proxies={"http": proxy.url}, use_ssl=False)
        del option["endpoint_url"], option["client_config"]
        origin = S3Origin(option)
        assert origin.copy("b1/a b.css", "b2/a.css", etag='"1"', sha256="00").etag == '"0"'
    (request,) = proxy.requests
    assert request.headers["Host"] == "static-111122223333.s3-accesspoint.eu-west-1.amazonaws.com"
    source = unquote(request.headers["x-amz-copy-source"])
    assert source == f"{arn}/object/b1/a b.css"


def test_a_copy_has_the_etag_that_a_look_at_it_finds(bucket, tmp_path):
    """Ceph names it without quotes in the one place, and with them in the other."""
    (tmp_path / "a.css").write_bytes(b"a{}")
    origin = S3Origin(bucket.options())
    etag = put_file(origin, "a.css", tmp_path / "a.css")
    sha256 = hashlib.sha256(b"a{}").hexdigest()
    copied = origin.copy("a.css", "b.css", etag=etag, sha256=sha256)
    assert copied.etag == origin.find("b.css").etag
    assert copied.sha256 in (sha256, None)
    assert bucket.get("b.css")["Body"] == b"a{}"


def test_a_store_that_refuses_conditions_of_copies_copies_without(bucket, tmp_path):
    """It is found out once, and then every copy is asked for without them."""
    (tmp_path / "a.css").write_bytes(b"a{}")
    sha256 = hashlib.sha256(b"a{}").hexdigest()

    def refuses(request):
        if "if-none-match" in {name.lower() for name in request.headers} and (
            "x-amz-copy-source" in {name.lower() for name in request.headers}
        ):
            return refusal(501, "NotImplemented", "A header you provided implies functionality")
        return None

    with front(bucket.endpoint, refuses) as s3:
        origin = S3Origin(bucket.options(endpoint_url=s3.url))
        etag = put_file(origin, "a.css", tmp_path / "a.css")
        for name in ("b.css", "c.css"):
            assert origin.copy("a.css", name, etag=etag, sha256=sha256)
    assert len(s3.asked("PUT")) == 1 + 2 + 1
    assert bucket.get("c.css")["Body"] == b"a{}"
