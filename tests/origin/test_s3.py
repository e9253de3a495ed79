# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import os
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from functools import partial
from urllib.parse import unquote

import pytest
from botocore.config import Config
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.test import override_settings

from tests.s3 import ACCESS_KEY, HANGS_UP, ONCE, SECRET_KEY, Answer, front, nobody, options, refusal
from versioned_storage.conf import Options
from versioned_storage.origin.body import IN_MEMORY, FileChanged, UploadBody
from versioned_storage.origin.connection import LENT, UnusableOrigin
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.s3_errors import PERMISSIONS, OriginError
from versioned_storage.static_url import StaticURL

UNREACHABLE = (
    "Nothing was lost: see that the server can be reached (endpoint_url, network, proxy) and run "
    "the same command again."
)
NO_BUCKET = (
    "Correct bucket_name in the origin option, or create the bucket: 'python manage.py "
    "staticbuilds cloudformation' prints a stack that has it, beside the CDN."
)
REFUSED = (
    "The same again would be refused too: see what it says, and the docs on other stores than AWS "
    "where it is none of AWS."
)
OK = Answer(200, b"", {"ETag": '"0"'})


@pytest.fixture
def echo():
    """A server that says yes to everything and keeps what it was asked."""
    with front(answer=lambda _: OK) as standing:
        yield standing


def credential(request):
    """The access key and the region that a request was signed with."""
    scope = request.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
    return scope[0], scope[2]


def put_file(origin, path, file, **headers):
    """Store a file with the sha256 that it has."""
    return origin.put_file(path, UploadBody.of(file), **headers)


# What is put and got


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


# What goes wrong


@pytest.mark.parametrize(
    ("status", "code", "said", "advice"),
    [
        (
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            "S3 does not know these credentials: correct access_key, or AWS_ACCESS_KEY_ID.",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            "Correct secret_key, or AWS_SECRET_ACCESS_KEY.",
        ),
        (
            400,
            "ExpiredToken",
            "The provided token has expired.",
            "The credentials have expired: get new ones.",
        ),
        (
            404,
            "NoSuchBucket",
            "The specified bucket does not exist.",
            NO_BUCKET,
        ),
        (500, "InternalError", "We encountered an internal error.", UNREACHABLE),
        (503, "SlowDown", "Please reduce your request rate.", UNREACHABLE),
    ],
)
def test_a_refusal_says_what_s3_said_and_what_mends_it(tmp_path, status, code, said, advice):
    (tmp_path / "a.css").write_bytes(b"a{}")
    with front(answer=lambda _: refusal(status, code, said)) as s3:
        origin = S3Origin(options(s3.url, "my-site", location="shop"))
        with pytest.raises(OriginError) as got:
            origin.get("builds/b1.json")
        with pytest.raises(OriginError) as put:
            put_file(origin, "static/b1/a.css", tmp_path / "a.css")
    assert str(got.value) == (
        f"GetObject s3://my-site/shop/builds/b1.json failed: {status} {code}, {said} {advice}"
    )
    assert str(put.value) == (
        f"PutObject s3://my-site/shop/static/b1/a.css failed: {status} {code}, {said} {advice}"
    )
    assert (put.value.status, put.value.code, put.value.attempts) == (status, code, 1)
    assert isinstance(put.value, CommandError)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "AuthorizationHeaderMalformed", "Correct region_name in the origin option."),
        (400, "InvalidRequest", REFUSED),
        (405, "MethodNotAllowed", REFUSED),
        (400, "RequestTimeout", UNREACHABLE),
    ],
)
def test_who_answers_with_a_refusal_is_not_said_to_be_out_of_reach(status, code, advice):
    with front(answer=lambda _: refusal(status, code, "No.")) as s3:
        with pytest.raises(OriginError) as refused:
            S3Origin(options(s3.url, "bucket")).get("a")
    assert str(refused.value) == f"GetObject s3://bucket/a failed: {status} {code}, No. {advice}"


def test_a_write_that_is_denied_names_the_permission():
    with front(answer=lambda _: refusal(403, "AccessDenied", "Access Denied.")) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        with pytest.raises(OriginError) as put:
            origin.put("a", b"")
        with pytest.raises(OriginError) as listed:
            next(origin.list("a/"))
    assert str(put.value).endswith("Access Denied. Grant s3:PutObject on it to these credentials.")
    assert str(listed.value).endswith("Grant s3:ListBucket on it to these credentials.")


