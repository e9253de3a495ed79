"""Publishing through a network that fails: by the hundred with TEST_SEEDS, a few without."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from tests.builds import FILES, PREFIX, collected, site_origin, state
from tests.faults import FAULTS, Fault, Plan, faulty, impatient
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.errors import VersionedStorageError
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.s3_errors import OriginError

SEEDS = range(int(os.environ.get("TEST_SEEDS", "1")))
# With many seeds they take minutes.
pytestmark = [pytest.mark.deep] if "TEST_SEEDS" in os.environ else []


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site")) as built_build:
        yield built_build


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Other content under the same build version."""
    files = {**FILES, "css/app.css": "p { color: red }\n" * 20}
    with collected(tmp_path_factory.mktemp("site"), files) as built_build:
        yield built_build


@pytest.fixture(scope="module")
def next_(tmp_path_factory):
    """The next build, of the same content."""
    with collected(tmp_path_factory.mktemp("site"), build="b2") as built_build:
        yield built_build


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Between two attempts each client waits for up to seconds."""
    monkeypatch.setattr("versioned_storage.origin.engine.FIRST_WAIT", 0.0)


def publish(origin, built):
    Publisher(origin).publish(built.manifest, BuildDirectory(built.directory))


def succeeds(origin, built):
    """Return True if a publish reports success; only errors that are meant for people pass."""
    try:
        publish(origin, built)
    except VersionedStorageError:
        return False
    return True


def prune(origin):
    pruner = Pruner(origin)
    for _ in pruner.execute(pruner.plan(keep=1, older_than=timedelta(0))):
        pass


def origin_behind(s3, bucket, attempts):
    origin_options = bucket.options(endpoint_url=s3.url, client_config=impatient(attempts))
    return site_origin(origin_options, connections=4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_publish_never_says_what_is_not_so(bucket, built, seed):
    """A success is a whole build with its record; after a failure, running again finishes."""
    random = Random(seed)
    with faulty(bucket.endpoint) as s3:
        origin = origin_behind(s3, bucket, attempts=random.choice((1, 2)))
        for run in range(3):
            # Most on objects: a fault on the record ends the publish before there are any.
            rate = random.choice((0.1, 0.25, 0.5))
            s3.plan = Plan(1000 * seed + run, rate, mostly=PREFIX)
            if succeeds(origin, built):
                assert state(bucket, "b1") == "published"
                assert built.wrong(bucket) == []
            s3.settle()
            # What was still under way has arrived now.
            assert state(bucket, "b1") != "published" or built.wrong(bucket) == []
    publish(site_origin(bucket.options()), built)
    assert state(bucket, "b1") == "published"
    assert built.wrong(bucket) == []
    assert bucket.listed() == built.keys() | {"builds/b1.json"}


@pytest.mark.parametrize("seed", SEEDS)
def test_two_machines_with_other_contents_never_mix(bucket, built, other, seed):
    """Whoever wins, the build is all of one; and who says that it published is the one."""
    machines = (built, other)
    with faulty(bucket.endpoint) as s3, ThreadPoolExecutor(2) as pool:
        origins = [origin_behind(s3, bucket, attempts=3) for _ in machines]
        s3.plan = Plan(seed, rate=Random(seed).choice((0.0, 0.05, 0.2)))
        worked = list(pool.map(succeeds, origins, machines))
    complete = [machine.wrong(bucket) == [] for machine in machines]
    assert worked != [True, True]
    if state(bucket, "b1") == "published":
        assert sum(complete) == 1
        assert all(is_whole for is_whole, text in zip(complete, worked, strict=True) if text)
    else:
        assert worked == [False, False]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_prune_never_touches_what_it_keeps_nor_leaves_half_a_build(bucket, built, next_, seed):
    """A build that is still published when a prune fails has every object."""
    for item in (built, next_):
        publish(site_origin(bucket.options()), item)
    with faulty(bucket.endpoint) as s3:
        origin = origin_behind(s3, bucket, attempts=2)
        for run in range(2):
            s3.plan = Plan(1000 * seed + run, rate=Random(seed).choice((0.05, 0.2)))
            with suppress(VersionedStorageError):
                prune(origin)
            s3.settle()
            assert state(bucket, "b1") != "published" or built.wrong(bucket) == []
            assert next_.wrong(bucket) == []
    # Leftovers of a dead prune are deleted once its lease has expired.
    if state(bucket, "b1") == "published":
        prune(site_origin(bucket.options()))
        assert state(bucket, "b1") == "retired"
    if state(bucket, "b1") == "retired":
        assert bucket.listed() == next_.keys() | {"builds/b1.json", "builds/b2.json"}
    assert state(bucket, "b2") == "published"


# What a client makes of a fault is the same before any server.


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_every_request_fails_the_publish_unless_it_is_only_slow(
    moto_bucket, built, fault
):
    with faulty(moto_bucket.endpoint, Plan(0, 1.0, (fault,))) as s3:
        worked = succeeds(origin_behind(s3, moto_bucket, attempts=2), built)
        assert set(s3.met) == {fault}
    assert worked == (fault is Fault.DELAYED)
    assert (state(moto_bucket, "b1") == "published") == worked


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda origin: origin.get("a"), "ProtocolError"),
        (lambda origin: origin.put("a", b"{}"), "ConnectionClosedError"),
    ],
)
def test_an_answer_that_breaks_off_is_an_origin_error(moto_bucket, ask, code):
    """botocore reads the words of a refusal where it no longer catches what breaks off."""
    with faulty(moto_bucket.endpoint, Plan(0, 1.0, (Fault.CUT,))) as s3:
        origin = origin_behind(s3, moto_bucket, attempts=1)
        with pytest.raises(OriginError) as broken:
            ask(origin)
    assert broken.value.code == code
