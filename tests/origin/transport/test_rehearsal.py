from datetime import datetime, timedelta, timezone

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import NoCredentialsError, ParamValidationError
from botocore.session import get_session

from tests.origin.transport.wire import (
    client_of,
    on_the_wire,
    put_parameters,
    sha256_of,
    signed_rightly,
)
from tests.s3 import ONCE, Answer, front, options
from versioned_storage.origin.transport import Transport
from versioned_storage.origin.transport.rehearsal import Rehearsals
from versioned_storage.origin.transport.template import split

DONE = b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>'
OK = Answer(200, DONE, {"ETag": '"0"', "Content-Type": "application/xml"})
BODY = b"body{}"


@pytest.fixture
def echo():
    """A server that says yes to everything and keeps what it was asked; good as a proxy too."""
    with front(answer=lambda _: OK) as standing:
        yield standing


@pytest.fixture(scope="module")
def shared():
    """A server as `echo` and a client of it, because making one takes longer than most tests."""
    with front(answer=lambda _: OK) as standing:
        yield standing, client_of(options(standing.url, "bucket"))


@pytest.fixture
def plain(shared):
    """The shared server, with nothing asked of it yet, and its client."""
    shared[0].requests.clear()
    return shared


def put_both_ways(echo, client, bucket="bucket", key="static/b1/a.css", **parameters):
    """What a server gets from boto3 and from us for the same object."""
    given = put_parameters(bucket, key, BODY, **parameters)
    assert Rehearsals(client).template("PutObject", given) is not None
    assert echo.requests == []
    client.put_object(**given, Body=BODY)
    Transport(client, bucket, 1).put(key, BODY, len(BODY), sha256_of(BODY), given)
    boto3s, ours = echo.requests
    return boto3s, ours


def proxied(echo, **more):
    """An origin at a host of which only the proxy knows."""
    given = options("http://s3.example.test", "bucket", proxies={"http": echo.url})
    # django-storages takes proxies, addressing_style and signature_version only without one.
    del given["client_config"]
    return {**given, **more}


def at_amazon(echo, **more):
    """An origin at AWS itself, which only the proxy can reach."""
    given = proxied(echo, use_ssl=False, **more)
    del given["endpoint_url"]
    return given


def configured(echo, **more):
    """The proxy in a client configuration of the site's own."""
    return Config(proxies={"http": echo.url}, **more)


def with_password(url):
    return {"http": url.replace("//", "//user:word@")}


CONNECTIONS = {
    "plain http": lambda echo: options(echo.url, "bucket"),
    "a session token": lambda echo: options(echo.url, "bucket", security_token="token"),
    "a path in the endpoint": lambda echo: options(f"{echo.url}/store/s3", "bucket"),
    "a proxy": proxied,
    "a proxy with a password": lambda echo: proxied(echo, proxies=with_password(echo.url)),
    "virtual addressing": lambda echo: proxied(echo, addressing_style="virtual"),
    "path addressing": lambda echo: proxied(echo, addressing_style="path"),
    "signature version s3v4": lambda echo: proxied(echo, signature_version="s3v4"),
    "AWS": at_amazon,
    "AWS in China": lambda echo: at_amazon(echo, region_name="cn-north-1"),
    "AWS GovCloud": lambda echo: at_amazon(echo, region_name="us-gov-west-1"),
    "dual stack": lambda echo: at_amazon(
        echo, client_config=configured(echo, use_dualstack_endpoint=True)
    ),
    "transfer acceleration": lambda echo: at_amazon(
        echo, client_config=configured(echo, s3={"use_accelerate_endpoint": True})
    ),
    "adaptive retries": lambda echo: proxied(
        echo, client_config=configured(echo, retries={"mode": "adaptive"})
    ),
    "legacy retries": lambda echo: proxied(
        echo, client_config=configured(echo, retries={"mode": "legacy"})
    ),
    "a user agent": lambda echo: proxied(
        echo, client_config=configured(echo, user_agent_extra="deploy/1")
    ),
    "a payload that is not signed": lambda echo: proxied(
        echo, client_config=configured(echo, s3={"payload_signing_enabled": False})
    ),
    "checksums when supported": lambda echo: proxied(
        echo, client_config=configured(echo, request_checksum_calculation="when_supported")
    ),
}


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_server_gets_what_it_would_get_from_boto3_over(echo, connection):
    boto3s, ours = put_both_ways(echo, client_of(CONNECTIONS[connection](echo)))
    assert on_the_wire(ours) == on_the_wire(boto3s)
    assert signed_rightly(boto3s)
    assert signed_rightly(ours)