def test_each_operation_of_the_package_has_its_permission():
    """A name that S3 calls otherwise, such as s3:HeadObject, would grant nothing."""
    assert {"s3:HeadObject", "s3:CopyObject"}.isdisjoint(PERMISSIONS.values())
    assert PERMISSIONS["HeadObject"] == "s3:GetObject"
    assert PERMISSIONS["ListObjectsV2"] == "s3:ListBucket"


def test_a_head_that_is_denied_is_said_to_lack_a_permission():
    """The answer to a HEAD has no body, so there is no code in it but the status."""
    with front(answer=lambda _: Answer(403)) as s3:
        with pytest.raises(OriginError) as denied:
            S3Origin(options(s3.url, "bucket")).find("a")
    assert str(denied.value) == (
        "HeadObject s3://bucket/a failed: 403 Forbidden. "
        "Grant s3:GetObject on it to these credentials, and s3:ListBucket on the bucket: without "
        "it S3 also denies keys that do not exist."
    )


def test_a_refusal_without_a_full_stop_gets_one():
    with front(answer=lambda _: refusal(403, "AccessDenied", "Access Denied")) as s3:
        with pytest.raises(OriginError) as refused:
            S3Origin(options(s3.url, "bucket")).get("a")
    assert str(refused.value) == (
        "GetObject s3://bucket/a failed: 403 AccessDenied, Access Denied. "
        "Grant s3:GetObject on it to these credentials, and s3:ListBucket on the bucket: without "
        "it S3 also denies keys that do not exist."
    )


def test_the_bucket_that_is_not_there_is_named(bucket):
    with pytest.raises(OriginError) as missing:
        S3Origin(bucket.options(bucket_name="no-such-bucket")).get("builds/b1.json")
    assert str(missing.value).startswith(
        "GetObject s3://no-such-bucket/builds/b1.json failed: 404 NoSuchBucket"
    )
    assert str(missing.value).endswith(f" {NO_BUCKET}")


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


def test_a_refusal_without_a_message_says_its_code_once():
    """Ceph's S3 server sends codes alone."""
    answer = refusal(404, "NoSuchBucket", "")
    with front(answer=lambda _: answer) as s3:
        with pytest.raises(OriginError) as missing:
            S3Origin(options(s3.url, "no-such-bucket")).get("a")
    assert str(missing.value) == (
        f"GetObject s3://no-such-bucket/a failed: 404 NoSuchBucket. {NO_BUCKET}"
    )


def test_a_bucket_name_that_cannot_be_is_said_to_be_wrong(echo):
    with pytest.raises(OriginError) as wrong:
        S3Origin(options(echo.url, "my bucket")).get("a")
    assert 'Invalid bucket name "my bucket"' in str(wrong.value)
    assert str(wrong.value).endswith(
        " Correct bucket_name or object_parameters in the origin option."
    )
    assert echo.requests == []


def test_no_credentials_at_all_says_where_they_may_be(echo):
    origin = S3Origin({"bucket_name": "bucket", "endpoint_url": echo.url, "client_config": ONCE})
    with pytest.raises(OriginError) as missing:
        origin.get("builds/b1.json")
    assert str(missing.value) == (
        "GetObject s3://bucket/builds/b1.json failed: NoCredentialsError, Unable to locate "
        "credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key and "
        "secret_key in the origin option, or give the machine a role."
    )
    assert missing.value.status is None
    assert echo.requests == []


def test_a_server_that_cannot_be_reached_is_said_to_be(tmp_path):
    (tmp_path / "a.css").write_bytes(b"a{}")
    with nobody() as url:
        origin = S3Origin(options(url, "bucket"))
        with pytest.raises(OriginError) as gone:
            put_file(origin, "a.css", tmp_path / "a.css")
    assert str(gone.value) == (
        "PutObject s3://bucket/a.css failed: EndpointConnectionError, Could not connect to the "
        f'endpoint URL: "{url}/bucket/". {UNREACHABLE}'
    )


def test_a_server_that_hangs_up_is_an_origin_error():
    with front(answer=lambda _: HANGS_UP) as s3:
        with pytest.raises(OriginError) as hung_up:
            S3Origin(options(s3.url, "bucket")).get("a")
    assert hung_up.value.code == "ConnectionClosedError"
    assert str(hung_up.value).endswith(UNREACHABLE)


def test_a_refusal_counts_its_attempts():
    config = Config(retries={"mode": "standard", "total_max_attempts": 2})
    with front(answer=lambda _: refusal(503, "SlowDown", "Please reduce.")) as s3:
        with pytest.raises(OriginError) as refused:
            S3Origin(options(s3.url, "bucket", client_config=config)).get("a")
    assert len(s3.requests) == refused.value.attempts == 2
    assert str(refused.value).startswith("GetObject s3://bucket/a failed after 2 attempts: 503")


