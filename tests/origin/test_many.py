"""What many objects and many builds cost, in requests and in memory; nothing here is timed.

There are some thousand objects unless MANY_OBJECTS says how many.
"""

# ruff: noqa: N803  # boto3's names for its parameters

from __future__ import annotations

import gc
import io
import os
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from math import ceil
from threading import Lock
from typing import Any

import pytest
from botocore.exceptions import ClientError

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin import record
from versioned_storage.origin.pruning import PrunedBuild, Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import Record, State
from versioned_storage.origin.s3 import S3Origin

#: Of one large build, and of all the small ones together.
OBJECTS = int(os.environ.get("MANY_OBJECTS", "2500"))
BUILDS = 50
PNG = "image/png"
NOW = datetime.now(timezone.utc)


def refused(status, code):
    error = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "")


@dataclass
class Memory:
    """The objects of a bucket, in the place of boto3's client and of the engine.

    It counts what is asked by the names of S3's operations. Of a body that is no record it keeps
    nothing, so that what is measured is not its own.
    """

    objects: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    etags: Any = field(default_factory=lambda: count(1))
    lock: Any = field(default_factory=Lock)

    def get_object(self, *, Bucket, Key, Range=None):
        self.asked["GetObject"] += 1
        if Key not in self.objects:
            raise refused(404, "NoSuchKey")
        etag, _, body = self.objects[Key]
        return {"ETag": etag, "Body": io.BytesIO(body[: record._HEAD_SIZE] if Range else body)}

    def list_objects_v2(self, *, Bucket, Prefix, ContinuationToken="0"):
        self.asked["ListObjectsV2"] += 1
        with self.lock:
            keys = sorted(key for key in self.objects if key.startswith(Prefix))
        end = int(ContinuationToken) + 1000
        contents = [self._listed(key) for key in keys[end - 1000 : end]]
        more = {"IsTruncated": True, "NextContinuationToken": str(end)} if keys[end:] else {}
        return {"Contents": contents, **more}

    def delete_objects(self, *, Bucket, Delete):
        self.asked["DeleteObjects"] += 1
        assert len(Delete["Objects"]) <= 1000
        for item in Delete["Objects"]:
            del self.objects[item["Key"]]
        return {}

    def send(self, operation, parameters):
        """Be the engine of a PUT or a copy."""
        self.asked[operation] += 1
        key = parameters["Key"]
        if operation == "CopyObject":
            source = parameters["CopySource"].partition("/")[2]
            etag_of_source, size, _ = self.objects[source]
            assert etag_of_source == parameters["CopySourceIfMatch"]
            return {"ETag": self._kept(key, size, b"")}
        etag = self.objects[key][0].strip('"') if key in self.objects else None
        if etag != parameters.get("IfMatch"):
            raise refused(412, "PreconditionFailed")
        body = parameters["Body"]
        body = body if isinstance(body, bytes) else body.read()
        return {"ETag": self._kept(key, len(body), body if key.startswith("builds/") else b"")}

    def put_object(self, **parameters):
        return self.send("PutObject", parameters)

    def _kept(self, key, size, body):
        etag = f'"{next(self.etags)}"'
        with self.lock:
            self.objects[key] = (etag, size, body)
        return etag

    def _listed(self, key):
        etag, size, _ = self.objects[key]
        return {"Key": key, "ETag": etag, "Size": size, "LastModified": NOW}


class Origin(S3Origin):
    """The origin on such a bucket, with all that it does itself."""

    def __init__(self):
        super().__init__({"bucket_name": "bucket"}, prefix="static/", connections=8)
        self.memory = Memory()

    client = property(lambda self: self.memory)
    engine = property(lambda self: self.memory.send)
    _boto3_copies_conditionally = False
    _boto3_deletes_by_etag = True

    @contextmanager
    def counted(self):
        """What is asked meanwhile; the origin's own number is held against it."""
        self.memory.asked.clear()
        before, asked = self.requests, Counter()
        reads = self.reads
        yield asked
        asked.update(self.memory.asked)
        assert self.requests - before == asked.total()
        assert self.reads - reads == asked["GetObject"] + asked["HeadObject"]


