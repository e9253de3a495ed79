"""Publishers and pruners of builds that have assets in common, in every order that hypothesis has.

The processes are those of `test_protocol`, and after every request each published build must have
every object. A deletion can be under way for as long as it likes in a bucket with versions, and for
a time that is measured here in one without.
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha384
from itertools import permutations
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.origin.test_protocol import (
    ALL,
    CSS,
    FEW,
    MANY,
    PNG,
    SHARED,
    Bucket,
    InlineThread,
    Process,
    Turn,
    abandons,
    alone,
    check_published_builds,
    inline_future,
    inline_map,
    records,
)
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin import lease, pruning, publisher, record, shared_objects, transfer
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import State

JS = "text/javascript; charset=utf-8"


def build(root: Path, version: str, content: str, level: int) -> tuple[Manifest, BuildDirectory]:
    """A build whose style sheet and picture are shared, and its script is not."""
    files = {
        f"app.{content}.css": f"css of {content}".encode() * 9,
        "logo.0123.png": b"png",
        "bound.4567.js": b"js",
    }
    directory = root / f"{version}-{content}-{level}"
    directory.mkdir()
    assets = []
    for (hashed_name, data), name, content_type in zip(
        files.items(), ("app.css", "logo.png", "bound.js"), (CSS, PNG, JS), strict=True
    ):
        (directory / hashed_name).write_bytes(data)
        encodings = {}
        if name == "app.css":
            encoded = gzip.compress(data, level, mtime=0)
            (directory / f"{hashed_name}.gz").write_bytes(encoded)
            encodings["gzip"] = len(encoded)
        integrity = f"sha384-{b64encode(sha384(data).digest()).decode()}"
        prefix = "" if name == "bound.js" else "_shared"
        item = Asset(name, hashed_name, version, len(data), integrity, content_type, encodings)
        assets.append(Asset(**{**fields(item), "shared_prefix": prefix}))
    manifest = Manifest(
        paths={asset.name: asset.hashed_name for asset in assets},
        build=version,
        content=content,
        encoders={"gzip": {"level": 9}},
        # A copy of a shared object that is missing fails, so not each build makes one.
        keep_originals=("app.css",) if version == "b3" else ("bound.js",),
        shared_prefix="_shared",
        shared_rules=1,
        assets={asset.hashed_name: asset for asset in assets},
    )
    return manifest, BuildDirectory(directory)


def fields(asset: Asset) -> dict[str, Any]:
    return {name: getattr(asset, name) for name in Asset.__slots__}


class Patience(Event):
    """Whoever waits for it lets time pass."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self.bucket = bucket

    def wait(self, timeout: float | None = None) -> bool:
        self.bucket.pass_time(timedelta(seconds=30))
        return self.is_set()


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    root = tmp_path_factory.mktemp("machines")
    return {
        (version, content, level): build(root, version, content, level)
        for version in ("b1", "b2", "b3")
        for content in ("red", "blue")
        for level in (1, 9)
    }


@pytest.fixture(autouse=True)
def in_one_thread(monkeypatch):
    for module in (publisher, record, shared_objects):
        monkeypatch.setattr(module, "map_in_threads", inline_map)
    for module in (publisher, pruning):
        monkeypatch.setattr(module, "in_background", inline_future)
    monkeypatch.setattr(transfer, "Thread", InlineThread)


def publishes(machines, version, content, level=9, *, base: bool | str = True):
    manifest, directory = machines[version, content, level]
    return lambda origin: Publisher(origin, base).publish(manifest, directory)


def prunes(older_than: timedelta = timedelta(0)):
    def work(origin):
        pruner = Pruner(origin, "_shared")
        plan = pruner.plan(keep=1, older_than=older_than)
        list(pruner.execute(plan))
        pruner.sweep(plan)

    return work


@dataclass(frozen=True)
class World:
    """What was before, and what the processes are; of the `PASTS`, some have a process that died.

    ``died_after`` is the number of its requests, ``late`` is True if its last one is under way.
    """

    past: str = "superseded"
    second: tuple[str, str, int] = ("b3", "red", 1)
    bases: tuple[bool, bool] = (True, True)
    versioned: bool = False
    #: A prune with zero takes over publishes that died, one with a day lets them be resumed.
    older_than: timedelta = timedelta(0)
    died_after: int = 0
    late: bool = False