def test_who_cannot_wait_tries_once():
    """The app server's read of a manifest, with no retries of the site's own."""
    with front(answer=lambda _: refusal(503, "SlowDown", "Please reduce.")) as s3:
        given = options(s3.url, "bucket")
        del given["client_config"]
        with pytest.raises(OriginError):
            S3Origin(given, timeout=2.0).get("a")
    assert len(s3.requests) == 1


def test_an_unknown_option_is_named_beside_the_known_ones():
    with pytest.raises(UnusableOrigin) as unknown:
        S3Origin({"bucket_name": "bucket", "buket": SECRET_KEY})
    assert str(unknown.value).startswith("The origin option cannot be used: 'buket' is none of ")
    assert "bucket_name, " in str(unknown.value)
    assert str(unknown.value).endswith(
        "It takes django-storages' S3Storage options, for example {'bucket_name': "
        "'my-site-static', 'region_name': 'eu-west-1'}."
    )
    assert SECRET_KEY not in str(unknown.value)
    assert isinstance(unknown.value, ImproperlyConfigured)


def test_a_location_that_begins_with_a_slash_is_refused():
    with pytest.raises(UnusableOrigin) as wrong:
        S3Origin({"bucket_name": "bucket", "location": "/shop"})
    assert "location cannot begin with a leading slash. Found '/shop'. Use 'shop' instead. It" in (
        str(wrong.value)
    )


# What the site's AWS_* settings lend


MEDIA = {
    "AWS_ACCESS_KEY_ID": "AKIDOFMEDIA",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-media",
    "AWS_SESSION_TOKEN": "the-token-of-media",
    "AWS_S3_REGION_NAME": "eu-north-1",
    "AWS_S3_CLIENT_CONFIG": ONCE,
    # and what is the media's own
    "AWS_STORAGE_BUCKET_NAME": "media",
    "AWS_LOCATION": "uploads",
    "AWS_DEFAULT_ACL": "public-read",
    "AWS_IS_GZIPPED": True,
    "AWS_S3_OBJECT_PARAMETERS": {
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "StorageClass": "GLACIER",
        "Metadata": {"of": "media"},
    },
    "AWS_S3_CUSTOM_DOMAIN": "media.example.com",
    "AWS_CLOUDFRONT_KEY_ID": "K123",
    "AWS_QUERYSTRING_AUTH": True,
    "AWS_S3_FILE_OVERWRITE": False,
}


def test_the_media_storage_lends_how_to_connect_and_nothing_else(echo, tmp_path):
    (tmp_path / "a.css").write_bytes(b"a{}")
    with override_settings(**MEDIA, AWS_S3_ENDPOINT_URL=echo.url):
        origin = S3Origin({"bucket_name": "static"})
        put_file(origin, "static/b1/a.css", tmp_path / "a.css", ContentType="text/css")
    (request,) = echo.requests
    assert request.path == "/static/static/b1/a.css"
    assert credential(request) == ("AKIDOFMEDIA", "eu-north-1")
    assert request.headers["X-Amz-Security-Token"] == "the-token-of-media"
    assert request.body == b"a{}"
    assert {name for name in request.headers if name.lower().startswith("x-amz-meta-")} == {
        "x-amz-meta-sha256"
    }
    of_the_media = {
        "x-amz-acl",
        "x-amz-storage-class",
        "cache-control",
        "content-disposition",
        "content-encoding",
    }
    assert of_the_media.isdisjoint(map(str.lower, request.headers))


def test_an_addressing_style_is_lent():
    with override_settings(AWS_S3_ADDRESSING_STYLE="virtual", AWS_S3_REGION_NAME="eu-north-1"):
        client = S3Origin({"bucket_name": "static", "access_key": "A", "secret_key": "S"}).client
    url = client.generate_presigned_url("get_object", {"Bucket": "static", "Key": "a"})
    assert url.startswith("https://static.s3.")


def test_what_origin_says_itself_comes_before_what_is_lent(echo):
    with override_settings(**MEDIA, AWS_S3_ENDPOINT_URL="http://127.0.0.1:1"):
        S3Origin(options(echo.url, "static", region_name="us-west-2")).put("a", b"")
    (request,) = echo.requests
    assert credential(request) == (ACCESS_KEY, "us-west-2")


def test_no_connection_setting_is_also_held_back():
    assert LENT.isdisjoint(
        {"bucket_name", "location", "default_acl", "gzip", "object_parameters", "custom_domain"}
    )


