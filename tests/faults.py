"""A network and an S3 server that fail as both do, from a seed.

What happens to a request depends on the seed, on what is asked and on how often it was asked
before, and not on the order in which threads ask: a run that found something can be had again.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Condition
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict
from botocore.config import Config

from tests.s3 import Answer, Front, Request, refusal
from tests.servers import running

#: Seconds that a client waits for an answer, and that a request is under way which is too late.
PATIENCE, TOO_LONG = 0.8, 1.0


class Fault(Enum):
    """What may happen to a request."""

    NONE = "nothing"
    DROPPED = "the connection ends and the server never hears of it"
    RESET = "the connection is reset in the middle of its body"
    SLOW_DOWN = "503 SlowDown, and nothing is done"
    INTERNAL_ERROR = "500 InternalError, and nothing is done"
    DELAYED = "it takes a while"
    TOO_LATE = "it arrives when the client has given up"
    LOST = "it is done, and the connection ends before the answer"
    CUT = "it is done, and the connection is reset in the middle of the answer"
    DONE_AND_DENIED = "it is done, and the answer is 500 InternalError"


_SLOW_DOWN = refusal(503, "SlowDown", "Please reduce your request rate.")
_INTERNAL_ERROR = refusal(500, "InternalError", "We encountered an internal error.")
_REFUSALS = {Fault.SLOW_DOWN: _SLOW_DOWN, Fault.INTERNAL_ERROR: _INTERNAL_ERROR}
FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)


@dataclass(frozen=True)
class Plan:
    """Which request meets which fault.

    ``rate`` is the share of requests that meet one; of those for other keys than below ``mostly``
    it is a quarter of that.
    """

    seed: int
    rate: float
    faults: tuple[Fault, ...] = FAULTS
    mostly: str = ""

    def fault(self, method: str, name: str, before: int) -> Fault:
        """For a request that was made ``before`` times already."""
        random = Random(f"{self.seed} {method} {name} {before}")
        rate = self.rate if name.startswith(self.mostly) else self.rate / 4
        return random.choice(self.faults) if random.random() < rate else Fault.NONE


CALM = Plan(seed=0, rate=0.0)


def impatient(attempts: int) -> Config:
    """How a client asks that finds out in a moment what fails."""
    return Config(
        connect_timeout=5,
        read_timeout=PATIENCE,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )


@dataclass
class Faulty:
    """Stands before an S3 server; ``met`` counts the faults.

    ``unplanned`` has what went wrong between it and the server: it must stay empty.
    """

    upstream: Front
    plan: Plan
    url: str = ""
    met: Counter[Fault] = field(default_factory=Counter)
    unplanned: list[OSError] = field(default_factory=list)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _under_way: int = 0
    _changed: Condition = field(default_factory=Condition)

    def settle(self) -> None:
        """Wait until no request is under way, not even one that nobody waits for."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._under_way, timeout=30)

    @contextmanager
    def request(self, method: str, path: str) -> Iterator[Fault]:
        """The fault that a request meets; it is under way in the block."""
        _, _, name = path.lstrip("/").partition("/")  # a bucket's name is new in each test
        with self._changed:
            fault = self.plan.fault(method, name, self._asked[method, name])
            self._asked[method, name] += 1
            self.met[fault] += 1
            self._under_way += 1
        try:
            yield fault
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()


@contextmanager
def faulty(upstream: str, plan: Plan = CALM) -> Iterator[Faulty]:
    """A server with faults on a free port, before the one at ``upstream``."""
    standing = Faulty(Front(upstream), plan)
    handler = type("Handler", (_Handler,), {"standing": standing})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        standing.url = f"http://127.0.0.1:{server.server_port}"
        with running(server):
            try:
                yield standing
            finally:
                standing.settle()
    assert standing.unplanned == []


class _Handler(BaseHTTPRequestHandler):
    standing: Faulty
    protocol_version = "HTTP/1.1"

    def asked(self) -> None:
        path = urlsplit(self.path).path
        with self.standing.request(self.command, path) as fault:
            length = int(self.headers.get("Content-Length") or 0)
            if fault is Fault.RESET:
                self.rfile.read(length // 2)
                self.reset()
                return
            body = self.rfile.read(length)
            if len(body) < length:  # a client that gave up
                self.close_connection = True
                return
            self.answer(fault, Request(self.command, path, HeadersDict(self.headers), body))

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = asked  # noqa: N815  # of the base class

    def answer(self, fault: Fault, request: Request) -> None:
        if fault is Fault.DROPPED:
            self.close_connection = True
            return
        if fault in _REFUSALS:
            self.send(_REFUSALS[fault])
            return
        if fault is Fault.DELAYED:
            time.sleep(0.05)
        elif fault is Fault.TOO_LATE:
            time.sleep(TOO_LONG)
        try:
            answer = self.standing.upstream.passed_on(request, self.path)
        except OSError as error:
            self.standing.unplanned.append(error)
            raise
        if fault is Fault.LOST:
            self.close_connection = True
        elif fault is Fault.CUT:
            self.send(answer, whole=False)
            self.reset()
        else:
            self.send(_INTERNAL_ERROR if fault is Fault.DONE_AND_DENIED else answer)

    def send(self, answer: Answer, *, whole: bool = True) -> None:
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} Said"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        body = b"" if self.command == "HEAD" else answer.body
        if not whole:
            # An answer without a body is cut in its head.
            head, body = (head, body[: len(body) // 2]) if body else (head[:20], b"")
        self.wfile.write(head + body)

    def reset(self) -> None:
        """End the connection with a RST, not with a FIN."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that gave up, as it is meant to
            super().handle()

    def log_message(self, *args: object) -> None:
        pass