PARAMETERS = {
    "nothing more": {},
    "metadata": {"Metadata": {"team": "web", "Of-Whom": "a  b", "per.cent": "100%s %(Key)s"}},
    "SSE-S3": {"ServerSideEncryption": "AES256"},
    "SSE-KMS": {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "arn:aws:kms:eu-west-1:111122223333:key/0",
        "SSEKMSEncryptionContext": "e30=",
        "BucketKeyEnabled": True,
    },
    "SSE-C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    "an ACL": {"ACL": "bucket-owner-full-control"},
    "grants": {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'},
    "a storage class": {"StorageClass": "STANDARD_IA"},
    "tags": {"Tagging": "team=web&kind=a%20b"},
    "a requester who pays": {"RequestPayer": "requester"},
    "an expected owner": {"ExpectedBucketOwner": "111122223333"},
    "an expiry": {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)},
    "a lock": {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime(2030, 1, 1, tzinfo=timezone.utc),
        "ObjectLockLegalHoldStatus": "ON",
    },
    "other headers": {
        "ContentDisposition": 'attachment; filename="é.css"',
        "ContentEncoding": "br",
        "ContentLanguage": "en",
        "WebsiteRedirectLocation": "/a",
    },
    "where nothing is": {"IfNoneMatch": "*"},
    "in the place of": {"IfMatch": '"0"'},
}


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_server_gets_what_it_would_get_from_boto3_with(plain, parameters):
    boto3s, ours = put_both_ways(*plain, **PARAMETERS[parameters])
    assert on_the_wire(ours) == on_the_wire(boto3s)
    # This http.server reads headers as Latin-1.
    assert parameters == "other headers" or signed_rightly(ours)


@pytest.mark.parametrize(
    "key",
    ["a b.css", "naïve.css", "a+b%20c.css", "日本.css", "a//b", "%(Key)s", "~a_b-c.d", "a?b#c"],
)
def test_a_server_gets_what_it_would_get_from_boto3_for_the_key(plain, key):
    boto3s, ours = put_both_ways(*plain, key=key)
    assert on_the_wire(ours) == on_the_wire(boto3s)
    assert signed_rightly(ours)


def test_an_access_point_is_a_bucket_too(echo):
    arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/static"
    boto3s, ours = put_both_ways(echo, client_of(at_amazon(echo)), bucket=arn)
    assert on_the_wire(ours) == on_the_wire(boto3s)
    assert ours.headers["Host"] == "static-111122223333.s3-accesspoint.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("source", ["static/b1/a.css", "日本 +.css"])
def test_a_server_gets_the_copy_that_it_would_get_from_boto3(plain, source):
    echo, client = plain
    given = {
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
        "ContentType": "text/css",
        "Metadata": {"sha256": sha256_of(BODY)},
    }
    client.copy_object(
        **given,
        Bucket="bucket",
        Key="static/b2/a.css",
        CopySource={"Bucket": "bucket", "Key": source},
        CopySourceIfMatch='"1"',
    )
    Transport(client, "bucket", 1).copy("static/b2/a.css", source, '"1"', given)
    boto3s, ours = echo.requests
    assert on_the_wire(ours) == on_the_wire(boto3s)
    assert signed_rightly(ours)


# What a rehearsal is


def template(client, **parameters):
    return Rehearsals(client).template(
        "PutObject", put_parameters("bucket", "a", BODY, **parameters)
    )


def test_nothing_is_sent_to_learn(plain):
    echo, client = plain
    assert template(client) is not None
    assert echo.requests == []


def test_a_kind_is_learnt_once_for_all_its_objects(echo):
    client, made = client_of(options(echo.url, "bucket")), []
    rehearsals = Rehearsals(client)
    client.meta.events.register("before-send.s3.PutObject", lambda **_: made.append(1))
    for key, body in (("a", b"a"), ("b", b"bb"), ("c", b"")):
        rehearsals.template("PutObject", put_parameters("bucket", key, body))
    assert len(made) == 2
    rehearsals.template("PutObject", put_parameters("bucket", "a", b"a", ContentEncoding="br"))
    assert len(made) == 4


def test_a_client_that_is_rehearsed_with_is_used_as_ever(plain):
    echo, client = plain
    assert template(client) is not None
    client.put_object(Bucket="bucket", Key="a", Body=b"a")
    assert echo.asked("PUT") == ["/bucket/a"]