def test_keys_of_origin_are_not_mixed_with_a_lent_token_or_profile(echo, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token-of-the-shell")
    with override_settings(AWS_S3_SESSION_PROFILE="media"):
        S3Origin(options(echo.url, "static")).put("a", b"")
    (request,) = echo.requests
    assert credential(request)[0] == ACCESS_KEY
    assert "X-Amz-Security-Token" not in request.headers


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """A profile in the AWS configuration of this machine."""
    file = tmp_path / "credentials"
    file.write_text(
        "[deploy]\naws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = of-the-profile\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    return "deploy"


def test_a_profile_of_origin_comes_before_lent_keys(echo, profile, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-shell")
    given = {"bucket_name": "static", "endpoint_url": echo.url, "session_profile": profile}
    with override_settings(**MEDIA):
        S3Origin(given).put("a", b"")
    (request,) = echo.requests
    assert credential(request)[0] == "AKIDOFPROFILE"
    assert "X-Amz-Security-Token" not in request.headers


def test_a_profile_is_lent(echo, profile):
    given = {"bucket_name": "static", "endpoint_url": echo.url, "client_config": ONCE}
    with override_settings(AWS_S3_SESSION_PROFILE=profile):
        S3Origin(given).put("a", b"")
    assert credential(echo.requests[0])[0] == "AKIDOFPROFILE"


def test_keys_and_a_profile_in_origin_exclude_each_other(echo, profile):
    with pytest.raises(UnusableOrigin, match="session_profile should not be provided") as both:
        S3Origin(options(echo.url, "static", session_profile=profile))
    assert SECRET_KEY not in str(both.value)


def test_a_profile_that_is_not_there_is_named(echo):
    given = {"bucket_name": "static", "endpoint_url": echo.url, "session_profile": "nobody"}
    with pytest.raises(UnusableOrigin) as missing:
        S3Origin(given).get("a")
    assert str(missing.value).startswith(
        "The origin option cannot be used: The config profile (nobody) could not be found. "
    )


def test_an_endpoint_with_a_password_in_it_is_refused_without_a_word_of_it():
    with pytest.raises(UnusableOrigin, match="keys belong into access_key") as refused:
        S3Origin(options("https://me:hush@s3.example.com", "bucket"))
    assert "hush" not in str(refused.value)


def test_an_endpoint_that_is_no_url_is_named():
    with pytest.raises(UnusableOrigin) as wrong:
        S3Origin(options("localhost", "static")).get("a")
    assert str(wrong.value).startswith(
        "The origin option cannot be used: Invalid endpoint: localhost. It takes"
    )


# What origin adds to each object


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


# Secrets


def test_no_secret_is_in_an_error_or_a_repr(echo):
    secrets = {"secret_key": SECRET_KEY, "security_token": "the-token-of-a-test"}
    origins = {
        "refused": S3Origin(options(echo.url, "static", **secrets)),
        "unreachable": S3Origin(options("http://127.0.0.1:1", "static", **secrets)),
        "badly named": S3Origin(options(echo.url, "my bucket", **secrets)),
    }
    echo.answer = lambda _: refusal(403, "SignatureDoesNotMatch", "It does not match.")
    for origin in origins.values():
        with pytest.raises(OriginError) as failed:
            origin.get("a")
        for text in (str(failed.value), repr(failed.value), repr(origin)):
            assert SECRET_KEY not in text
            assert "the-token-of-a-test" not in text


def test_a_body_that_ends_before_its_length_is_an_error():
    """The connection ends in order and too early: what came is not the object."""
    short = Answer(200, b"{", {"ETag": '"0"', "Content-Length": "9", "Connection": "close"})
    with front(answer=lambda _: short) as standing:
        origin = S3Origin(options(standing.url, "bucket"))
        with pytest.raises(OriginError, match="run the same command again"):
            origin.get("builds/b1.json")
        with pytest.raises(OriginError), origin.open("static/b1/a.css") as body:
            list(iter(partial(body.read, 1), b""))


def test_no_secret_is_in_the_error_of_a_header_that_cannot_be(echo):
    origin = S3Origin(options(echo.url, "static", security_token="the-token\nx"))
    for ask in (
        lambda: origin.get("a"),
        lambda: origin.put("a", b"a"),
        lambda: list(origin.list("a")),
    ):
        with pytest.raises(OriginError, match="InvalidHeader, A value has a line break") as failed:
            ask()
        assert "the-token" not in str(failed.value)


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
