"""Errors of S3: what was refused, by whom, and what mends it."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

from datetime import datetime, timezone
from functools import partial

import pytest
from botocore.config import Config
from django.core.management.base import CommandError

from tests.builds import put_file
from tests.s3 import HANGS_UP, ONCE, SECRET_KEY, Answer, front, nobody, options, refusal
from versioned_storage.origin.objects import ListedObject
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.s3_errors import PERMISSIONS, NotDeleted, OriginError

UNREACHABLE = (
    "Nothing is lost: check that the server can be reached (endpoint_url, network, proxy) and run "
    "the same command again."
)
NO_BUCKET = (
    "Correct bucket_name in the origin option, or create the bucket: 'python manage.py "
    "staticbuilds cloudformation' prints a stack that has it, beside the CDN."
)
REFUSED = (
    "A retry would be refused too: mend what the message names. docs/s3.md has what differs in "
    "stores other than AWS."
)


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


def test_a_deletion_of_a_version_names_its_own_permission():
    denied = (
        b"<DeleteResult><Error><Key>a.css</Key><VersionId>v1</VersionId><Code>AccessDenied</Code>"
        b"<Message>Access Denied</Message></Error></DeleteResult>"
    )
    item = ListedObject("a.css", 1, '"e"', datetime.now(timezone.utc), "v1")
    with front(answer=lambda _: Answer(200, denied)) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        with pytest.raises(NotDeleted) as refused:
            list(origin.delete([item]))
    assert "Grant s3:DeleteObjectVersion on it to these credentials. Then run" in str(refused.value)


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
