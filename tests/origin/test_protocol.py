"""Publishers, a pruner, an operator and a killer on one bucket, in every order that hypothesis has.

Each process is the real code, on a bucket in memory that stops it before every request until its
turn comes. After every request each published build must have every object, with the bytes that its
record says. The machines can sleep at any request, an operator can abandon a lease that is in use,
an object of a published build can be damaged, and a publisher can copy from a base build or not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from pathlib import Path
from threading import Semaphore, Thread
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.errors import VersionedStorageError
from versioned_storage.origin import lease, publisher, record, transfer
from versioned_storage.origin.objects import CopyResult, ListedObject, ObjectContent, StoredObject
from versioned_storage.origin.plan import headers
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import Record

#: Schedules of each theme; the deep run tries many more.
FEW = int(os.environ.get("PROTOCOL_EXAMPLES", "20"))
MANY = int(os.environ.get("PROTOCOL_EXAMPLES", "750"))
SHARED = "static/_shared/"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CSS, PNG = "text/css; charset=utf-8", "image/png"


@dataclass(frozen=True)
class Version:
    """An object as it was written once."""

    id: str
    data: bytes
    stored: StoredObject
    modified: datetime


@dataclass
class Bucket:
    """What S3 keeps, and S3's clock."""

    objects: dict[str, tuple[bytes, StoredObject]] = field(default_factory=dict)
    now: datetime = START
    #: How long the machines slept: their monotonic clocks stood still meanwhile.
    asleep: timedelta = timedelta(0)
    #: Keys whose objects were damaged after their publish.
    damaged: set[str] = field(default_factory=set)
    #: AWS honours conditions on the object that a copy replaces, other stores ignore them.
    conditional_copies: bool = True
    #: Some stores keep no sha256, and say none of a copy.
    checksums: bool = True
    #: A lease in use was abandoned, so its holder may write new keys until its next renewal.
    strays: bool = False
    #: Whether the bucket keeps versions: then `versions` has those of each key, the newest last.
    versioned: bool = False
    versions: dict[str, list[Version]] = field(default_factory=dict)
    #: Deletions that were sent and have not arrived, each with the time when it was sent.
    in_flight: list[tuple[datetime, Any]] = field(default_factory=list)
    #: How long a deletion can be under way where there are no versions.
    latest: timedelta = timedelta(minutes=7)

    def clock(self) -> SimpleNamespace:
        """The module ``time`` of every machine."""
        return SimpleNamespace(
            CLOCK_BOOTTIME=7,
            clock_gettime=lambda _: (self.now - START).total_seconds(),
            monotonic=lambda: (self.now - START - self.asleep).total_seconds(),
        )

    def damage(self, *, same_size: bool) -> None:
        """Overwrite an object of a published build, as a tool other than ours would."""
        published = [f"static/{record.build}/" for record in records(self) if record.is_published]
        keys = [
            key
            for key in sorted(self.objects)
            if key.startswith(tuple(published)) and "app." in key and key not in self.damaged
        ]
        if not keys:
            return
        key = next((key for key in keys if key.endswith(".gz")), keys[0])
        data, object_ = self.objects[key]
        self.write(key, b"?" * (len(data) - (not same_size)), object_.metadata, object_.headers)
        self.damaged.add(key)

    def write(
        self, path: str, data: bytes, metadata: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """Store an object and return its ETag."""
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        sha256 = hashlib.sha256(data).hexdigest()
        stored = StoredObject(len(data), etag, sha256, True, headers, metadata)
        kept = self.versions.get(path, []) if self.versioned else []
        self.versions[path] = [*kept, Version(uuid4().hex, data, stored, self.now)]
        self.objects[path] = (data, stored)
        self.damaged.discard(path)
        return etag

    def delete(self, path: str, version: str | None = None) -> None:
        """Delete an object, or one of its versions: then the one before it is back."""
        self.damaged.discard(path)
        kept = [item for item in self.versions.get(path, ()) if version not in (None, item.id)]
        self.versions[path] = kept
        self.objects.pop(path, None)
        if kept:
            self.objects[path] = (kept[-1].data, kept[-1].stored)

    def arrive(self, *, sent_before: datetime | None = None) -> None:
        """Carry out the deletions that were under way."""
        arriving = [item for item in self.in_flight if sent_before is None or item[0] < sent_before]
        self.in_flight = [item for item in self.in_flight if item not in arriving]
        for _, deletion in arriving:
            deletion()

    def pass_time(self, time: timedelta) -> None:
        """Let time pass; a deletion arrives in it, unless there are versions."""
        while time > timedelta(0):
            step = min(time, timedelta(seconds=30))
            self.now, time = self.now + step, time - step
            if not self.versioned:
                self.arrive(sent_before=self.now - self.latest)

    def find(self, path: str) -> StoredObject | None:
        return self.objects[path][1] if path in self.objects else None

    def listed(self, prefix: str, *, versions: bool = False) -> list[ListedObject]:
        """The objects below a prefix, with all of their versions or without."""
        return [
            ListedObject(
                path,
                version.stored.size,
                version.stored.etag,
                version.modified,
                version.id if versions and self.versioned else None,
                version is kept[-1],
            )
            for path, kept in sorted(self.versions.items())
            if path.startswith(prefix)
            for version in (kept if versions else kept[-1:])
        ]


class Killed(BaseException):
    """The process is gone; not even its `except` runs."""


@dataclass
class Process:
    """A process that makes one request each time it is its turn."""

    name: str
    work: Any
    bucket: Bucket
    turn: Semaphore = field(default_factory=lambda: Semaphore(0))
    waits: Semaphore = field(default_factory=lambda: Semaphore(0))
    doomed: str = ""
    killed: bool = False
    ended: bool = False
    succeeded: bool = False
    fault: BaseException | None = None

    def start(self) -> None:
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()
        self.waits.acquire()

    def step(self, doomed: str = "") -> None:
        """Let it make its next request; ``doomed`` kills it before or after that.

        With "again" the request is a deletion that is sent twice, and nobody is killed.
        """
        self.doomed = doomed
        self.turn.release()
        self.waits.acquire()

    def request(
        self,
        answer: Any,
        before_attempt: Any = lambda: None,
        before_retry: Any = lambda: None,
        *,
        deletes: bool = False,
    ) -> Any:
        """Make a request when it is the turn; the process may have slept until then."""
        if self.killed:
            raise Killed
        self.waits.release()
        self.turn.acquire()
        if self.doomed in ("late", "again") and not deletes:
            self.doomed = ""
        if self.doomed == "again":
            # The response to the first attempt does not come, and the attempt is under way.
            self.doomed = ""
            before_attempt()
            self.bucket.in_flight.append((self.bucket.now, answer))
            before_retry()
        self.killed = bool(self.doomed)
        if self.doomed == "before":
            raise Killed
        before_attempt()
        if self.doomed == "late":
            self.bucket.in_flight.append((self.bucket.now, answer))
            raise Killed
        answered = answer()
        if self.doomed == "after":
            raise Killed
        return answered

    def _run(self) -> None:
        try:
            self.work(Origin(self))
            self.succeeded = True
        except (Killed, VersionedStorageError):
            pass
        except BaseException as error:  # noqa: BLE001  # shown by the test in its own thread
            self.fault = error
        self.ended = True
        self.waits.release()


class Origin:
    """S3Origin for one process, on the bucket in memory."""

    conditional = True
    prefix, connections = "static/", 1
    requests = reads = 0

    def __init__(self, process: Process) -> None:
        self.process, self.bucket = process, process.bucket

    def now(self):
        return self.bucket.now

    def url(self, path):
        return f"s3://bucket/{path}"

    def get(self, path, *, first=None):
        return self.process.request(lambda: self._get(path, first))

    def find(self, path):
        return self.process.request(lambda: self.bucket.find(path))

    def list(self, prefix):
        yield from self.process.request(lambda: self.bucket.listed(prefix))

    def list_versions(self, prefix):
        yield from self.process.request(lambda: self.bucket.listed(prefix, versions=True))

    def put(self, path, data, *, replacing=None, **headers):
        return self.process.request(lambda: self._put(path, data, replacing, {}, headers))

    def put_file(
        self, path, body, *, replacing=None, metadata=None, before_attempt=None, **headers
    ):
        return self.process.request(
            lambda: self._put(path, body.data, replacing, metadata or {}, headers), before_attempt
        )

    def copy(
        self,
        source,
        path,
        *,
        etag,
        sha256,
        replacing=None,
        metadata=None,
        before_attempt=None,
        **headers,
    ):
        def copy():
            object_ = self.bucket.find(source)
            if object_ is None or object_.etag != etag:
                return None
            if self.bucket.conditional_copies and self._etag(path) != replacing:
                return None
            data = self.bucket.objects[source][0]
            metadata_of_copy = {**(metadata or {}), "sha256": sha256}
            copied = self.bucket.write(path, data, metadata_of_copy, headers)
            checksum = hashlib.sha256(data).hexdigest() if self.bucket.checksums else None
            return CopyResult(copied, checksum)

        return self.process.request(copy, before_attempt)

    def delete(self, listed, before_attempt=None, before_retry=lambda: None):
        for item in listed:
            deletion = partial(self.bucket.delete, item.path, item.version)
            shared = item.path.startswith(SHARED)
            self.process.request(deletion, before_attempt, before_retry, deletes=shared)
            yield 1

    def _get(self, path, first):
        if path not in self.bucket.objects:
            return None
        data, object_ = self.bucket.objects[path]
        return ObjectContent(data[:first], object_.etag)

    def _etag(self, path):
        object_ = self.bucket.find(path)
        return object_ and object_.etag

    def _put(self, path, data, replacing, metadata, headers):
        if self._etag(path) != replacing:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        return self.bucket.write(path, data, {**metadata, "sha256": sha256}, headers)


class InlineThread:
    """A thread that does its work when it is started."""

    def __init__(self, target: Any, daemon: bool) -> None:
        self.start = target

    def is_alive(self) -> bool:
        return False

    def join(self, timeout: float | None = None) -> None: ...


def inline_map(work: Any, items: Any, threads: int) -> list[Any]:
    return [work(item) for item in items]


def inline_future(work: Any) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001  # read from the future
        future.set_exception(error)
    return future


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
        paths={asset.name: asset.hashed_name for asset in assets},
        build=version,
        content=content,
        encoders={"gzip": {"level": 9}},
        assets={asset.hashed_name: asset for asset in assets},
    )
    return manifest, root


