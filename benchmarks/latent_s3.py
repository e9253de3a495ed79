"""A measuring instrument, not an S3: it takes PUT, waits as long as told, and says yes.

    python benchmarks/latent_s3.py [--ms 25] [--connect-ms 50] [--tls CERT KEY]

Prints its port, and serves until its stdin is closed. A request is answered ``--ms`` after its
last byte, the first one of a connection ``--connect-ms`` later still. ``GET /counts`` answers with
what was asked since the last time, and how much CPU time that took here, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import ssl
import sys
import time
from collections import Counter

LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:\s*100-continue", re.IGNORECASE)
OK = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nx-amz-request-id: 0\r\nContent-Length: 0\r\n\r\n'

counts: Counter[str] = Counter()


class Connection(asyncio.Protocol):
    """One connection: no pipelining, as no client here does it."""

    def __init__(self, seconds: float, at_first: float) -> None:
        self.seconds = seconds
        self.wait = seconds + at_first
        self.head = b""
        self.missing = -1

    def connection_made(self, transport):
        self.transport = transport
        counts["connections"] += 1
        counts["open"] += 1

    def connection_lost(self, exc):
        counts["open"] -= 1

    def data_received(self, data):
        if self.missing < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            found = LENGTH.search(self.head, 0, end)
            self.missing = int(found.group(1)) if found else 0
            if EXPECT.search(self.head, 0, end):
                counts["expected"] += 1
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self.head[end + 4 :]
        self.missing -= len(data)
        counts["bytes"] += len(data)
        if self.missing <= 0:
            self.missing = -1
            line = self.head.split(b"\r\n", 1)[0]
            self.head = b""
            if line.startswith(b"GET /counts"):
                self.say_counts()
                return
            counts["requests"] += 1
            asyncio.get_running_loop().call_later(self.wait, self.transport.write, OK)
            self.wait = self.seconds

    def say_counts(self):
        body = json.dumps({**counts, "cpu": time.process_time()}).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()
        for name in list(counts.keys() - {"open"}):
            del counts[name]


async def serve(arguments: argparse.Namespace) -> None:
    context = None
    if arguments.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*arguments.tls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(arguments.ms / 1000, arguments.connect_ms / 1000),
        "127.0.0.1",
        0,
        ssl=context,
        backlog=512,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ms", type=float, default=25)
    parser.add_argument("--connect-ms", type=float, default=50)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(serve(parser.parse_args()))
