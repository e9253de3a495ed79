"""PUT and copy by each engine, and the retries of all requests."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import count

import pytest
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials

from tests.origin.wire import authority, raw, signed_rightly, tunnel
from tests.s3 import HANGS_UP, OK, Answer, front, nobody, options, refusal
from versioned_storage.origin import engine as module
from versioned_storage.origin.connection import Connection
from versioned_storage.origin.engine import best_engine, boto_engine
from versioned_storage.origin.objects import IN_MEMORY, UploadBody
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.s3_errors import OriginError

COPIED = Answer(200, b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>')
SLOW_DOWN = refusal(503, "SlowDown", "Please reduce your request rate.")
INTERNAL = refusal(200, "InternalError", "We encountered an internal error.")
BODY = b"body{}"
LARGE = b"x" * (IN_MEMORY + 1)


def boto3_only(connection):
    return boto_engine(connection.client)


@pytest.fixture(autouse=True, params=["awscrt", "boto3"])
def engine(request, monkeypatch):
    """The name of the engine; both have to pass every test."""
    if request.param == "boto3":
        monkeypatch.setattr("versioned_storage.origin.s3.best_engine", boto3_only)
    return request.param


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds between the attempts; nobody waits for them."""
    seconds = []
    monkeypatch.setattr(module.time, "sleep", seconds.append)
    return seconds


def patient(url, **more):
    """An origin option with the default of five attempts."""
    option = options(url, "bucket", **more)
    if "client_config" not in more:
        del option["client_config"]
    return option


def origin_at(url, connections=1, **more):
    return S3Origin(patient(url, **more), connections=connections)


def body_of(tmp_path, content=BODY):
    file = tmp_path / hashlib.sha256(content).hexdigest()
    file.write_bytes(content)
    return UploadBody.of(file)


@pytest.fixture
def put(tmp_path):
    def put(origin, content=BODY, key="a.css", **headers):
        return origin.put_file(key, body_of(tmp_path, content), **headers)

    return put


def copy(origin, **more):
    return origin.copy("b1/a.css", "b2/a.css", etag='"1"', sha256="00", **more)


def first(*answers):
    """Give these answers first, and the last of them from then on."""
    remaining = list(answers)
    return lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]


# Requests


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY])
def test_the_whole_body_arrives_with_its_sha256_and_a_right_signature(put, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with front(answer=lambda _: OK) as s3:
        assert put(origin_at(s3.url), body) == '"0"'
    (request,) = s3.requests
    assert request.body == body
    assert request.headers["X-Amz-Content-SHA256"] == hashlib.sha256(body).hexdigest()
    assert signed_rightly(request)


@pytest.mark.parametrize(
    "key", ["a b.css", "naïve.css", "a+b%20c.css", "日本.css", "a//b/../c.css", "a~b*'(c)!.css"]
)
def test_any_key_is_signed_rightly(put, key):
    with front(answer=lambda _: OK) as s3:
        put(origin_at(s3.url), key=key)
    assert signed_rightly(s3.requests[0])


PARAMETERS = {
    "nothing more": {},
    "metadata": {"Metadata": {"team": "web", "Of-Whom": "a  b", "per.cent": "100%s"}},
    "SSE-S3": {"ServerSideEncryption": "AES256"},
    "SSE-KMS": {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "arn:aws:kms:eu-west-1:111122223333:key/0",
        "BucketKeyEnabled": True,
    },
    "SSE-C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    "an ACL": {"ACL": "bucket-owner-full-control"},
    "tags": {"Tagging": "team=web&of=a%20b"},
    "a storage class": {"StorageClass": "INTELLIGENT_TIERING"},
    "a date": {"Expires": datetime(2036, 1, 1, tzinfo=timezone.utc)},
}
SENT_BY_ONE = {
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "expect",
    "user-agent",
    "x-amz-date",
    "x-amz-sdk-checksum-algorithm",
}


@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS)
def test_both_engines_send_the_same(put, monkeypatch, parameters):
    sent = []
    with front(answer=lambda request: OK if request.body else COPIED) as s3:
        for make in (best_engine, boto3_only):
            monkeypatch.setattr("versioned_storage.origin.s3.best_engine", make)
            origin = origin_at(s3.url, object_parameters=parameters)
            put(origin, ContentType="text/css; charset=utf-8")
            copy(origin, ContentEncoding="br")
            sent.append([request_sent(request) for request in s3.requests])
            s3.requests.clear()
    assert sent[0] == sent[1]