@pytest.fixture
def origin():
    return Origin()


def built(directory, objects, build="b1", body=b"png", changed=(), *, shared=False):
    """A build of so many objects, each file under two names; a shared one has only the hashed."""
    assets = []
    prefix = "_shared" if shared else ""
    for number in range(objects // 2):
        hashed_name = f"{number:05}.{'new' if number in changed else 'old'}.png"
        (directory / hashed_name).write_bytes(body)
        integrity = f"sha384-{hashed_name}"
        asset = Asset(f"{number:05}.png", hashed_name, build, len(body), integrity, PNG)
        assets.append(replace(asset, shared_prefix=prefix))
    return Manifest(
        keep_originals=not shared,
        shared_prefix=prefix,
        paths={item.name: item.hashed_name for item in assets},
        build=build,
        content=f"content of {build}",
        assets={item.hashed_name: item for item in assets},
    )


def publish(origin, manifest, directory):
    return Publisher(origin).publish(manifest, BuildDirectory(directory))


def seed(origin, objects, builds=BUILDS):
    """Builds that were published, one a day, and have so many objects each."""
    names = [f"{number:05}.png" for number in range(objects)]
    for day in range(builds):
        build, since = f"b{day:02}", NOW - timedelta(days=builds - day)
        assets = {
            name: Asset(name, name, build, 3, "sha384-x", PNG, sha256={"identity": "0" * 64})
            for name in names
        }
        manifest = Manifest(dict(zip(names, names, strict=True)), build=build, assets=assets)
        published = Record(build, State.PUBLISHING, "red", since).published(manifest, since)
        record.write(origin, published, None)
        for name in names:
            origin.memory._kept(f"static/{build}/{name}", 3, b"")


def test_a_first_publish_takes_a_request_an_object_and_six_more(origin, tmp_path):
    manifest = built(tmp_path, OBJECTS)
    with origin.counted() as asked:
        publish(origin, manifest, tmp_path)
    # The record; are there builds to copy from, is there something of this one; the lease, the
    # same again to see that it is refused, the commit.
    assert asked == {"GetObject": 1, "ListObjectsV2": 2, "PutObject": OBJECTS + 3}


def test_the_same_again_takes_two(origin, tmp_path):
    manifest = built(tmp_path, OBJECTS)
    publish(origin, manifest, tmp_path)
    with origin.counted() as asked:
        publish(origin, manifest, tmp_path)
    assert asked == {"GetObject": 1, "PutObject": 1}


@pytest.mark.deep
def test_the_next_build_copies_what_stayed_and_lists_the_last_one(origin, tmp_path):
    publish(origin, built(tmp_path, OBJECTS), tmp_path)
    manifest = built(tmp_path, OBJECTS, "b2", changed={7})
    with origin.counted() as asked:
        publish(origin, manifest, tmp_path)
    assert asked == {
        "GetObject": 3,
        "ListObjectsV2": 2 + ceil(OBJECTS / 1000),
        "PutObject": 2 + 3,
        "CopyObject": OBJECTS - 2,
    }


@pytest.mark.parametrize("base", [True, False])
def test_the_next_build_asks_for_no_shared_object_that_stayed(origin, tmp_path, base):
    publish(origin, built(tmp_path, OBJECTS, shared=True), tmp_path)
    manifest = built(tmp_path, OBJECTS, "b2", changed={7}, shared=True)
    with origin.counted() as asked:
        Publisher(origin, base).publish(manifest, BuildDirectory(tmp_path))
    assert asked == {
        # Its record, that of the current build and the beginning of that, who prunes; without a
        # base build the others are read when there is a lease, which is the newest record.
        "GetObject": 4 + (not base),
        # The records, what is below both builds, and what is shared.
        "ListObjectsV2": 2 + base + ceil(OBJECTS / 2 / 1000),
        # The file, the lease, the same again to see that it is refused, the commit.
        "PutObject": 1 + 3,
    }
    assert asked.total() <= 20


@pytest.mark.deep
def test_the_base_is_found_without_reading_every_record(origin, tmp_path):
    seed(origin, 2)
    with origin.counted() as asked:
        Publisher(origin).preflight("b99").base_objects.result()
    # The records, and the objects of the base build.
    assert asked["ListObjectsV2"] == 2
    # Here all were written in the same second; else it is the head of the last one alone.
    assert asked["GetObject"] <= BUILDS + 2


def test_a_list_takes_a_request_a_build_whatever_is_in_it(origin):
    seed(origin, OBJECTS // BUILDS)
    with origin.counted() as asked:
        assert len(record.heads(origin)) == BUILDS
    assert asked == {"ListObjectsV2": 1, "GetObject": BUILDS}


def test_a_prune_takes_two_requests_for_a_thousand_objects_and_three_for_a_build(origin):
    objects = OBJECTS // BUILDS
    seed(origin, objects)
    pruner = Pruner(origin)
    with origin.counted() as asked:
        plan = pruner.plan(keep=5, older_than=timedelta(days=1))
        pruned = list(pruner.execute(plan))
    gone = BUILDS - 5
    assert pruned == [PrunedBuild(f"b{day:02}", objects) for day in range(gone)]
    thousands = ceil(objects / 1000)
    assert asked == {
        "ListObjectsV2": 1 + gone * thousands,
        "GetObject": BUILDS + gone,
        "PutObject": 2 * gone,
        "DeleteObjects": gone * thousands,
    }


def transient(work):
    """The bytes that some work needs for itself: what it leaves behind does not count."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - kept


@pytest.fixture
def publishing(tmp_path):
    """What publishing so many objects of such a body needs, with two connections."""

    def needed(objects, body=b"png"):
        directory = tmp_path / f"{objects} of {len(body)}"
        directory.mkdir()
        manifest = built(directory, objects, body=body)
        return transient(
            lambda: Publisher(Origin(), base=False).publish(manifest, BuildDirectory(directory))
        )

    # What is imported and learnt once is not of the builds.
    needed(2)
    return needed


@pytest.mark.deep
def test_the_memory_of_a_publish_does_not_grow_with_the_bytes(publishing):
    body = b"png" * 30_000
    # Nothing like the 18 MB that are put: each connection has a file, or a piece of one.
    assert publishing(400, body) - publishing(400) < 400 * len(body) / 2 / 4


@pytest.mark.deep
def test_a_publish_needs_two_kilobytes_more_for_an_object_more(publishing):
    few = OBJECTS // 5
    assert publishing(OBJECTS) - publishing(few) < 2500 * (OBJECTS - few)


@pytest.mark.deep
def test_a_list_needs_no_more_memory_for_builds_of_more_objects():
    """It reads the first line of each record, not the manifest."""
    needed = []
    for objects in (OBJECTS // 50, OBJECTS):
        origin = Origin()
        seed(origin, objects, 10)
        needed.append(transient(lambda: record.heads(origin)))  # noqa: B023  # called at once
    assert needed[1] < needed[0] * 1.5


@pytest.mark.deep
def test_a_prune_needs_memory_for_one_build_at_a_time():
    """Its manifest, and a page of the listing of its objects."""
    needed = []
    for builds in (5, BUILDS):
        origin = Origin()
        seed(origin, OBJECTS // BUILDS, builds)
        pruner = Pruner(origin)
        plan = pruner.plan(keep=1, older_than=timedelta(hours=1))
        needed.append(transient(lambda: list(pruner.execute(plan))))  # noqa: B023  # called at once
    assert needed[1] < needed[0] * 1.5
