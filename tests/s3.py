"""An S3 server in a test, and what may stand in front of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from botocore.awsrequest import HeadersDict
from botocore.config import Config
from moto import backends
from moto.server import ThreadedMotoServer

from tests.servers import running

ACCESS_KEY, SECRET_KEY = "AKIDOFATEST", "the-secret-of-a-test"
ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})


@contextmanager
def moto() -> Iterator[str]:
    """Moto's server on a free port; gives its URL."""
    # It would list the directories of its package for each request.
    modules = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        server._server.server_close()


def options(endpoint: str, bucket: str, **more: Any) -> dict[str, Any]:
    """An origin option with which nothing is tried twice."""
    return {
        "bucket_name": bucket,
        "endpoint_url": endpoint,
        "region_name": "eu-west-1",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "client_config": ONCE,
        **more,
    }


@cache
def client_of(endpoint: str) -> Any:
    """One client for all tests, because making one takes longer than most of them."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=ONCE,
    )


@dataclass
class Bucket:
    """A bucket of its own for one test."""

    endpoint: str
    name: str
    client: Any

    @classmethod
    @contextmanager
    def at(cls, endpoint: str) -> Iterator[Bucket]:
        client = client_of(endpoint)
        name = f"bucket-{uuid4().hex}"
        client.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield cls(endpoint, name, client)

    def options(self, **more: Any) -> dict[str, Any]:
        return options(self.endpoint, self.name, **more)

    def let_everyone_read(self) -> None:
        """The builds, and not the records."""
        readable = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self.name}/static/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [readable]}
        self.client.put_bucket_policy(Bucket=self.name, Policy=json.dumps(policy))

    def listed(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {found["Key"] for page in pages for found in page.get("Contents", ())}

    def get(self, key: str) -> dict[str, Any]:
        """S3's answer for a key, with the bytes as its Body."""
        answer = self.client.get_object(Bucket=self.name, Key=key)
        with answer["Body"] as body:
            return {**answer, "Body": body.read()}

    def objects(self) -> dict[str, dict[str, Any]]:
        return {key: self.get(key) for key in self.listed()}

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


@dataclass(frozen=True)
class Request:
    """What arrived; ``path`` is without the query, the names of headers are in any case."""

    method: str
    path: str
    headers: HeadersDict
    body: bytes
    query: str = ""


@dataclass(frozen=True)
class Answer:
    """What is sent back; a status of 0 hangs up without a word."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


HANGS_UP = Answer(0)
#: The response to a stored object.
OK = Answer(200, b"", {"ETag": '"0"'})
_OF_THE_CONNECTION = ("connection", "content-length", "date", "server", "transfer-encoding")


def refusal(status: int, code: str, message: str) -> Answer:
    """An error as S3 says it."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


@dataclass
class Front:
    """Stands before an S3 server: keeps what was asked, and may answer in its place.

    ``answer`` gives None for a request that goes on to the server. ``events`` has the beginning
    and the end of each request, in order.
    """

    upstream: str
    answer: Callable[[Request], Answer | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""
    lock: Any = field(default_factory=Lock)

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for with a method."""
        return [request.path for request in self.requests if request.method == method]

    def settle(self) -> None:
        """Wait until each request was answered, or would have been if its client had waited."""
        deadline = time.monotonic() + 30
        while True:
            with self.lock:
                begun = sum(event == "begin" for event, _, _ in self.events)
                if 2 * begun == len(self.events):
                    return
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def handle(self, request: Request, target: str) -> Answer:
        with self.lock:
            self.requests.append(request)
            self.events.append(("begin", request.method, request.path))
            answer = self.answer(request)
        answer = answer or self.passed_on(request, target)
        with self.lock:
            self.events.append(("end", request.method, request.path))
        return answer

    def passed_on(self, request: Request, target: str) -> Answer:
        connection = HTTPConnection(urlsplit(self.upstream).netloc, timeout=10)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("expect", "connection")
        }
        try:
            connection.request(request.method, target, request.body, headers)
            found = connection.getresponse()
            body = found.read()
        finally:
            connection.close()
        kept = {
            name: value
            for name, value in found.getheaders()
            if name.lower() not in _OF_THE_CONNECTION
        }
        if request.method == "HEAD":
            kept["Content-Length"] = found.getheader("Content-Length", "0")
        return Answer(found.status, body, kept)


@contextmanager
def front(
    upstream: str = "",
    answer: Callable[[Request], Answer | None] | None = None,
    tls: SSLContext | None = None,
) -> Any:
    """A `Front` on a free port; without ``upstream`` it must answer everything itself."""
    standing = Front(upstream)
    if answer is not None:
        standing.answer = answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answered(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # a client that died
                self.close_connection = True
                return
            url = urlsplit(self.path)
            request = Request(self.command, url.path, HeadersDict(self.headers), body, url.query)
            answer = standing.handle(request, self.path)
            if not answer.status:
                self.close_connection = True
                return
            self.send_response_only(answer.status)
            if "Date" not in answer.headers:
                self.send_header("Date", self.date_time_string())
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answered  # noqa: N815

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that died
                super().handle()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        standing.url = _behind(tls, server)
        with running(server):
            yield standing


def _behind(tls: SSLContext | None, server: ThreadingHTTPServer) -> str:
    """The URL of a server, which speaks TLS from now on where there is a context for it."""
    if tls is not None:
        # Each connection's own thread shakes hands, so that one that does not cannot block others.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    return f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that nobody listens on."""
    with front() as gone:
        url = gone.url
    yield url