def request_sent(request):
    headers = {name.lower(): value for name, value in request.headers.items()}
    kept = {name: value for name, value in headers.items() if name not in SENT_BY_ONE}
    return request.method, request.path, request.body, kept


ADDRESSES = {
    "AWS": ({}, "bucket.s3.eu-west-1.amazonaws.com"),
    "AWS in China": ({"region_name": "cn-north-1"}, "bucket.s3.cn-north-1.amazonaws.com.cn"),
    "path addressing": ({"addressing_style": "path"}, "s3.eu-west-1.amazonaws.com/bucket"),
    "dual stack": (
        {"client_config": Config(use_dualstack_endpoint=True)},
        "bucket.s3.dualstack.eu-west-1.amazonaws.com",
    ),
    "transfer acceleration": (
        {"client_config": Config(s3={"use_accelerate_endpoint": True})},
        "bucket.s3-accelerate.amazonaws.com",
    ),
    "an endpoint with a path": (
        {"endpoint_url": "https://s3.example.com/store"},
        "s3.example.com/store/bucket",
    ),
}


@pytest.mark.parametrize(("option", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_address_is_boto3s_own(option, address):
    crt_engine = pytest.importorskip("versioned_storage.origin.crt_engine")
    at_amazon = patient("", **option)
    if not option.get("endpoint_url"):
        del at_amazon["endpoint_url"]
    connection = Connection(at_amazon, connections=1, timeout=None)
    url, region = crt_engine._address(connection.client, "bucket")
    assert (url, region) == (f"https://{address}/", option.get("region_name", "eu-west-1"))


def test_a_copy_names_its_source_and_its_etag():
    with front(answer=lambda _: COPIED) as s3:
        assert copy(origin_at(s3.url)).etag == '"0"'
    headers = s3.requests[0].headers
    assert headers["x-amz-copy-source"] == "bucket/b1/a.css"
    assert headers["x-amz-copy-source-if-match"] == '"1"'
    assert headers["x-amz-metadata-directive"] == "REPLACE"


def test_the_credentials_are_those_of_the_moment(put, monkeypatch):
    """A role's are renewed while a build is published."""
    numbers = count()

    def refresh():
        expiry = datetime.now(timezone.utc) + timedelta(seconds=1)
        name = next(numbers)
        return {
            "access_key": f"AKID{name}",
            "secret_key": "secret",
            "token": f"token-{name}",
            "expiry_time": expiry.isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(refresh(), refresh, "test")
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda *_: credentials)
    option = {"bucket_name": "bucket", "region_name": "eu-west-1"}
    with front(answer=lambda _: OK) as s3:
        origin = S3Origin({**option, "endpoint_url": s3.url})
        put(origin)
        put(origin)
    tokens = [request.headers["x-amz-security-token"] for request in s3.requests]
    assert len(set(tokens)) == 2


def test_the_credentials_are_looked_up_once_for_a_request_and_by_boto3_once_more(
    put, monkeypatch, engine
):
    lookups = []
    frozen = Credentials.get_frozen_credentials

    def look_up(credentials):
        lookups.append(credentials)
        return frozen(credentials)

    monkeypatch.setattr(Credentials, "get_frozen_credentials", look_up)
    with front(answer=lambda _: OK) as s3:
        origin = S3Origin(options(s3.url, "bucket"))
        put(origin)
        del lookups[:]
        put(origin)
    assert len(lookups) == {"awscrt": 1, "boto3": 2}[engine]


def test_connections_are_used_again(put):
    with front() as s3:
        connections = set()
        # The server has a thread for each connection.
        s3.answer = lambda _: connections.add(threading.get_ident()) or OK
        origin = origin_at(s3.url)
        for number in range(20):
            put(origin, key=str(number))
    assert len(connections) == 1


def test_no_more_requests_run_than_there_are_connections(put):
    with front() as s3:
        running, most = [], []

        def passed_on(request, target):
            running.append(request)
            most.append(len(running))
            threading.Event().wait(0.005)
            running.remove(request)
            return OK

        s3.passed_on = passed_on
        origin = origin_at(s3.url, 4)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: put(origin, key=str(number)), range(64)))
    assert 1 < max(most) <= 4