PASTS = {
    "nothing": (),
    "published": ("publish b3 red",),
    "superseded": ("publish b3 red", "publish b2 blue"),
    "a publish died": ("publish b2 blue", "die b3 red"),
    "a publish was abandoned": ("publish b2 blue", "die b1 red", "abandon"),
    "a prune died": ("publish b3 red", "publish b2 blue", "die prune"),
    "pruned": ("publish b1 red", "publish b2 blue", "prune"),
}
FIRST, SECOND, PRUNER, ANOTHER_PRUNER = range(4)


def live_through(bucket: Bucket, machines: Any, world: World) -> None:
    for event in PASTS[world.past]:
        verb, *what = event.split()
        works = {"prune": prunes(), "abandon": abandons}
        work = works.get(what[0] if verb == "die" else verb) or publishes(machines, *what)
        if verb != "die":
            alone(bucket, work)
            bucket.pass_time(timedelta(minutes=20))
            continue
        process = Process(event, work, bucket)
        process.start()
        for _ in range(world.died_after):
            if not process.ended:
                step(bucket, process)
        while not process.ended:
            step(bucket, process, "late" if world.late else "before")
    bucket.now += timedelta(days=2)


def run(bucket: Bucket, processes: list[Process], schedule: Iterable[Turn]) -> None:
    """Run the processes as the schedule says, and to their ends then."""
    for turn in schedule:
        happens(turn.event, bucket, processes)
        process = processes[turn.who]
        killed = {"kill before": "before", "kill after": "after"}.get(turn.event, turn.event)
        killed = killed if killed in ("before", "after", "late", "again") else ""
        for number in range(turn.requests):
            if not process.ended:
                last = number == turn.requests - 1
                step(bucket, process, killed if last else "")
    for process in processes:
        while not process.ended:
            step(bucket, process)
    bucket.pass_time(timedelta(minutes=10))
    check_published_builds(bucket)


def happens(event: str, bucket: Bucket, processes: list[Process]) -> None:
    if event in ("wait", "sleep"):
        # The clock of `time.monotonic` stands still while a machine sleeps.
        bucket.pass_time(timedelta(minutes=20))
        bucket.asleep += timedelta(minutes=20 if event == "sleep" else 0)
    elif event == "arrive":
        bucket.arrive()
    elif event == "abandon":
        bucket.strays = True
        operator = Process("operator", abandons, bucket)
        operator.start()
        processes.append(operator)


def step(bucket: Bucket, process: Process, doomed: str = "") -> None:
    process.step(doomed)
    bucket.pass_time(timedelta(seconds=1))
    check_published_builds(bucket)
    if process.ended:
        assert process.fault is None, process.fault


def shared_keys(bucket: Bucket) -> set[str]:
    return {key for key in bucket.objects if key.startswith(SHARED)}


def listed_by_published(bucket: Bucket) -> set[str]:
    return {
        f"static/{file.path}"
        for item in records(bucket)
        if item.state is State.PUBLISHED
        for file in item.manifest.shared_files()
    }


def check(machines: Any, world: World, schedule: Iterable[Turn]) -> None:
    bucket = Bucket(versioned=world.versioned)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(lease, "time", bucket.clock())
        monkeypatch.setattr(publisher, "interruptible", lambda work: work(Patience(bucket)))
        live_through(bucket, machines, world)
        processes = [
            Process("first", publishes(machines, "b1", "red", 9, base=world.bases[0]), bucket),
            Process("second", publishes(machines, *world.second, base=world.bases[1]), bucket),
            Process("pruner", prunes(world.older_than), bucket),
            Process("another pruner", prunes(world.older_than), bucket),
        ]
        for process in processes:
            process.start()
        run(bucket, processes, schedule)
        check_the_end(bucket, machines)


