"""An edge on this machine: as it should be, and with what a test does to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from tests.servers import running
from versioned_storage.build.manifest import content_type
from versioned_storage.constants import ENCODINGS, is_eligible

IMMUTABLE = "max-age=315360000, public, immutable"
SUFFIXES = {encoding.name: encoding.suffix for encoding in ENCODINGS.values()}


@dataclass(frozen=True)
class Request:
    """What was asked; header names are in lower case."""

    path: str
    query: str
    headers: dict[str, str]

    def accepts(self, coding: str) -> bool:
        return coding in self.headers.get("accept-encoding", "").replace(" ", "").split(",")


@dataclass(frozen=True)
class Reply:
    """What is sent; ``lost`` bytes at the end of the body are announced and never come."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    lost: int = 0

    def having(self, **headers: str | None) -> Reply:
        """With these headers, without those that are None."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {**{name.lower(): value for name, value in self.headers.items()}, **changed}
        return replace(self, headers={name: value for name, value in kept.items() if value})


Twist = Callable[[Request, Reply], "Reply | None"]


@dataclass
class Edge:
    """Serves STATIC_ROOT as CloudFront in front of S3 does.

    ``twist`` gives what is sent in the place of the right reply; None hangs up. ``moved`` has the
    paths of shared assets, and where they are on disk, where the bucket has nothing.
    """

    root: Path
    twist: Twist = lambda _, reply: reply
    moved: Mapping[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def reply(self, request: Request) -> Reply | None:
        with self.lock:
            self.requests.append(request)
            return self.twist(request, self.right(request))

    def right(self, request: Request) -> Reply:
        name = unquote(request.path).removeprefix("/static/")
        file = self.root / name
        if not request.path.startswith("/static/") or name.endswith("staticfiles.json"):
            return refused()
        vary = {}
        coding = None
        if is_eligible(name):
            vary = {"vary": "Accept-Encoding"}
            coding = next((one for one in SUFFIXES if request.accepts(one)), None)
        if coding is not None:
            file = file.with_name(file.name + SUFFIXES[coding])
        if name in self.moved:
            file = self.root / (self.moved[name] + SUFFIXES.get(coding or "", ""))
        if not file.is_file() or name in self.moved.values():
            return refused()
        reply = Reply(
            200,
            {
                "content-type": content_type(name),
                "cache-control": IMMUTABLE,
                "access-control-allow-origin": "*",
                "etag": '"strong"',
                "server": "AmazonS3",
                "x-cache": "Miss from cloudfront",
                "x-amz-cf-pop": "FRA56-P1",
                **vary,
                **({"content-encoding": coding} if coding else {}),
            },
            file.read_bytes(),
        )
        if request.headers.get("range") == "bytes=0-1":
            size = len(reply.body)
            part = replace(reply, status=206, body=reply.body[:2])
            return part.having(content_range=f"bytes 0-1/{size}")
        return reply


def refused() -> Reply:
    """S3 without permission to list says so of a key that is not there."""
    return Reply(403, {"content-type": "application/xml"}, b"<Error>AccessDenied</Error>")


@contextmanager
def serving(edge: Edge, context: ssl.SSLContext | None = None) -> Iterator[Edge]:
    """The edge on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # With Nagle's algorithm each small answer waits for the acknowledgement of its headers.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self):
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = edge.reply(Request(parts.path, parts.query, headers))
            if reply is None:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.lost))
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.lost:
                self.close_connection = True

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            # A client that refuses the certificate hangs up.
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if context is not None:
            scheme = "https"
            server.socket = context.wrap_socket(server.socket, server_side=True)
        edge.url = f"{scheme}://127.0.0.1:{server.server_port}"
        with running(server):
            yield edge
