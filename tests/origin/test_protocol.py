"""Publishers, a pruner and a killer on one bucket, in every order that hypothesis thinks of.

Each of them is the real code, on a bucket in memory that stops it before every request until its
turn comes. After every request each published build has to have every object, with the very bytes
that its record says.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Semaphore, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.errors import VersionedStorageError
from versioned_storage.origin import claim, publish, record, transfer
from versioned_storage.origin.plan import headers
from versioned_storage.origin.prune import Pruner
from versioned_storage.origin.publish import Publisher
from versioned_storage.origin.record import Record, State
from versioned_storage.origin.s3 import Found, Listed, Stored

#: More of them where there is time.
EXAMPLES = int(os.environ.get("PROTOCOL_EXAMPLES", "200"))
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CSS, PNG = "text/css; charset=utf-8", "image/png"


@dataclass
class Bucket:
    """What S3 keeps, and S3's clock."""

    objects: dict[str, tuple[bytes, Found]] = field(default_factory=dict)
    now: datetime = START
    written: int = 0


class Killed(BaseException):
    """The process is gone; not even its `except` runs."""


@dataclass
class Process:
    """A publisher or a pruner that makes one request each time it is its turn."""

    name: str
    work: Any
    bucket: Bucket
    turn: Semaphore = field(default_factory=lambda: Semaphore(0))
    waits: Semaphore = field(default_factory=lambda: Semaphore(0))
    doomed: str = ""
    pending: str = ""
    done: bool = False
    succeeded: bool = False
    fault: BaseException | None = None

    def start(self) -> None:
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()
        self.waits.acquire()

    def step(self, doomed: str = "") -> None:
        """Let it make its next request; ``doomed`` kills it before or after that."""
        self.doomed = doomed
        self.turn.release()
        self.waits.acquire()

    def request(self, operation: str, done: Any) -> Any:
        self.pending = operation
        self.waits.release()
        self.turn.acquire()
        if self.doomed == "before":
            raise Killed
        answer = done()
        if self.doomed == "after":
            raise Killed
        return answer

    def _run(self) -> None:
        try:
            self.work(Origin(self))
            self.succeeded = True
        except (Killed, VersionedStorageError):
            pass
        except BaseException as error:  # noqa: BLE001  # shown by the test in its own thread
            self.fault = error
        self.done = True
        self.waits.release()


class Origin:
    """S3Origin for one process, on the bucket in memory."""

    conditional = True
    requests = 0

    def __init__(self, process: Process) -> None:
        self.process, self.bucket = process, process.bucket

    def now(self):
        return self.bucket.now

    def url(self, path):
        return f"s3://bucket/{path}"

    def get(self, path, *, first=None):
        return self.process.request("get", lambda: self._get(path, first))

    def find(self, path):
        return self.process.request("find", lambda: self._found(path))

    def list(self, prefix):
        yield from self.process.request("list", lambda: self._listed(prefix))

    def put(self, path, data, *, replacing=None, **headers):
        return self.process.request("put", lambda: self._put(path, data, replacing, {}, headers))

    def put_file(self, path, body, *, replacing=None, metadata=None, **headers):
        return self.process.request(
            "write", lambda: self._put(path, body.data, replacing, metadata or {}, headers)
        )

    def copy(self, source, path, *, etag, sha256, metadata=None, **headers):
        def copied():
            found = self._found(source)
            if found is None or found.etag != etag:
                return None
            data = self.bucket.objects[source][0]
            self.bucket.objects.pop(path, None)
            return self._put(path, data, None, metadata or {}, headers)

        return self.process.request("copy", copied)

    def delete(self, paths):
        for path in paths:
            self.process.request("delete", lambda path=path: self.bucket.objects.pop(path, None))
            yield 1

    def _get(self, path, first):
        if path not in self.bucket.objects:
            return None
        data, found = self.bucket.objects[path]
        return Stored(data[:first], found.etag)

    def _found(self, path):
        return self.bucket.objects[path][1] if path in self.bucket.objects else None

    def _listed(self, prefix):
        return [
            Listed(path, found.size, found.etag, self.bucket.now)
            for path, (_, found) in sorted(self.bucket.objects.items())
            if path.startswith(prefix)
        ]

    def _put(self, path, data, replacing, metadata, headers):
        there = self._found(path)
        if (there and there.etag) != replacing:
            return None
        self.bucket.written += 1
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        sha256 = hashlib.sha256(data).hexdigest()
        self.bucket.objects[path] = (
            data,
            Found(len(data), etag, sha256, True, headers, {**metadata, "sha256": sha256}),
        )
        return etag