def check_the_end(bucket: Bucket, machines: Any) -> None:
    """In the end all that no build lists is gone, and whatever was left can be published."""
    for _ in range(2):
        bucket.pass_time(timedelta(minutes=40))
        bucket.now += timedelta(days=40)
        assert alone(bucket, prunes()).succeeded
    assert shared_keys(bucket) == listed_by_published(bucket)
    contents = {item.build: item.content for item in records(bucket) if item.was_published}
    last = alone(bucket, publishes(machines, "b1", "red"))
    assert last.succeeded or contents.get("b1") == "blue"
    bucket.arrive()
    check_published_builds(bucket)


def overtaken(slow: int, before: int, *others: int, event: str = "") -> list[Turn]:
    """A process stops after some requests, and goes on when the others have ended."""
    return [Turn(slow, before), *(Turn(other, ALL, event) for other in others), Turn(slow, ALL)]


def crossed(slow: int, before: int, other: int, meanwhile: int, event: str = "") -> list[Turn]:
    """Two processes stop once each, and what happens in between."""
    return [Turn(slow, before), Turn(other, meanwhile, event), Turn(slow, ALL), Turn(other, ALL)]


#: More requests than a process makes until it only waits.
LONG = 34
A_DAY = timedelta(days=1)
DEPTH = max(1, MANY // 750)


@pytest.mark.parametrize("event", ["", pytest.param("sleep", marks=pytest.mark.deep)])
@pytest.mark.parametrize(
    ("world", "slow", "others"),
    [
        (World("superseded"), FIRST, [PRUNER]),
        (World("superseded"), PRUNER, [FIRST]),
        pytest.param(
            World("superseded", older_than=A_DAY), FIRST, [PRUNER], marks=pytest.mark.deep
        ),
        pytest.param(World("superseded"), PRUNER, [ANOTHER_PRUNER, FIRST], marks=pytest.mark.deep),
        pytest.param(World("nothing"), FIRST, [SECOND], marks=pytest.mark.deep),
        pytest.param(
            World("published", second=("b2", "blue", 1)),
            FIRST,
            [SECOND, PRUNER],
            marks=pytest.mark.deep,
        ),
    ],
)
def test_a_process_may_be_overtaken_at_each_request(machines, world, slow, others, event):
    for before in range(LONG):
        check(machines, world, overtaken(slow, before, *others, event=event))


@pytest.mark.deep
def test_a_publisher_and_a_pruner_may_overtake_each_other(machines):
    """The publisher before it has planned, the pruner until it has deleted some."""
    for before in range(4, 10):
        for meanwhile in range(10, 26, 2):
            check(machines, World("superseded"), crossed(FIRST, before, PRUNER, meanwhile))
    # Here a record that it has read before vouches for what the pruner deletes.
    world = World("published", second=("b2", "blue", 1))
    for before in (4, 5):
        for meanwhile in range(14, 28):
            for again in (3, 4):
                schedule = [
                    Turn(FIRST, before),
                    Turn(SECOND, ALL),
                    Turn(PRUNER, meanwhile),
                    Turn(FIRST, again),
                    Turn(PRUNER, ALL),
                ]
                check(machines, world, schedule)


@pytest.mark.deep
@pytest.mark.parametrize("past", sorted(PASTS))
def test_any_two_processes_may_overtake_each_other(machines, past):
    """Each request of the slow one with some of the other one's; other ones with another seed."""
    chance = Random(f"{past} {os.environ.get('TEST_SEEDS', 1)}")
    for slow, other in permutations((FIRST, PRUNER, ANOTHER_PRUNER), 2):
        for before in range(LONG):
            for _ in range(DEPTH):
                versioned = chance.random() < 0.5
                world = World(
                    past,
                    versioned=versioned,
                    older_than=chance.choice([timedelta(0), A_DAY]),
                    died_after=chance.randrange(LONG),
                    late=versioned,
                )
                event = chance.choice(["", "sleep", "late", "kill after"])
                schedule = crossed(slow, before, other, chance.randrange(1, LONG), event)
                check(machines, world, schedule)


@pytest.mark.deep
def test_what_a_dead_prune_may_still_delete_is_known_to_those_who_come_later(machines):
    """A publisher that died keeps the object, another prune passes, and the deletion comes last."""
    world = World("superseded", versioned=True, older_than=A_DAY)
    for deleting in range(14, LONG):
        for leased in (4, 6, 8):
            schedule = [
                Turn(PRUNER, deleting),
                Turn(FIRST, leased, "kill after"),
                Turn(PRUNER, 1, "late"),
                Turn(ANOTHER_PRUNER, ALL, "wait"),
                Turn(SECOND, ALL),
            ]
            check(machines, world, schedule)


@pytest.mark.parametrize("versioned", [False, True])
def test_a_deletion_that_was_sent_twice_may_arrive_twice(machines, versioned):
    """The second was answered, and a publish writes the object again before the first arrives."""
    for deleting in range(10, LONG):
        schedule = [Turn(PRUNER, deleting, "again"), Turn(PRUNER, ALL), Turn(FIRST, ALL)]
        check(machines, World("superseded", versioned=versioned), schedule)


@pytest.mark.deep
def test_the_known_limitation_begins_with_half_the_life_of_a_lease(machines):
    """Without versions a deletion does harm that arrives so long after it was sent, not earlier."""

    def does_harm(sent_after: float, arrives_after: float) -> bool:
        bucket = Bucket(latest=timedelta(minutes=arrives_after))
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(lease, "time", bucket.clock())
            monkeypatch.setattr(publisher, "interruptible", lambda work: work(Patience(bucket)))
            live_through(bucket, machines, World("superseded"))
            pruner = Process("pruner", prunes(), bucket)
            pruner.start()
            while stage(bucket) != "deleting":
                pruner.step()
            bucket.pass_time(timedelta(minutes=sent_after))
            pruner.step("late")
            assert bool(bucket.in_flight) == (sent_after < HALF_A_LIFE)
            try:
                alone(bucket, publishes(machines, "b1", "red"))
                bucket.pass_time(timedelta(minutes=30))
                check_published_builds(bucket)
            except AssertionError:
                return True
            return False

    harmful = [
        quarter / 4
        for sent_after in (0, 7.4, 7.6)
        for quarter in range(20, 40)
        if does_harm(sent_after, quarter / 4)
    ]
    # It is sent in the last moment, and a publisher finds the lease expired.
    assert HALF_A_LIFE < min(harmful) <= HALF_A_LIFE + 0.75


#: Minutes.
HALF_A_LIFE = lease.EXPIRES_AFTER.total_seconds() / 120


def stage(bucket: Bucket) -> str | None:
    if shared_objects.SWEEP not in bucket.objects:
        return None
    said: str = json.loads(bucket.objects[shared_objects.SWEEP][0])["stage"]
    return said


EVENTS = (
    *("", "", ""),
    *("kill before", "kill after", "wait", "sleep", "late", "again", "arrive", "abandon"),
)


def schedules() -> st.SearchStrategy[list[Turn]]:
    turn = st.builds(Turn, st.integers(0, 3), st.integers(1, 9), st.sampled_from(EVENTS))
    crossing = st.builds(
        lambda order, before, meanwhile, event, later: [
            Turn(order[0], before),
            Turn(order[1], meanwhile, event),
            Turn(order[0], 1, later),
            Turn(order[2], ALL),
            Turn(order[1], ALL),
        ],
        st.permutations(range(4)),
        st.integers(0, LONG),
        st.integers(1, LONG),
        st.sampled_from(EVENTS),
        st.sampled_from(EVENTS),
    )
    return st.one_of(st.lists(turn, max_size=30), crossing)


def worlds() -> st.SearchStrategy[World]:
    return st.builds(
        World,
        past=st.sampled_from(sorted(PASTS)),
        second=st.tuples(
            st.sampled_from(["b1", "b3"]), st.sampled_from(["red", "blue"]), st.sampled_from([1, 9])
        ),
        bases=st.tuples(st.booleans(), st.booleans()),
        versioned=st.booleans(),
        older_than=st.sampled_from([timedelta(0), A_DAY]),
        died_after=st.integers(0, 40),
        late=st.booleans(),
    )


def test_no_published_build_ever_lacks_a_shared_object(machines):
    explore(machines, FEW)


@pytest.mark.deep
def test_not_in_many_more_schedules_either(machines):
    explore(machines, MANY // 2)


def explore(machines: Any, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(world=worlds(), schedule=schedules())
    def explored(world, schedule):
        check(machines, world, schedule)

    explored()
