"""Deploys and prunes of builds with shared assets through a network that fails, from seeds.

Machines die at any request, deletions arrive late, and leases last for seconds. Moto's bucket keeps
versions with every other seed; Ceph 16 ignores the conditions of a write where there are versions.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from tests.builds import site_origin
from tests.faults import Plan, faulty, impatient
from tests.origin.shared_builds import SHARED, shared_build
from versioned_storage.errors import VersionedStorageError
from versioned_storage.origin import lease, publisher, record, shared_objects
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.record import State
from versioned_storage.origin.s3 import S3Origin

# Each takes as long as some leases.
SEEDS = range(max(1, int(os.environ.get("TEST_SEEDS", "1")) // 5))
pytestmark = pytest.mark.deep

#: Of a lease, in seconds. A late request is under way for one, which is less than half of that.
LIFE = 6.0
BLUE = {**SHARED, "css/app.css": "body { color: blue }\n" * 40}


@pytest.fixture(autouse=True)
def short_leases(monkeypatch):
    monkeypatch.setattr("versioned_storage.origin.engine.FIRST_WAIT", 0.0)
    monkeypatch.setattr(publisher, "_PAUSE", 0.2)
    for module in (lease, shared_objects):
        monkeypatch.setattr(module, "EXPIRES_AFTER", timedelta(seconds=LIFE))
        monkeypatch.setattr(module, "RENEW_EVERY", LIFE / 8)


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    """Two contents, each under two versions and on machines with different encoders."""
    return {
        (build, content): shared_build(
            tmp_path_factory.mktemp(f"{build}-{content}"),
            build,
            shared,
            level=level,
            keep_originals=build == "b3",
        )
        for build, level in (("b1", 1), ("b2", 9), ("b3", 6), ("b4", 9))
        for content, shared in (("red", SHARED), ("blue", BLUE))
    }


class Killed(BaseException):
    """The process is gone."""


class Mortal(S3Origin):
    """The origin of a process that dies at one of its requests."""

    left = 10**6

    def _request(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super()._request(*args, **kwargs)


def prune(origin):
    pruner = Pruner(origin, "_shared")
    plan = pruner.plan(keep=1, older_than=timedelta(0))
    list(pruner.execute(plan))
    pruner.sweep(plan)


def lacking(bucket):
    """The objects that a published build does not have as its record says."""
    origin = calm_origin(bucket)
    wrong = []
    for head in record.heads(origin):
        stored = record.read(origin, head.record.build)
        if not stored.record.is_published:
            continue
        faults = [
            file.path
            for file in stored.record.manifest.files()
            if sha256_of(origin, f"static/{file.path}") != file.sha256
        ]
        again = record.read(origin, head.record.build).record
        # A prune in the meantime is no fault.
        if faults and again.is_published and again.publish_id == stored.record.publish_id:
            wrong += [f"{head.record.build}: {path}" for path in faults]
    return wrong


def sha256_of(origin, path):
    content = origin.get(path)
    return hashlib.sha256(content.data).hexdigest() if content else None


def calm_origin(bucket):
    """Ceph answers 500 to a GET now and then while the object is being written."""
    return site_origin(bucket.options(client_config=impatient(5)), connections=4)


def listed(bucket):
    """The shared objects of the published builds."""
    origin = calm_origin(bucket)
    records = [record.read(origin, head.record.build).record for head in record.heads(origin)]
    return {
        f"static/{path}"
        for item in records
        if item.state is State.PUBLISHED
        for path in item.shared_paths()
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_no_published_build_lacks_an_object_whatever_fails(bucket, builds, seed, request):
    """Nor is anything left in the end that no build lists."""
    random = Random(seed)
    if seed % 2 and "moto" in request.node.name:
        bucket.client.put_bucket_versioning(
            Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
        )
    calm = calm_origin(bucket)
    for build in (("b1", "red"), ("b2", "blue"))[: random.randrange(3)]:
        builds[build].publish(calm)
        time.sleep(0.01)
    with faulty(bucket.endpoint) as s3:
        for run in range(2):
            s3.plan = Plan(1000 * seed + run, rate=random.choice((0.0, 0.05, 0.2)))
            works = [
                builds["b3", random.choice(["red", "blue"])].publish,
                builds["b4", "red"].publish,
                prune,
                prune,
            ]

            def does(work, delay, dies_after, s3=s3):
                options = bucket.options(endpoint_url=s3.url, client_config=impatient(2))
                origin = Mortal(options, prefix="static/", connections=3)
                origin.left = dies_after
                time.sleep(delay)
                with suppress(VersionedStorageError, Killed):
                    work(origin)
                return lacking(bucket)

            with ThreadPoolExecutor(4) as pool:
                delays = [random.choice((0, 0.05, 0.2, 0.5)) for _ in works]
                deaths = [random.choice((10**6, random.randrange(1, 60))) for _ in works]
                assert list(pool.map(does, works, delays, deaths)) == [[]] * 4
            s3.settle()
            assert lacking(bucket) == []
    # Whoever comes next waits for the leases of the dead.
    time.sleep(LIFE)
    for build in (("b1", "red"), ("b4", "red")):
        with suppress(VersionedStorageError):
            builds[build].publish(calm)
        assert lacking(bucket) == []
    prune(calm)
    assert lacking(bucket) == []
    stored = {key for key in bucket.listed() if key.startswith("static/_shared/")}
    assert stored == listed(bucket)