@lru_cache(maxsize=1000)
def parsed(data: bytes, name: str) -> Record:
    """A record is looked at after every request, and written at a few."""
    return Record.from_json(data, name=name)


def records(bucket: Bucket) -> list[Record]:
    return [
        parsed(data, path)
        for path, (data, _) in bucket.objects.items()
        if path.startswith("builds/") and path.endswith(".json")
    ]


def published(bucket: Bucket) -> dict[str, str]:
    """The contents of the published builds, by build version."""
    return {record.build: record.content for record in records(bucket) if record.is_published}


def current(bucket: Bucket) -> str | None:
    activated = [record for record in records(bucket) if record.is_published]
    return max(activated, key=lambda record: record.since).build if activated else None


def content(bucket: Bucket) -> str:
    return next(record.content for record in records(bucket) if record.build == "b1")


def check_published_builds(bucket: Bucket) -> None:
    """No published build ever lacks an object or has a wrong one."""
    for build_record in records(bucket):
        if not build_record.is_published:
            continue
        files = {f"static/{file.path}": file for file in build_record.manifest.files()}
        for key, file in files.items():
            assert key in bucket.objects, f"{key} is missing"
            if key in bucket.damaged:
                continue
            object_ = bucket.find(key)
            assert object_.sha256 == file.sha256, f"{key} has other bytes"
            assert object_.size == file.size
            assert object_.headers == headers(file)
        stored = {key for key in bucket.objects if key.startswith(f"static/{build_record.build}/")}
        assert bucket.strays or stored <= files.keys(), "there is a mix of two builds"


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """The builds on the disks of the machines that publish them."""
    for module in (publisher, record):
        monkeypatch.setattr(module, "map_in_threads", inline_map)
    monkeypatch.setattr(publisher, "in_background", inline_future)
    monkeypatch.setattr(transfer, "Thread", InlineThread)
    return {
        (version, content, encoder): build(tmp_path, version, content, encoder)
        for version in ("b1", "b2")
        for content in ("red", "blue")
        for encoder in ("zlib", "zlib-ng")
    }


