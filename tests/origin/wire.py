"""The wire to S3 in a test: signatures, raw responses, a proxy, certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import trustme
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from tests.s3 import SECRET_KEY, Request
from tests.servers import running


def signed_rightly(request: Request, secret: str = SECRET_KEY) -> bool:
    """Say whether botocore's own signer gives the signature that a request came with."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    said = headers["authorization"]
    access_key, _, region, service, _ = said.split("Credential=")[1].split(",")[0].split("/")
    names = said.split("SignedHeaders=")[1].split(",")[0].split(";")
    again = AWSRequest(
        request.method,
        f"http://{headers['host']}{request.path}",
        {name: headers[name] for name in names},
    )
    again.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(ReadOnlyCredentials(access_key, secret, None), service, region)
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return said.endswith(f"Signature={signer.signature(text, again)}")


@contextmanager
def raw(*answers: bytes, reads_body: bool = True) -> Iterator[Any]:
    """A server that reads a request, sends the next of these bytes and hangs up, at a free port.

    The last of the answers is given again and again; ``bodies`` has what arrived.
    """
    remaining = list(answers)

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            length, line = 0, self.rfile.readline()
            if not line:
                return
            while line.strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
                if name.lower() == "expect":
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                line = self.rfile.readline()
            server.bodies.append(self.rfile.read(length if reads_body else 0))
            self.wfile.write(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    class Server(ThreadingTCPServer):
        daemon_threads = True
        bodies: list[bytes]

        @property
        def url(self) -> str:
            return f"http://127.0.0.1:{self.server_address[1]}"

    with Server(("127.0.0.1", 0), Handler) as server:
        server.bodies = []
        with running(server):
            yield server


@contextmanager
def tunnel() -> Iterator[Any]:
    """A proxy that knows CONNECT; ``asked`` has the first line and the headers of each tunnel."""

    def pump(source: Any, target: Any) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            lines = []
            while line := self.rfile.readline().strip():
                lines.append(line.decode())
            proxy.asked.append(lines)
            host, _, port = lines[0].split()[1].rpartition(":")
            with create_connection((host, int(port))) as onward:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = Thread(target=pump, args=(onward, self.connection), daemon=True)
                back.start()
                pump(self.connection, onward)

    class Proxy(ThreadingTCPServer):
        daemon_threads = True
        asked: list[list[str]]

        @property
        def address(self) -> str:
            return f"127.0.0.1:{self.server_address[1]}"

    with Proxy(("127.0.0.1", 0), Handler) as proxy:
        proxy.asked = []
        with running(proxy):
            yield proxy


@contextmanager
def authority() -> Iterator[tuple[ssl.SSLContext, trustme.CA]]:
    """A certificate authority of the test's own, and a server's context with its certificate."""
    made = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert("127.0.0.1").configure_cert(context)
    made.configure_trust(context)
    yield context, made
