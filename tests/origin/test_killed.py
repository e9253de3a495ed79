"""A publish that is killed, with SIGKILL, at one point after the other; and then run again."""

import multiprocessing
import os
import signal
from itertools import count
from random import Random
from threading import Event

import pytest

from tests.builds import collected, site_origin, state
from tests.s3 import HANGS_UP, front
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin.plan import Action
from versioned_storage.origin.publisher import Publisher

SEEDS = range(int(os.environ.get("TEST_SEEDS", "1")))
# With many seeds they take minutes.
pytestmark = [pytest.mark.deep] if "TEST_SEEDS" in os.environ else []

# Forks of a small process that has imported what they need: a fork of this one would have the
# locks of its threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.origin.test_killed"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site")) as built_build:
        yield built_build


def publish(origin_options, manifest, directory):
    """What the process does."""
    origin = site_origin(origin_options, connections=3)
    return Publisher(origin).publish(Manifest.from_json(manifest), BuildDirectory(directory))


class Killer:
    """Kills a process at a request, which the server then gets or does not get."""

    def __init__(self, when, *, arrives):
        self.when = when
        self.arrives = arrives
        self.process = None
        self.started = Event()
        self.is_time = False

    def __call__(self, request):
        assert self.started.wait(30)
        if not self.is_time and self.when(request):
            self.is_time = True
            # Once: what it asked in the same moment comes when its id may be another's already.
            os.kill(self.process.pid, signal.SIGKILL)
        return HANGS_UP if self.is_time and not self.arrives else None


def after(number):
    """When so many requests were made."""
    requests = count()
    return lambda _: next(requests) == number


def commits(request):
    return request.method == "PUT" and b'"state": "published"' in request.body


def killed(bucket, built, killer):
    """Publish in a process of its own, which is killed; give the signal that ended it."""
    with front(bucket.endpoint, killer) as s3:
        origin_options = bucket.options(endpoint_url=s3.url)
        arguments = (origin_options, built.manifest.to_json(), str(built.directory))
        killer.process = PROCESSES.Process(target=publish, args=arguments)
        killer.process.start()
        killer.started.set()
        killer.process.join(60)
        # What it asked last may still be on its way.
        s3.settle()
        return -killer.process.exitcode


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_killed_publish_left_is_finished_by_the_next(bucket, built, seed):
    """It does the work that is left and no more."""
    random = Random(seed)
    for _ in range(3):
        # Every object is asked for or put, so the commit is a later request than these.
        number = random.randrange(len(built.keys()) + 3)
        killer = Killer(after(number), arrives=random.random() < 0.5)
        assert killed(bucket, built, killer) == signal.SIGKILL
        assert state(bucket, "b1") != "published"
    uploaded = bucket.listed() & built.keys()
    published = publish(bucket.options(), built.manifest.to_json(), built.directory)
    assert published.objects[Action.SKIP] == len(uploaded)
    assert sum(published.objects.values()) == len(built.keys())
    assert state(bucket, "b1") == "published"
    assert built.wrong(bucket) == []
    assert bucket.listed() == built.keys() | {"builds/b1.json"}


@pytest.mark.parametrize("arrives", [False, True])
def test_a_publish_that_is_killed_at_its_commit_is_published_if_that_arrives(
    bucket, built, arrives
):
    assert killed(bucket, built, Killer(commits, arrives=arrives)) == signal.SIGKILL
    assert (state(bucket, "b1") == "published") == arrives
    assert built.wrong(bucket) == []