def publishes(machines, *which, base=True):
    manifest, root = machines[which]
    return lambda origin: Publisher(origin, base).publish(manifest, BuildDirectory(root))


def prunes(origin):
    pruner = Pruner(origin)
    list(pruner.execute(pruner.plan(keep=1, older_than=timedelta(0))))


def abandons(origin):
    lease.abandon(origin, "b1")


def alone(bucket: Bucket, work: Any) -> Process:
    """Run a process while no other one runs."""
    process = Process("alone", work, bucket)
    process.start()
    while not process.ended:
        process.step()
        check_published_builds(bucket)
    assert process.fault is None, process.fault
    return process


#: What may have happened before.
PASTS = {
    "nothing": [],
    "another build": ["b2"],
    "published": ["b1"],
    "published and superseded": ["b1", "b2"],
    "pruned": ["b1", "b2", "prune"],
}

#: What may happen between two requests, beside the death of a process: by theme.
THEMES = {
    "plain": (),
    "damage": ("damage its size", "damage its bytes"),
    "damage without checksums": ("damage its size",),
    "suspension": ("sleep",),
    "abandon": ("abandon",),
    "encoders": (),
    "everything": ("damage its size", "damage its bytes", "sleep", "abandon"),
}
#: Themes in which one publisher copies from a base build and the other one does not.
MIXED_BASES = ("damage", "encoders", "everything")
#: Only AWS honours the conditions on copies; without them these are not safe.
CONDITIONAL_COPIES = ("abandon", "damage", "everything")
#: More requests than a process makes.
ALL = 99
USUAL_EVENTS = ("", "", "", "", "kill before", "kill after", "wait")


