"""The client against networks and servers that fail."""

import datetime as dt
import hashlib
import socket
import ssl
from base64 import b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.edge.edges import Edge, Reply, serving
from tests.s3 import nobody
from versioned_storage.edge.client import ATTEMPTS, START, EdgeClient, NoResponse
from versioned_storage.edge.probes import FileProbe

PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(pauses):
    return EdgeClient(timeout=5, connections=2, sleep=pauses.append)


def failing(client, url):
    with pytest.raises(NoResponse) as caught:
        client.get(url, PLAIN)
    return caught.value


def replying(tmp_path, reply, context=None):
    return serving(Edge(tmp_path, lambda *_: reply), context)


def self_signed(directory):
    """A server's TLS context that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    encoding = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_an_answer_has_the_digest_and_the_beginning_of_its_body(client, tmp_path):
    body = bytes(range(256)) * 1000
    with replying(tmp_path, Reply(200, {"x-a": "b"}, body)) as edge:
        response = client.get(edge.url, PLAIN)
    digest = b64encode(hashlib.sha384(body).digest()).decode()
    assert (response.status, response.headers["X-A"]) == (200, "b")
    assert (response.received, response.integrity) == (len(body), f"sha384-{digest}")
    assert response.start == body[:START]


def test_it_says_who_asks(client, tmp_path):
    with replying(tmp_path, Reply(200)) as edge:
        client.get(edge.url, PLAIN)
    assert edge.requests[0].headers["user-agent"].startswith("django-versioned-storage/")


def test_a_body_that_is_not_what_its_encoding_says_has_no_digest(client, tmp_path):
    for coding in ("br", "gzip", "zstd", "br, gzip"):
        reply = Reply(200, {"content-encoding": coding}, b"not encoded at all")
        with replying(tmp_path, reply) as edge:
            assert client.get(edge.url, PLAIN).integrity is None


def test_a_host_without_an_address_is_not_asked_twice(client, pauses, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failing(client, "https://d111.cloudfront.example/static/b1/a.css")
    assert error.reason == "DNS lookup failed"
    assert "cdn_domain" in str(error)
    assert "--wait" in str(error)
    assert pauses == []


def test_a_refused_connection_is_not_asked_for_twice(client, pauses):
    with nobody() as url:
        error = failing(client, url)
    assert error.reason == "the connection failed (Connection refused)"
    assert str(error).startswith(
        f"{url} did not respond: the connection failed (Connection refused). "
    )
    assert pauses == []


def test_a_certificate_that_nobody_trusts_is_not_asked_for_twice(client, pauses, tmp_path):
    with replying(tmp_path, Reply(200), self_signed(tmp_path)) as edge:
        error = failing(client, edge.url)
    assert "TLS failed" in error.reason
    assert "certificate verify failed" in error.reason
    assert pauses == []


def test_silence_is_tried_again_a_little(pauses):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        error = failing(EdgeClient(timeout=0.05, sleep=pauses.append), url)
    assert error.reason == "no data for 0.05 s"
    assert "--timeout" in error.remedy
    assert len(pauses) == ATTEMPTS - 1


def test_a_body_that_breaks_off_is_tried_again_a_little(client, pauses, tmp_path):
    with replying(tmp_path, Reply(200, {}, b"12345", lost=5)) as edge:
        error = failing(client, edge.url)
    assert error.reason.startswith("the response broke off (")
    assert len(edge.requests) == ATTEMPTS
    assert pauses == sorted(pauses)


def test_what_passes_is_an_answer_in_the_end(client, tmp_path):
    edge = Edge(tmp_path, lambda *_: {1: None, 2: Reply(500)}.get(len(edge.requests), Reply(200)))
    with serving(edge):
        assert client.get(edge.url, PLAIN).status == 200
    assert len(edge.requests) == 3


def test_a_server_error_that_stays_is_the_answer(client, tmp_path):
    with replying(tmp_path, Reply(503)) as edge:
        assert client.get(edge.url, PLAIN).status == 503
    assert len(edge.requests) == ATTEMPTS


def test_a_redirect_is_the_answer(client, tmp_path):
    with replying(tmp_path, Reply(302, {"location": "/elsewhere"})) as edge:
        assert client.get(edge.url, PLAIN).status == 302
    assert len(edge.requests) == 1


def test_a_connection_is_used_again(client, tmp_path):
    with replying(tmp_path, Reply(200, {}, b"x")) as edge:
        for _ in range(3):
            client.get(edge.url, PLAIN)
        assert client._direct.connection_from_url(edge.url).num_connections == 1


def test_the_proxy_of_the_environment_is_used(tmp_path, monkeypatch, client):
    with replying(tmp_path, Reply(200, {}, b"from the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "localhost")
        response = client.get("http://cdn.example/static/b1/a.css", PLAIN)
    assert response.start == b"from the proxy"


def test_a_missing_response_is_a_fault(client):
    with nobody() as url:
        (result,) = FileProbe(url, lambda _: ()).run(client)
    assert result.served_by is None
    (line,) = result.lines()
    assert line == (
        f"{url} (Accept-Encoding: identity): response is missing (the connection failed "
        "(Connection refused)), expected a response"
    )
