# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.origin.transport.wire import authority, client_of, raw, sha256_of, tunnel
from tests.s3 import HANGS_UP, Answer, front, nobody, options, refusal
from versioned_storage.origin import transport as module
from versioned_storage.origin.body import IN_MEMORY, Body
from versioned_storage.origin.problems import OriginError
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.transport import Transport

OK = Answer(200, b"", {"ETag": '"0"'})
COPIED = Answer(200, b'<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>')
SLOW_DOWN = refusal(503, "SlowDown", "Please reduce your request rate.")
INTERNAL = refusal(200, "InternalError", "We encountered an internal error.")
BODY = b"body{}"


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that were to be waited; nobody waits for them."""
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    return waited


def patient(url, **more):
    """An origin that tries five times, as it does by default."""
    given = options(url, "bucket", **more)
    given.setdefault("region_name", "eu-west-1")
    del given["client_config"]
    return {**given, **more}


def transport(url, connections=1, **more):
    return Transport(client_of(patient(url, **more), connections), "bucket", connections)


def put(to, body=BODY, key="a.css", **parameters):
    size = len(body)
    file = BytesIO(body) if size > IN_MEMORY else body
    return to.put(key, file, size, sha256_of(body), parameters)


def copy(to):
    return to.copy("b2/a.css", "b1/a.css", '"1"', {"MetadataDirective": "REPLACE"})


def first(*answers):
    """Give these answers first, and the last of them from then on."""
    remaining = list(answers)
    return lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]


# What is put


def test_the_etag_is_what_s3_says_it_is():
    with front(answer=lambda _: Answer(200, b"", {"ETag": '"abc"'})) as s3:
        assert put(transport(s3.url)) == '"abc"'


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY])
def test_the_whole_body_arrives(size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with front(answer=lambda _: OK) as s3:
        put(transport(s3.url), body)
    assert s3.requests[0].body == body
    assert s3.requests[0].headers["X-Amz-Content-SHA256"] == sha256_of(body)


def test_only_a_large_body_asks_whether_to_go_on():
    """As boto3 does for all; for a small one it costs more than it can save."""
    with front(answer=lambda _: OK) as s3:
        to = transport(s3.url)
        put(to)
        put(to, b"x" * (IN_MEMORY + 1))
    assert ["Expect" in request.headers for request in s3.requests] == [False, True]


def test_connections_are_used_again():
    with front(answer=lambda _: OK) as s3:
        to = transport(s3.url)
        connections = set()
        s3.answer = lambda _: connections.add(threading.get_ident()) or OK
        for number in range(20):
            put(to, key=str(number))
    # The server has a thread for each connection.
    assert len(connections) == 1


def test_no_more_requests_are_under_way_than_there_are_connections():
    with front() as s3:
        under_way, most = [], []

        def passed_on(request, target):
            under_way.append(request)
            most.append(len(under_way))
            threading.Event().wait(0.005)
            under_way.remove(request)
            return OK

        s3.passed_on = passed_on
        to = transport(s3.url, 4)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: put(to, key=str(number)), range(64)))
    assert 1 < max(most) <= 4


# Over TLS and through proxies


def test_a_server_with_a_certificate_of_a_ca_that_the_site_names(tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        put(transport(s3.url, verify=str(tmp_path / "ca.pem")))
    assert s3.requests[0].body == BODY


def test_a_ca_that_the_environment_names(tmp_path, monkeypatch):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        put(transport(s3.url))
    assert s3.requests[0].body == BODY


def test_a_certificate_of_a_ca_that_nobody_named_is_refused():
    with authority() as (context, _), front(answer=lambda _: OK, tls=context) as s3:
        with pytest.raises(BotoCoreError, match="CERTIFICATE_VERIFY_FAILED"):
            put(transport(s3.url))
    assert s3.requests == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_that_nobody_wants_to_be_verified():
    with authority() as (context, _), front(answer=lambda _: OK, tls=context) as s3:
        put(transport(s3.url, verify=False))
    assert s3.requests[0].body == BODY


def test_a_client_shows_the_certificate_of_its_configuration(tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        context.verify_mode = ssl.CERT_REQUIRED
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        ca.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(
            tmp_path / "client.pem"
        )
        config = Config(client_cert=str(tmp_path / "client.pem"))
        put(transport(s3.url, verify=str(tmp_path / "ca.pem"), client_config=config))
    assert s3.requests[0].body == BODY


def test_tls_goes_through_a_proxy_in_a_tunnel(tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        with tunnel() as proxy:
            proxies = {"https": f"http://user:word@{proxy.address}"}
            to = transport(s3.url, verify=str(tmp_path / "ca.pem"), proxies=proxies)
            put(to)
            put(to)
    assert [request.body for request in s3.requests] == [BODY, BODY]
    (asked,) = proxy.asked
    assert asked[0].startswith(f"CONNECT {s3.url.removeprefix('https://')} ")
    assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in asked


# What is tried again


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
def test_after_a_failure_that_passes_the_whole_body_is_sent_again(failure, waits):
    body = b"x" * (IN_MEMORY + 1)
    with front(answer=first(failure, failure, OK)) as s3:
        assert put(transport(s3.url), body) == '"0"'
    assert [request.body for request in s3.requests] == [body] * 3
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
def test_an_answer_that_is_cut_off_is_none(cut_off):
    whole = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
    with raw(cut_off, whole) as s3:
        assert put(transport(s3.url)) == '"0"'
    assert s3.bodies == [BODY, BODY]


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(waits):
    whole = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
    with raw(whole) as s3:
        to = transport(s3.url)
        for _ in range(5):
            assert put(to) == '"0"'
            # Until it is known here.
            threading.Event().wait(0.05)
    assert s3.bodies == [BODY] * 5
    assert waits == []


def test_a_server_that_does_not_answer_in_time_is_asked_again():
    late = threading.Event()

    def answer(_):
        if len(s3.requests) == 1:
            late.wait(5)
        return OK

    config = Config(read_timeout=0.2, retries={"total_max_attempts": 2})
    with front() as s3:
        s3.passed_on = lambda *_: answer(_)
        put(transport(s3.url, client_config=config))
        late.set()
    assert len(s3.requests) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadDigest"),
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (404, "NoSuchBucket"),
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
    ],
)
def test_a_refusal_is_what_boto3_makes_of_it_and_not_asked_for_twice(status, code):
    with front(answer=lambda _: refusal(status, code, "No.")) as s3:
        client = client_of(patient(s3.url))
        with pytest.raises(ClientError) as ours:
            put(Transport(client, "bucket", 1))
        assert len(s3.requests) == 1
        with pytest.raises(ClientError) as boto3s:
            client.put_object(Bucket="bucket", Key="a.css", Body=BODY)
    assert str(ours.value) == str(boto3s.value)
    for error in (ours.value, boto3s.value):
        error.response["ResponseMetadata"]["HTTPHeaders"].pop("date")
    assert ours.value.response == boto3s.value.response


def test_a_refusal_is_the_exception_that_boto3_would_raise():
    with front(answer=lambda _: refusal(404, "NoSuchBucket", "No.")) as s3:
        client = client_of(patient(s3.url))
        with pytest.raises(client.exceptions.NoSuchBucket):
            put(Transport(client, "bucket", 1))


def test_after_five_attempts_it_is_given_up_and_counted(tmp_path, waits):
    (tmp_path / "a.css").write_bytes(BODY)
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(OriginError) as failed:
        S3Origin(patient(s3.url)).put_file("a.css", Body.of(tmp_path / "a.css"))
    assert len(s3.requests) == failed.value.attempts == 5
    assert "s3://bucket/a.css failed after 5 attempts: 503 SlowDown" in str(failed.value)
    # "attempt=1; max=5" with a newer botocore.
    counted = [request.headers["amz-sdk-request"].split(";")[0] for request in s3.requests]
    assert counted == [f"attempt={attempt}" for attempt in range(1, 6)]
    assert len({request.headers["amz-sdk-invocation-id"] for request in s3.requests}) == 1
    assert len(waits) == 4


def test_without_an_answer_the_attempts_are_counted_too(tmp_path):
    (tmp_path / "a.css").write_bytes(BODY)
    with nobody() as url, pytest.raises(OriginError) as failed:
        S3Origin(patient(url)).put_file("a.css", Body.of(tmp_path / "a.css"))
    assert (failed.value.attempts, failed.value.code) == (5, "EndpointConnectionError")
    assert "s3://bucket/a.css failed after 5 attempts: EndpointConnectionError" in str(failed.value)


def test_an_answer_that_is_never_whole_says_what_is_missing():
    with front(answer=lambda _: Answer(200)) as s3, pytest.raises(BotoCoreError) as failed:
        put(transport(s3.url))
    assert str(failed.value) == "The answer ended too early: status 200, no ETag"
    assert failed.value.kwargs["attempts"] == 5


def test_the_site_says_how_often_to_try():
    config = Config(retries={"max_attempts": 2})
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(ClientError):
        put(transport(s3.url, client_config=config))
    assert len(s3.requests) == 3


def test_waits_are_random_and_grow_up_to_twenty_seconds(waits, monkeypatch):
    longest = []
    monkeypatch.setattr(module.random, "uniform", lambda low, high: longest.append(high) or low)
    config = Config(retries={"total_max_attempts": 9})
    with front(answer=lambda _: SLOW_DOWN) as s3, pytest.raises(ClientError):
        put(transport(s3.url, client_config=config))
    assert longest == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_a_server_that_says_how_long_to_wait_is_obeyed(waits):
    busy = Answer(503, SLOW_DOWN.body, {"Retry-After": "30"})
    with front(answer=first(busy, OK)) as s3:
        put(transport(s3.url))
    assert waits == [30.0]


# What is copied


def test_a_copy_gives_the_etag_of_the_new_object():
    with front(answer=lambda _: COPIED) as s3:
        assert copy(transport(s3.url)).etag == '"0"'
    headers = s3.requests[0].headers
    assert headers["x-amz-copy-source"] == "bucket/b1/a.css"
    assert headers["x-amz-copy-source-if-match"] == '"1"'


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
        assert copy(transport(s3.url)).etag == '"0"'
    assert len(s3.requests) == 2


def test_an_error_inside_200_is_an_error():
    with front(answer=lambda _: INTERNAL) as s3, pytest.raises(ClientError) as failed:
        copy(transport(s3.url))
    assert failed.value.response["Error"]["Code"] == "InternalError"
    assert failed.value.response["ResponseMetadata"]["RetryAttempts"] == 4


def test_a_copy_whose_source_went_away_is_refused_once():
    with front(answer=lambda _: refusal(404, "NoSuchKey", "Gone.")) as s3:
        with pytest.raises(ClientError, match="NoSuchKey"):
            copy(transport(s3.url))
    assert len(s3.requests) == 1


# Busy servers


def test_all_objects_get_to_a_server_that_takes_few_at_a_time():
    lock, under_way, refused = threading.Lock(), [], []

    def passed_on(request, target):
        with lock:
            under_way.append(request)
            busy = len(under_way) > 3
        threading.Event().wait(0.002)
        with lock:
            under_way.remove(request)
        refused.append(request) if busy else stored.add(request.path)
        return SLOW_DOWN if busy else OK

    stored = set()
    config = Config(retries={"total_max_attempts": 50}, max_pool_connections=32)
    with front() as s3:
        s3.passed_on = passed_on
        to = transport(s3.url, 32, client_config=config)
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda number: put(to, key=str(number)), range(300)))
    assert stored == {f"/bucket/{number}" for number in range(300)}
    assert refused


def test_slow_down_lowers_the_concurrency_and_success_raises_it_again():
    with front(answer=lambda _: SLOW_DOWN if len(s3.requests) <= 3 else OK) as s3:
        to = transport(s3.url, 8, client_config=Config(max_pool_connections=8))
        put(to)
        lowered = to.limiter.places
        for number in range(100):
            put(to, key=str(number))
    assert (lowered, to.limiter.places) == (2, 8)


def test_what_only_boto3_can_send_counts_too():
    config = Config(signature_version="s3", max_pool_connections=8, retries={"max_attempts": 0})
    with front(answer=first(SLOW_DOWN, OK)) as s3:
        to = transport(s3.url, 8, client_config=config)
        with pytest.raises(ClientError, match="SlowDown"):
            put(to)
        assert to.limiter.places == 4


# A bucket in another region


def test_a_bucket_in_another_region_is_found_by_boto3_once():
    hosts = []

    def answer(request):
        hosts.append((request.method, request.headers["Host"]))
        if "us-east-2" in request.headers["Host"]:
            return OK
        return Answer(
            301,
            refusal(301, "PermanentRedirect", "Elsewhere.").body,
            {"x-amz-bucket-region": "us-east-2", "Content-Type": "application/xml"},
        )

    with front(answer=answer) as proxy:
        given = patient("", use_ssl=False, proxies={"http": proxy.url})
        del given["endpoint_url"]
        to = Transport(client_of(given), "bucket", 1)
        for key in ("a", "b", "c"):
            assert put(to, key=key) == '"0"'
    puts = [host for method, host in hosts if method == "PUT"]
    assert puts.count("bucket.s3.us-east-2.amazonaws.com") == 3
    # By us, and by boto3 which then knows.
    assert puts.count("bucket.s3.eu-west-1.amazonaws.com") == 2
    assert {request.body for request in proxy.requests if request.method == "PUT"} == {BODY}