@dataclass(frozen=True)
class Turn:
    """Something happens, then a process makes some requests."""

    who: int
    requests: int
    event: str = ""


def turns(theme: str) -> st.SearchStrategy[list[Turn]]:
    events = USUAL_EVENTS + THEMES[theme] * 2
    turn = st.builds(Turn, st.integers(0, 3), st.integers(1, 9), st.sampled_from(events))
    crossing = st.builds(
        crossed, st.integers(0, 20), st.integers(1, 30), st.sampled_from(THEMES[theme] or ("",))
    )
    return st.one_of(st.lists(turn, max_size=40), crossing)


def crossed(before: int, meanwhile: int, event: str) -> list[Turn]:
    """Something happens at one request of the first publisher; the second one goes on then."""
    return [
        Turn(0, before),
        # The operator, whom there is then, makes two requests.
        Turn(3, 2, event) if event == "abandon" else Turn(1, 1, event),
        Turn(1, meanwhile),
        Turn(0, ALL),
        Turn(1, ALL),
    ]


def happens(event: str, bucket: Bucket, processes: list[Process]) -> None:
    if event in ("wait", "sleep"):
        # A lease can expire meanwhile.
        bucket.pass_time(timedelta(minutes=20))
        bucket.asleep += timedelta(minutes=20 if event == "sleep" else 0)
    elif event.startswith("damage"):
        bucket.damage(same_size=event == "damage its bytes")
    elif event == "abandon":
        bucket.strays = True
        operator = Process("operator", abandons, bucket)
        operator.start()
        processes.append(operator)