class Inline:
    """An executor that does what it is given at once, in the order in which it is given."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work, *args):
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:  # noqa: BLE001  # read from the future
            future.set_exception(error)
        return future

    def map(self, work, *items):
        return [work(*one) for one in zip(*items, strict=True)]


def build(directory: Path, version: str, content: str, encoder: str) -> tuple[Manifest, Path]:
    """A build on the disk of one machine; its zlib is another than that of the next one."""
    root = directory / f"{version}-{content}-{encoder}"
    css, png = f"app.{content}.css", "logo.0123.png"
    files = {css: f"css of {content}", f"{css}.gz": f"{content} by {encoder}", png: "png"}
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text)
    assets = [
        Asset("app.css", css, version, len(files[css]), f"sha384-{content}", CSS,
              {"gzip": len(files[f"{css}.gz"])}),
        Asset("logo.png", png, version, 3, "sha384-png", PNG),
    ]  # fmt: skip
    manifest = Manifest(
        paths={one.name: one.hashed_name for one in assets},
        build=version,
        content=content,
        encoders={"gzip": {"level": 9}},
        assets={one.hashed_name: one for one in assets},
    )
    return manifest, root


def check_published_builds(bucket: Bucket) -> None:
    """No published build ever lacks an object or has a wrong one."""
    for path, (data, _) in bucket.objects.items():
        if not path.startswith("builds/"):
            continue
        found = Record.from_json(data, name=path)
        if found.state is not State.PUBLISHED:
            continue
        for file in found.manifest.files():
            key = f"static/{file.path}"
            assert key in bucket.objects, f"{key} is not there"
            stored = bucket.objects[key][1]
            assert stored.sha256 == file.variant.sha256, f"{key} has other bytes"
            assert stored.size == file.variant.size
            assert stored.headers == headers(file)
        own = {f"static/{file.path}" for file in found.manifest.files()}
        there = {key for key in bucket.objects if key.startswith(f"static/{found.build}/")}
        assert there <= own, "there is a mix of two builds"


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """The builds on the disks of the machines that publish them."""
    for module in (publish, record, transfer):
        monkeypatch.setattr(module, "ThreadPoolExecutor", Inline)
    monkeypatch.setattr(publish, "in_background", Inline().submit)
    return {
        (version, content, encoder): build(tmp_path, version, content, encoder)
        for version in ("b1", "b2")
        for content in ("red", "blue")
        for encoder in ("zlib", "zlib-ng")
    }


def publisher(machines, *which, base=True):
    manifest, root = machines[which]
    return lambda origin: Publisher(origin, "static/", 1, base).publish(manifest, root)


def pruner(origin):
    one = Pruner(origin, "static/", 1)
    list(one.execute(one.plan(keep=1, older_than=timedelta(0))))


def alone(bucket: Bucket, work: Any) -> Process:
    """Run a process while nobody else does."""
    process = Process("alone", work, bucket)
    process.start()
    while not process.done:
        process.step()
        check_published_builds(bucket)
    assert process.fault is None, process.fault
    return process


#: What may have happened to build b1 before.
PASTS = {
    "nothing": [],
    "published": ["b1"],
    "published and superseded": ["b1", "b2"],
    "pruned": ["b1", "b2", "prune"],
}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    # The machines are only read, and the clock is patched anew for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    past=st.sampled_from(sorted(PASTS)),
    second=st.sampled_from(["red", "blue"]),
    script=st.lists(st.integers(0, 59), max_size=120),
)
@example(past="published and superseded", second="red", script=[2] * 12 + [0] * 30)
def test_no_published_build_ever_lacks_an_object_or_has_a_wrong_one(
    machines, monkeypatch, past, second, script
):
    bucket = Bucket()
    clock = SimpleNamespace(monotonic=lambda: (bucket.now - START).total_seconds())
    monkeypatch.setattr(claim, "time", clock)
    for event in PASTS[past]:
        alone(bucket, pruner if event == "prune" else publisher(machines, event, "red", "zlib"))
        bucket.now += timedelta(hours=1)
    processes = [
        Process("first", publisher(machines, "b1", "red", "zlib"), bucket),
        Process("second", publisher(machines, "b1", second, "zlib-ng"), bucket),
        Process("pruner", pruner, bucket),
    ]
    for process in processes:
        process.start()
    for number in script:
        living = [process for process in processes if not process.done]
        if not living:
            break
        process, event = living[number % len(living)], number // len(living)
        if event == 7 and not any(one.pending in ("write", "copy", "delete") for one in living):
            # A claim can die meanwhile. A request that writes an object, which is made only for a
            # claim that is fresh, cannot be under way for so long: it has a timeout.
            bucket.now += timedelta(minutes=20)
        doomed = {5: "before", 6: "after"}.get(event, "")
        current = _current(bucket)
        process.step(doomed)
        bucket.now += timedelta(seconds=1)
        check_published_builds(bucket)
        assert current is None or current in _published(bucket), "the current build was pruned"
    for process in processes:
        while not process.done:
            process.step()
            bucket.now += timedelta(seconds=1)
            check_published_builds(bucket)
        assert process.fault is None, process.fault
    contents = _published(bucket)
    if processes[0].succeeded and processes[1].succeeded and second == "blue":
        assert past == "nothing", "two contents were published as one build"
    # Whatever was left, one who comes later and is alone ends it.
    bucket.now += timedelta(days=40)
    alone(bucket, pruner)
    last = alone(bucket, publisher(machines, "b1", "red", "zlib"))
    assert last.succeeded or contents.get("b1") == "blue" or _content(bucket) == "blue"
    if last.succeeded:
        assert _published(bucket)["b1"] == "red"


def _records(bucket: Bucket) -> list[Record]:
    return [
        Record.from_json(data, name=path)
        for path, (data, _) in bucket.objects.items()
        if path.startswith("builds/")
    ]


def _published(bucket: Bucket) -> dict[str, str]:
    return {one.build: one.content for one in _records(bucket) if one.state is State.PUBLISHED}


def _current(bucket: Bucket) -> str | None:
    published = [one for one in _records(bucket) if one.state is State.PUBLISHED]
    return max(published, key=lambda one: one.since).build if published else None


def _content(bucket: Bucket) -> str:
    return next(one.content for one in _records(bucket) if one.build == "b1")
