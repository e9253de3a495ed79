import gc
import socket
import ssl
import threading
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
import trustme
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, HTTPClientError, ReadTimeoutError
from botocore.httpsession import ProxyConfiguration, URLLib3Session

from tests.origin.transport.test_transport import BODY, OK, SLOW_DOWN, first, patient, put
from tests.origin.transport.wire import authority, client_of, raw
from tests.s3 import front, nobody
from versioned_storage.origin.transport import Transport
from versioned_storage.origin.transport import direct as module
from versioned_storage.origin.transport.direct import Direct

WHOLE = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'


@contextmanager
def by_botocore(monkeypatch):
    """The requests that botocore's own session sends meanwhile."""
    sent, send = [], URLLib3Session.send
    with monkeypatch.context() as patch:
        patch.setattr(
            URLLib3Session, "send", lambda self, one: sent.append(one.method) or send(self, one)
        )
        yield sent


def beside(url, *, session=None, **config):
    return Direct.beside(session or session_of(), url, Config(**config))


def session_of(verify=True):
    """A session as a client's is."""
    return URLLib3Session(
        verify=verify, socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    )


def request(url, path="/bucket/a.css", body=BODY):
    headers = {"Content-Length": str(len(body)).encode()}
    return AWSPreparedRequest("PUT", url + path, headers, body, False)


def sent(url, **how):
    return beside(url, **how).send(request(url))


# Which requests are sent like that


def test_botocores_session_is_not_asked_where_nothing_stands_in_the_way(monkeypatch):
    with front(answer=lambda _: OK) as s3, by_botocore(monkeypatch) as asked:
        put(Transport(client_of(patient(s3.url)), "bucket", 1))
    assert (len(s3.requests), asked) == (1, [])


def test_what_has_to_be_sent_again_is_sent_by_botocores_session(monkeypatch):
    monkeypatch.setattr("versioned_storage.origin.transport.time.sleep", lambda _: None)
    with front(answer=first(SLOW_DOWN, OK)) as s3, by_botocore(monkeypatch) as asked:
        put(Transport(client_of(patient(s3.url)), "bucket", 1))
    assert (len(s3.requests), asked) == (2, ["PUT"])


@pytest.mark.parametrize(
    "session",
    [
        URLLib3Session(proxies={"https": "http://127.0.0.1:1"}),
        session_of(verify=False),
        session_of(verify="/no/such/file.pem"),
        URLLib3Session(socket_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]),
        object(),
    ],
    ids=["a proxy", "TLS unverified", "no such CA", "socket options", "an unknown botocore"],
)
def test_how_to_connect_is_left_to_botocore_where_it_knows_more(session):
    assert beside("https://s3.test", session=session) is None


def test_a_certificate_of_the_client_is_left_to_botocore():
    assert beside("https://s3.test", client_cert="client.pem") is None


def test_a_proxy_for_another_scheme_does_not_matter():
    session = session_of()
    session._proxy_config = ProxyConfiguration({"https": "http://127.0.0.1:1"})
    assert beside("http://s3.test", session=session) is not None


# How they are sent


def test_the_answer_is_what_the_server_said():
    answer = b"HTTP/1.1 403 Forbidden\r\nX-One: 1\r\nContent-Length: 3\r\n\r\nNo."
    with raw(answer) as s3:
        found = sent(s3.url)
    assert (found.status_code, found.headers.get("x-one"), found.content) == (403, "1", b"No.")
    assert s3.bodies == [BODY]


def test_the_query_is_sent_too():
    with front(answer=lambda _: OK) as s3:
        beside(s3.url).send(request(s3.url, "/bucket/a%20b.css?x=1"))
    assert (s3.requests[0].path, s3.requests[0].query) == ("/bucket/a%20b.css", "x=1")


def test_a_request_is_one_call_to_the_system(monkeypatch):
    pieces, send = [], module.http.client.HTTPConnection.send
    monkeypatch.setattr(
        module.http.client.HTTPConnection,
        "send",
        lambda self, data: pieces.append(data) or send(self, data),
    )
    with raw(WHOLE) as s3:
        sent(s3.url)
    assert len(pieces) == 1
    assert pieces[0].startswith(b"PUT /bucket/a.css HTTP/1.1\r\n")
    assert pieces[0].endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize(("stale", "connections"), [(60.0, 1), (-1.0, 3)])
def test_a_connection_is_used_again_until_it_is_stale(monkeypatch, stale, connections):
    monkeypatch.setattr(module, "STALE", stale)
    with front() as s3:
        threads = []
        s3.answer = lambda _: threads.append(threading.current_thread()) or OK
        direct = beside(s3.url)
        for _ in range(3):
            direct.send(request(s3.url))
    # The server has a thread for each connection.
    assert len(set(threads)) == connections