def run(bucket: Bucket, processes: list[Process], schedule: list[Turn]) -> None:
    """Run the processes as the schedule says, and to their ends then."""
    for turn in schedule:
        happens(turn.event, bucket, processes)
        living = [process for process in processes if not process.ended]
        if not living:
            break
        process = living[turn.who % len(living)]
        for number in range(turn.requests):
            if process.ended:
                break
            killed = turn.event.removeprefix("kill ") if turn.event.startswith("kill") else ""
            activated = current(bucket)
            process.step(killed if number == turn.requests - 1 else "")
            bucket.now += timedelta(seconds=1)
            check_published_builds(bucket)
            assert activated is None or activated in published(bucket), (
                "the current build was pruned"
            )
    for process in processes:
        while not process.ended:
            process.step()
            bucket.now += timedelta(seconds=1)
            check_published_builds(bucket)
        assert process.fault is None, process.fault


def check(machines, monkeypatch, theme, past, second, bases, schedule) -> None:
    bucket = Bucket(
        conditional_copies=theme in CONDITIONAL_COPIES,
        checksums=theme != "damage without checksums",
    )
    monkeypatch.setattr(lease, "time", bucket.clock())
    for event in PASTS[past]:
        alone(bucket, prunes if event == "prune" else publishes(machines, event, "red", "zlib"))
        bucket.now += timedelta(hours=1)
    if theme not in MIXED_BASES:
        bases = (True, True)
    processes = [
        Process("first", publishes(machines, "b1", "red", "zlib", base=bases[0]), bucket),
        Process("second", publishes(machines, "b1", second, "zlib-ng", base=bases[1]), bucket),
        Process("pruner", prunes, bucket),
    ]
    for process in processes:
        process.start()
    run(bucket, processes, schedule)
    contents = published(bucket)
    if processes[0].succeeded and processes[1].succeeded and second == "blue":
        assert past in ("nothing", "another build"), "two contents were published as one build"
    # Whatever was left, a later publisher completes it.
    bucket.now += timedelta(days=40)
    alone(bucket, prunes)
    last = alone(bucket, publishes(machines, "b1", "red", "zlib"))
    if bucket.strays and not last.succeeded:
        # The way out that the error names.
        alone(bucket, abandons)
        alone(bucket, prunes)
        last = alone(bucket, publishes(machines, "b1", "red", "zlib"))
    assert last.succeeded or contents.get("b1") == "blue" or content(bucket) == "blue"
    if last.succeeded:
        assert published(bucket)["b1"] == "red"


def schedules(theme: str) -> Any:
    return {
        "past": st.sampled_from(sorted(PASTS)),
        "second": st.sampled_from(["red", "blue"]),
        "bases": st.tuples(st.booleans(), st.booleans()),
        "schedule": turns(theme),
    }


@pytest.mark.parametrize("theme", THEMES)
def test_no_published_build_ever_lacks_an_object_or_has_a_wrong_one(machines, monkeypatch, theme):
    explore(machines, monkeypatch, theme, FEW)


@pytest.mark.deep
@pytest.mark.parametrize("theme", THEMES)
def test_not_in_many_more_schedules_either(machines, monkeypatch, theme):
    explore(machines, monkeypatch, theme, MANY)


@pytest.mark.parametrize("event", ["sleep", "abandon"])
@pytest.mark.parametrize("past", ["nothing", "another build"])
def test_a_publisher_may_sleep_or_lose_its_lease_at_each_request(
    machines, monkeypatch, past, event
):
    for before in range(16):
        schedule = crossed(before, 30, event)
        check(machines, monkeypatch, "everything", past, "blue", (True, False), schedule)


def explore(machines, monkeypatch, theme: str, examples: int) -> None:
    @settings(
        max_examples=examples,
        # The machines are only read, and the clock is patched anew for each example.
        suppress_health_check=list(HealthCheck),
    )
    @given(**schedules(theme))
    def explored(past, second, bases, schedule):
        check(machines, monkeypatch, theme, past, second, bases, schedule)

    explored()
