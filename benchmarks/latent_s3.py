"""A measuring instrument, not an S3: it keeps objects in memory, and answers as late as told.

    python benchmarks/latent_s3.py [--ms 25] [--connect-ms 50] [--tls CERT KEY]

Prints its port, and serves until its stdin is closed. A request is answered ``--ms`` after its
last byte, the first one of a connection ``--connect-ms`` later still. It knows what a publish, a
listing and a prune ask, conditions among it, and checks neither signatures nor checksums: what it
does not do costs nothing that would be measured. ``GET /counts`` answers with what was asked since
the last time, by S3's names, and how much CPU time that took here, as JSON; ``GET /empty`` forgets
every object.
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
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from itertools import count
from time import gmtime, strftime
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape, unescape

LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:\s*100-continue", re.IGNORECASE)
#: What is kept of the headers of a PUT, and given back with the object.
KEPT = ("content-type", "content-encoding", "cache-control", "x-amz-checksum-", "x-amz-meta-")

counts: Counter[str] = Counter()


@dataclass(frozen=True)
class Object:
    body: bytes
    etag: str
    headers: dict[str, str]
    modified: float


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] | None = None


class Store:
    """The objects, and what can be asked about them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.keys: list[str] = []
        self.etags = count(1)

    def clear(self) -> None:
        self.objects.clear()
        self.keys.clear()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        key = unquote(path.lstrip("/").partition("/")[2])
        if method == "PUT":
            return self.put(key, headers, body)
        if method == "POST" and "delete" in asked:
            return self.delete(body)
        if method == "GET" and not key:
            return self.list({name: values[0] for name, values in asked.items()})
        if method in ("GET", "HEAD") and key:
            return self.get(method, key, headers)
        if method == "DELETE" and key:
            counts["DeleteObject"] += 1
            self.remove(key)
            return Answer(204)
        counts["other"] += 1
        return refusal(501, "NotImplemented")

    def put(self, key: str, headers: dict[str, str], body: bytes) -> Answer:
        source = headers.get("x-amz-copy-source")
        counts["CopyObject" if source else "PutObject"] += 1
        found = self.objects.get(key)
        wanted = headers.get("if-match")
        if found is not None and headers.get("if-none-match") == "*":
            return refusal(412, "PreconditionFailed")
        if wanted is not None and (found is None or found.etag != wanted.strip('"')):
            return refusal(412 if found else 404, "PreconditionFailed" if found else "NoSuchKey")
        kept = {name: text for name, text in headers.items() if name.startswith(KEPT)}
        if source:
            copied = self.objects.get(unquote(source.lstrip("/")).partition("/")[2])
            if copied is None:
                return refusal(404, "NoSuchKey")
            if headers.get("x-amz-copy-source-if-match", "").strip('"') != copied.etag:
                return refusal(412, "PreconditionFailed")
            body = copied.body
            checksums = {k: v for k, v in copied.headers.items() if k.startswith("x-amz-checksum-")}
            # The directives are always REPLACE here: a copy has the headers it was given.
            kept = {**checksums, **kept}
        if found is None:
            insort(self.keys, key)
        etag = f"{next(self.etags):032x}"
        self.objects[key] = Object(body, etag, kept, time.time())
        if source:
            return xml(f'<CopyObjectResult><ETag>"{etag}"</ETag></CopyObjectResult>')
        return Answer(headers={"ETag": f'"{etag}"'})

    def get(self, method: str, key: str, headers: dict[str, str]) -> Answer:
        counts["GetObject" if method == "GET" else "HeadObject"] += 1
        found = self.objects.get(key)
        if found is None:
            return refusal(404, "NoSuchKey") if method == "GET" else Answer(404)
        said = {**found.headers, "ETag": f'"{found.etag}"'}
        said["Last-Modified"] = formatdate(found.modified, usegmt=True)
        part = re.fullmatch(r"bytes=0-(\d+)", headers.get("range", ""))
        if part is None:
            return Answer(200, found.body, said)
        body = found.body[: int(part[1]) + 1]
        said["Content-Range"] = f"bytes 0-{len(body) - 1}/{len(found.body)}"
        return Answer(206, body, said)

    def list(self, asked: dict[str, str]) -> Answer:
        """A page of 1,000; the token is the last key of the page before."""
        counts["ListObjectsV2"] += 1
        prefix, after = asked.get("prefix", ""), asked.get("continuation-token")
        begin = bisect_right(self.keys, after) if after else bisect_left(self.keys, prefix)
        end = bisect_left(self.keys, prefix + "\U0010ffff")
        page = self.keys[begin : min(end, begin + 1000)]
        cut = begin + len(page) < end
        encoded = asked.get("encoding-type") == "url"
        contents = "".join(
            f"<Contents><Key>{quote(key) if encoded else escape(key)}</Key>"
            f"<LastModified>{iso(self.objects[key].modified)}</LastModified>"
            f"<ETag>&quot;{self.objects[key].etag}&quot;</ETag>"
            f"<Size>{len(self.objects[key].body)}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if cut else ""
        encoding = "<EncodingType>url</EncodingType>" if encoded else ""
        return xml(
            f"<ListBucketResult><IsTruncated>{str(cut).lower()}</IsTruncated>{encoding}{token}"
            f"<KeyCount>{len(page)}</KeyCount>{contents}</ListBucketResult>"
        )

    def delete(self, body: bytes) -> Answer:
        counts["DeleteObjects"] += 1
        for key in map(unescape, re.findall("<Key>([^<]*)</Key>", body.decode())):
            self.remove(key)
        return xml("<DeleteResult></DeleteResult>")

    def remove(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]


class Connection(asyncio.Protocol):
    """One connection: no pipelining, as no client here does it."""

    def __init__(self, store: Store, seconds: float, at_first: float) -> None:
        self.store = store
        self.seconds = seconds
        self.wait = seconds + at_first
        self.head = b""
        self.body: list[bytes] = []
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
            self.head, data = self.head[:end], self.head[end + 4 :]
        self.missing -= len(data)
        self.body.append(data)
        counts["bytes"] += len(data)
        if self.missing <= 0:
            head, body = self.head.decode("latin-1"), b"".join(self.body)
            self.head, self.body, self.missing = b"", [], -1
            self.asked(head, body)

    def asked(self, head: str, body: bytes) -> None:
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        if target == "/counts":
            self.say_counts()
            return
        if target == "/empty":
            self.store.clear()
            self.transport.write(written("GET", Answer()))
            return
        counts["requests"] += 1
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): text.strip() for name, _, text in pairs}
        answer = written(method, self.store.answer(method, target, headers, body))
        asyncio.get_running_loop().call_later(self.wait, self.transport.write, answer)
        self.wait = self.seconds

    def say_counts(self):
        body = json.dumps({**counts, "cpu": time.process_time()}).encode()
        self.transport.write(written("GET", Answer(200, body)))
        self.transport.close()
        for name in list(counts.keys() - {"open"}):
            del counts[name]


def written(method: str, answer: Answer) -> bytes:
    """An answer on the wire. A HEAD is told the length and not the body."""
    lines = [
        f"HTTP/1.1 {answer.status} -",
        "x-amz-request-id: 0",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Length: {len(answer.body)}",
        *(f"{name}: {text}" for name, text in (answer.headers or {}).items()),
    ]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + answer.body


def xml(text: str) -> Answer:
    return Answer(200, text.encode(), {"content-type": "application/xml"})


def refusal(status: int, code: str) -> Answer:
    counts[str(status)] += 1
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return Answer(status, body, {"content-type": "application/xml"})


def iso(seconds: float) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S.000Z", gmtime(seconds))


async def serve(arguments: argparse.Namespace) -> None:
    context = None
    if arguments.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*arguments.tls)
    loop, store = asyncio.get_running_loop(), Store()
    server = await loop.create_server(
        lambda: Connection(store, arguments.ms / 1000, arguments.connect_ms / 1000),
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