def test_the_connections_are_closed_with_what_has_them():
    with front(answer=lambda _: OK) as s3:
        direct = beside(s3.url)
        direct.send(request(s3.url))
        (connection,) = direct._idle
        assert connection.sock is not None
        del direct
        gc.collect()
        assert connection.sock is None


# Over TLS


def test_the_certificate_has_to_be_of_a_known_ca(tmp_path):
    with authority() as (context, ca), front(answer=lambda _: OK, tls=context) as s3:
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        assert sent(s3.url, session=session_of(str(tmp_path / "ca.pem"))).status_code == 200
        assert sent(s3.url) is None
    assert len(s3.requests) == 1


def test_the_certificate_has_to_be_of_that_very_host(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("another.test").configure_cert(context)
    with front(answer=lambda _: OK, tls=context) as s3:
        assert sent(s3.url, session=session_of(str(tmp_path / "ca.pem"))) is None
    assert s3.requests == []


def test_a_certificate_that_only_botocore_takes_is_left_to_it(tmp_path, monkeypatch, waits):
    """OpenSSL wants more than one label after the star."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("*.localhost").configure_cert(context)
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *more: look_up("127.0.0.1", *more))
    with front(answer=lambda _: OK, tls=context) as s3, by_botocore(monkeypatch) as asked:
        url = s3.url.replace("127.0.0.1", "s3.localhost")
        to = Transport(client_of(patient(url, verify=str(tmp_path / "ca.pem"))), "bucket", 1)
        opened, connect = [], module._SecureConnection.connect
        monkeypatch.setattr(
            module._SecureConnection, "connect", lambda self: opened.append(1) or connect(self)
        )
        for _ in range(3):
            assert put(to) == '"0"'
    assert (asked, len(opened), waits) == (["PUT"] * 3, 1, [])


# What goes wrong


@pytest.fixture
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr("versioned_storage.origin.transport.time.sleep", waited.append)
    return waited


def test_where_no_connection_can_be_opened_botocore_may_try():
    with nobody() as url:
        assert sent(url) is None


def test_no_answer_in_time_is_said_as_botocore_says_it():
    late = threading.Event()
    with front() as s3:
        s3.passed_on = lambda *_: late.wait(5) and OK
        with pytest.raises(ReadTimeoutError, match="Read timeout"):
            sent(s3.url, read_timeout=0.1)
        late.set()


@pytest.mark.parametrize("answer", [b"", b"HTTP", b"\x00\r\n\r\n"])
def test_what_is_no_answer_is_said_as_botocore_says_it(answer):
    with raw(answer) as s3, pytest.raises(ConnectionClosedError, match="Connection was closed"):
        sent(s3.url)


def test_what_cannot_be_a_header_is_said_as_botocore_says_it():
    with front(answer=lambda _: OK) as s3:
        one = request(s3.url)
        one.headers["x-amz-meta-team"] = b"web\nx: y"
        with pytest.raises(HTTPClientError, match="Invalid header value"):
            beside(s3.url).send(one)
    assert s3.requests == []


def test_after_a_failure_the_next_request_has_a_connection_of_its_own():
    with raw(b"HTTP", WHOLE) as s3:
        direct = beside(s3.url)
        with pytest.raises(ConnectionClosedError):
            direct.send(request(s3.url, body=b"half of it"))
        direct.send(request(s3.url))
    assert s3.bodies == [b"half of it", BODY]


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Request Timeout\r\n\r\n", WHOLE])
def test_what_a_server_says_unasked_is_no_answer_to_the_next_request(unasked):
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with talking([WHOLE, unasked], [refused]) as url:
        direct = beside(url)
        assert direct.send(request(url)).status_code == 200
        threading.Event().wait(0.2)
        assert direct.send(request(url)).status_code == 403


def test_after_an_interim_answer_nothing_more_is_asked_on_that_connection():
    """103 is to be followed by the answer itself, which is not that to the next request."""
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with talking([b"HTTP/1.1 103 Early Hints\r\n\r\n", WHOLE], [refused]) as url:
        direct = beside(url)
        assert direct.send(request(url)).status_code == 103
        assert direct.send(request(url)).status_code == 403


def test_a_refusal_before_the_body_is_read_is_an_answer():
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with talking([refused], reads_body=False) as url:
        answer = beside(url).send(request(url, body=b"x" * (8 << 20)))
    assert answer.status_code == 403


@contextmanager
def talking(*connections, reads_body=True):
    """A server that says these things on its connections, 20 ms after each other."""
    remaining = list(connections)

    class Handler(StreamRequestHandler):
        def handle(self):
            length = 0
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            if reads_body:
                self.rfile.read(length)
            for text in remaining.pop(0):
                self.wfile.write(text)
                threading.Event().wait(0.02)
            if reads_body:
                self.rfile.read(1)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