# TLS and proxies


def test_the_certificate_of_a_ca_that_the_site_names_is_trusted(put, tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        put(origin_at(s3.url, verify=str(tmp_path / "ca.pem")))
    assert s3.requests[0].body == BODY


def test_the_certificate_of_a_ca_that_the_environment_names_is_trusted(put, tmp_path, monkeypatch):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        put(origin_at(s3.url))
    assert s3.requests[0].body == BODY


def test_a_certificate_of_an_unknown_ca_is_refused(put):
    with authority() as (context, _), front(answer=lambda _: OK, tls=context) as s3:
        with pytest.raises(OriginError) as refused:
            put(origin_at(s3.url, client_config=Config(connect_timeout=0.5)))
    assert refused.value.code == "SSLError"
    assert s3.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_need_not_be_verified(put):
    with authority() as (context, _), front(answer=lambda _: OK, tls=context) as s3:
        put(origin_at(s3.url, verify=False))
    assert s3.requests[0].body == BODY


def test_the_client_certificate_of_the_configuration_is_shown(put, tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        context.verify_mode = ssl.CERT_REQUIRED
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        ca.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(
            tmp_path / "client.pem"
        )
        config = Config(client_cert=str(tmp_path / "client.pem"))
        put(origin_at(s3.url, verify=str(tmp_path / "ca.pem"), client_config=config))
    assert s3.requests[0].body == BODY


def test_tls_goes_through_a_proxy_in_a_tunnel(put, tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        with tunnel() as proxy:
            proxies = {"https": f"http://user:word@{proxy.address}"}
            put(origin_at(s3.url, verify=str(tmp_path / "ca.pem"), proxies=proxies))
    assert [request.body for request in s3.requests] == [BODY]
    assert proxy.asked[0][0].startswith(f"CONNECT {s3.url.removeprefix('https://')} ")


def test_a_proxy_of_the_environment_is_used(put, monkeypatch):
    with front(answer=lambda _: OK) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        put(origin_at("http://s3.example.test"))
    assert proxy.requests[0].body == BODY


# Retries


@pytest.mark.parametrize(
    "failure",
    [
        SLOW_DOWN,
        refusal(500, "InternalError", "We encountered an internal error."),
        refusal(502, "BadGateway", ""),
        refusal(504, "GatewayTimeout", ""),
        refusal(429, "TooManyRequests", ""),
        refusal(400, "RequestTimeout", "Your socket connection was not read from."),
        Answer(503, b"<html>busy"),
        Answer(200),
        Answer(200, b"", {"ETag": '"0'}),
        HANGS_UP,
    ],
    ids=lambda answer: f"{answer.status} {answer.body[-60:-40]!r}",
)
def test_after_a_passing_failure_the_whole_body_is_sent_again(put, failure, waits):
    with front(answer=first(failure, failure, OK)) as s3:
        assert put(origin_at(s3.url), LARGE) == '"0"'
    assert [request.body for request in s3.requests] == [LARGE] * 3
    assert len(waits) == 2


@pytest.mark.parametrize(
    "cut_off",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nETa",
        b'HTTP/1.1 200 OK\r\nETag: "01',
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 500\r\n\r\n<Error><Code>Slo",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
def test_after_a_response_that_is_cut_off_the_request_is_repeated(put, cut_off):
    complete = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
    with raw(cut_off, complete) as s3:
        assert put(origin_at(s3.url)) == '"0"'
    assert s3.bodies == [BODY, BODY]


def test_a_connection_that_the_server_has_closed_is_not_used(put, waits):
    complete = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
    with raw(complete) as s3:
        origin = origin_at(s3.url)
        for _ in range(5):
            assert put(origin) == '"0"'
            # Until it is known here.
            threading.Event().wait(0.05)
    assert s3.bodies == [BODY] * 5
    assert waits == []


def test_a_server_that_does_not_respond_in_time_is_asked_again(put):
    late = threading.Event()

    def respond(*_):
        if len(s3.requests) == 1:
            late.wait(5)
        return OK

    config = Config(read_timeout=0.2, retries={"total_max_attempts": 2})
    with front() as s3:
        s3.passed_on = respond
        put(origin_at(s3.url, client_config=config))
        late.set()
    assert len(s3.requests) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadDigest"),
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (404, "NoSuchBucket"),
    ],
)
def test_a_refusal_is_not_repeated(put, status, code):
    with front(answer=lambda _: refusal(status, code, "No.")) as s3:
        with pytest.raises(OriginError, match=f"failed: {status} {code}, No. ") as refused:
            put(origin_at(s3.url))
    assert len(s3.requests) == 1
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
)
def test_a_condition_that_does_not_hold_is_no_error(put, status, code):
    with front(answer=lambda _: refusal(status, code, "No.")) as s3:
        assert put(origin_at(s3.url)) is None
    assert len(s3.requests) == 1


def test_a_refusal_before_the_body_was_read_is_a_response(put):
    refused = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw(refused, reads_body=False) as s3:
        assert put(origin_at(s3.url), b"x" * 20_000_000) is None
    assert len(s3.bodies) == 1


def test_after_five_attempts_the_error_says_so(put, waits):
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(OriginError) as failed:
        put(origin_at(s3.url))
    assert len(s3.requests) == failed.value.attempts == 5
    assert "s3://bucket/a.css failed after 5 attempts: 503 SlowDown" in str(failed.value)
    assert len(waits) == 4


def test_attempts_without_a_response_are_counted_too(put):
    with nobody() as url, pytest.raises(OriginError) as failed:
        put(origin_at(url))
    assert (failed.value.attempts, failed.value.code) == (5, "EndpointConnectionError")
    assert "s3://bucket/a.css failed after 5 attempts: EndpointConnectionError" in str(failed.value)


def test_a_response_that_is_never_complete_says_what_is_missing(put):
    with front(answer=lambda _: Answer(200)) as s3, pytest.raises(OriginError) as failed:
        put(origin_at(s3.url))
    assert "The response ended too early: PutObject without an ETag" in str(failed.value)
    assert failed.value.attempts == 5


def test_the_site_says_how_often_to_try(put):
    config = Config(retries={"max_attempts": 2})
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(OriginError):
        put(origin_at(s3.url, client_config=config))
    assert len(s3.requests) == 3


def test_waits_are_random_and_grow_up_to_twenty_seconds(put, monkeypatch):
    longest = []
    monkeypatch.setattr(module.random, "uniform", lambda low, high: longest.append(high) or low)
    config = Config(retries={"total_max_attempts": 9})
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(OriginError):
        put(origin_at(s3.url, client_config=config))
    assert longest == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_the_wait_that_a_server_asks_for_is_kept(put, waits):
    busy = Answer(503, SLOW_DOWN.body, {"Retry-After": "30"})
    with front(answer=first(busy, OK)) as s3:
        put(origin_at(s3.url))
    assert waits == [30.0]


def test_each_attempt_is_announced_before_it_is_made(tmp_path):
    events = []
    respond = first(SLOW_DOWN, SLOW_DOWN, OK, SLOW_DOWN, COPIED)
    with front(answer=lambda request: events.append(request.method) or respond(request)) as s3:
        origin = origin_at(s3.url)
        origin.put_file("a", body_of(tmp_path), before_attempt=lambda: events.append("attempt"))
        copy(origin, before_attempt=lambda: events.append("attempt"))
    assert events == ["attempt", "PUT"] * 5


def test_an_attempt_that_must_not_be_made_is_not_made(tmp_path):
    class LeaseLost(Exception):
        pass

    def lose_the_lease():
        if s3.requests:
            raise LeaseLost

    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(LeaseLost):
        origin_at(s3.url).put_file("a", body_of(tmp_path), before_attempt=lose_the_lease)
    assert len(s3.requests) == 1


# Copies


@pytest.mark.parametrize(
    "failure",
    [
        INTERNAL,
        SLOW_DOWN,
        Answer(200),
        Answer(200, b"   <CopyObjectResult><ETag>&quot;0"),
        Answer(200, b"<CopyObjectResult></CopyObjectResult>"),
    ],
    ids=["an error inside 200", "503", "nothing", "cut off", "no ETag"],
)
def test_a_copy_that_failed_is_tried_again_whatever_its_status(failure):
    with front(answer=first(failure, COPIED)) as s3:
        assert copy(origin_at(s3.url)).etag == '"0"'
    assert len(s3.requests) == 2


def test_an_error_inside_200_is_an_error():
    with front(answer=lambda _: INTERNAL) as s3, pytest.raises(OriginError) as failed:
        copy(origin_at(s3.url))
    assert (failed.value.code, failed.value.attempts) == ("InternalError", 5)


@pytest.mark.parametrize("code", ["NoSuchKey", "PreconditionFailed"])
def test_a_copy_whose_source_is_another_one_is_refused_once(code):
    status = 404 if code == "NoSuchKey" else 412
    with front(answer=lambda _: refusal(status, code, "Gone.")) as s3:
        assert copy(origin_at(s3.url)) is None
    assert len(s3.requests) == 1


# Busy servers


def test_all_objects_get_to_a_server_that_takes_few_at_a_time(put):
    lock, running, refused, stored = threading.Lock(), [], [], set()

    def passed_on(request, target):
        with lock:
            running.append(request)
            busy = len(running) > 3
        threading.Event().wait(0.002)
        with lock:
            running.remove(request)
        refused.append(request) if busy else stored.add(request.path)
        return SLOW_DOWN if busy else OK

    config = Config(retries={"total_max_attempts": 50})
    with front() as s3:
        s3.passed_on = passed_on
        origin = origin_at(s3.url, 32, client_config=config)
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda number: put(origin, key=str(number)), range(100)))
    assert stored == {f"/bucket/{number}" for number in range(100)}
    assert refused


def test_slow_down_lowers_the_concurrency_and_success_raises_it_again(put):
    with front(answer=lambda _: SLOW_DOWN if len(s3.requests) <= 3 else OK) as s3:
        origin = origin_at(s3.url, 8)
        put(origin)
        lowered = origin._retries.limiter.slots
        for number in range(100):
            put(origin, key=str(number))
    assert (lowered, origin._retries.limiter.slots) == (2, 8)


# Another region


def test_a_bucket_in_another_region_is_found(put, engine, monkeypatch):
    """boto3 follows S3 to the region; AWS's runtime leaves all further requests to it."""
    moved = Answer(
        301,
        refusal(301, "PermanentRedirect", "Elsewhere.").body,
        {"x-amz-bucket-region": "us-east-2", "Content-Type": "application/xml"},
    )
    regions = []

    def answer(request):
        region = request.headers["Authorization"].split("/")[2] if request.method == "PUT" else ""
        regions.append(region)
        return OK if region == "us-east-2" else moved

    with front(answer=answer) as s3:
        origin = origin_at(s3.url)
        assert [put(origin, key=key) for key in "abc"] == ['"0"'] * 3
    if engine == "awscrt":
        assert regions.count("eu-west-1") == 2