def test_credentials_that_are_renewed_are_those_of_the_moment():
    now = [datetime.now(timezone.utc)]

    def renew():
        until = (now[0] + timedelta(hours=1)).isoformat()
        return {"access_key": "AKIDB", "secret_key": "b", "token": "token-b", "expiry_time": until}

    session = get_session()
    session._credentials = RefreshableCredentials(
        "AKIDA", "a", "token-a", now[0] + timedelta(hours=1), renew, "test", lambda: now[0]
    )
    own = boto3.Session(botocore_session=session)
    client = own.client("s3", region_name="eu-west-1", config=ONCE)
    given = put_parameters("bucket", "a", BODY)
    learnt = Rehearsals(client).template("PutObject", given)
    signed = []
    for _ in range(2):
        request = learnt.request(
            split(given)[1], BODY, sha256=sha256_of(BODY), size=len(BODY), invocation="0"
        )
        key = request.headers["Authorization"].decode().split("Credential=")[1].split("/")[0]
        signed.append((key, request.headers["X-Amz-Security-Token"]))
        now[0] += timedelta(minutes=55)
    assert signed == [("AKIDA", b"token-a"), ("AKIDB", b"token-b")]


# What only boto3 can do


@pytest.mark.parametrize(
    "config", [Config(signature_version="s3"), Config(signature_version=UNSIGNED)]
)
def test_another_signature_is_left_to_boto3(echo, config):
    client = client_of(options(echo.url, "bucket", client_config=config.merge(ONCE)))
    assert template(client) is None
    Transport(client, "bucket", 1).put("a", BODY, len(BODY), sha256_of(BODY), {})
    assert echo.asked("PUT") == ["/bucket/a"]
    assert not echo.requests[0].headers.get("Authorization", "").startswith("AWS4")


def test_a_handler_that_looks_at_the_object_leaves_it_to_boto3(echo):
    client = client_of(options(echo.url, "bucket"))

    def see(request, **_):
        request.headers["x-amz-meta-of"] = request.url[-5:]

    client.meta.events.register("before-sign.s3.PutObject", see)
    assert template(client) is None
    Transport(client, "bucket", 1).put("abcde", BODY, len(BODY), sha256_of(BODY), {})
    assert echo.requests[0].headers["x-amz-meta-of"] == "abcde"


def test_a_handler_that_does_the_same_for_all_is_learnt(echo):
    client = client_of(options(echo.url, "bucket"))

    def say(request, **_):
        request.headers["x-amz-meta-by"] = "deploy"

    client.meta.events.register("before-sign.s3.PutObject", say)
    boto3s, ours = put_both_ways(echo, client)
    assert ours.headers["x-amz-meta-by"] == "deploy"
    assert on_the_wire(ours) == on_the_wire(boto3s)


def test_s3_express_with_its_own_sessions_is_left_to_boto3(echo):
    session = (
        b"<CreateSessionResult><Credentials><SessionToken>t</SessionToken><SecretAccessKey>s"
        b"</SecretAccessKey><AccessKeyId>a</AccessKeyId><Expiration>2040-01-01T00:00:00Z"
        b"</Expiration></Credentials></CreateSessionResult>"
    )
    echo.answer = lambda request: Answer(200, session) if request.method == "GET" else OK
    bucket = "static--euw1-az1--x-s3"
    client = client_of({**at_amazon(echo), "bucket_name": bucket})
    Transport(client, bucket, 1).put("a", BODY, len(BODY), sha256_of(BODY), {})
    assert echo.asked("PUT") == ["/a"]
    assert echo.requests[-1].headers["x-amz-s3session-token"] == "t"


def test_metadata_that_is_not_ascii_is_refused_by_boto3(plain):
    with pytest.raises(ParamValidationError, match="Non ascii characters"):
        Transport(plain[1], "bucket", 1).put(
            "a", BODY, len(BODY), sha256_of(BODY), {"Metadata": {"of": "é"}}
        )


def test_a_parameter_that_cannot_be_is_refused_by_boto3(plain):
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        template(plain[1], ContentTyp="text/css")


def test_no_credentials_are_an_error_before_anything_is_sent(echo):
    client = client_of({"bucket_name": "bucket", "endpoint_url": echo.url, "client_config": ONCE})
    with pytest.raises(NoCredentialsError):
        template(client)
