"""A publish that is killed, with SIGKILL, at one point after the other; and then run again."""

import multiprocessing
import os
import signal
from pathlib import Path
from random import Random
from threading import Event

import pytest

from tests.builds import PREFIX, collected, state
from tests.s3 import HANGS_UP, front
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin.publish import Publisher
from versioned_storage.origin.s3 import S3Origin

SEEDS = range(int(os.environ.get("TEST_SEEDS", "6")))

# Forks of a small process that has imported what they need: a fork of this one would have the
# locks of its threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.origin.test_killed"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site")) as made:
        yield made


def publish(given, manifest, directory):
    """What the process does."""
    origin = S3Origin(given, connections=3)
    Publisher(origin, PREFIX, 3).publish(Manifest.from_json(manifest), Path(directory))


class Killer:
    """Kills a process at its request number ``at``, which the server gets or does not get."""

    def __init__(self, at, *, arrives):
        self.at = at
        self.arrives = arrives
        self.seen = 0
        self.process = None
        self.started = Event()

    def __call__(self, request):
        assert self.started.wait(30)
        self.seen += 1
        if self.seen <= self.at:
            return None
        os.kill(self.process.pid, signal.SIGKILL)
        return None if self.arrives else HANGS_UP


def killed(bucket, built, killer):
    """Publish in a process of its own, which is killed; give the signal that ended it."""
    with front(bucket.endpoint, killer) as s3:
        given = bucket.options(endpoint_url=s3.url)
        arguments = (given, built.manifest.to_json(), str(built.directory))
        killer.process = PROCESSES.Process(target=publish, args=arguments)
        killer.process.start()
        killer.started.set()
        killer.process.join(60)
        # What it asked last may still be on its way.
        s3.settle()
        return -killer.process.exitcode


@pytest.mark.parametrize("seed", SEEDS)
def test_a_publish_that_is_killed_is_finished_by_the_next(bucket, built, seed):
    random = Random(seed)
    for _ in range(3):
        at = random.randrange(len(built.keys()))
        ended_by = killed(bucket, built, Killer(at, arrives=random.random() < 0.5))
        assert ended_by == signal.SIGKILL
        assert state(bucket, "b1") != "published"
    publish(bucket.options(), built.manifest.to_json(), built.directory)
    assert state(bucket, "b1") == "published"
    assert built.wrong(bucket) == []
    assert bucket.listed() == built.keys() | {"builds/b1.json"}


def test_a_publish_that_is_killed_at_its_commit_has_published_or_has_not(bucket, built):
    for arrives in (False, True):
        publish_is_over = len(built.keys()) + 1
        killed(bucket, built, Killer(publish_is_over, arrives=arrives))
        assert (state(bucket, "b1") == "published") == arrives
        assert not arrives or built.wrong(bucket) == []
