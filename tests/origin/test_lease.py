from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from tests.builds import site_origin
from tests.s3 import front
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin import lease, record
from versioned_storage.origin.lease import (
    AlreadyPublishing,
    BeingPruned,
    BuildIsPublished,
    ConditionsIgnored,
    LeaseLost,
    NoLease,
)
from versioned_storage.origin.record import Record, State


def manifest(content="red"):
    return Manifest({}, build="b1", content=content)


def leased(origin, content="red", *, ago=timedelta(0), **changes):
    """A lease of another process, as the record has it."""
    since = datetime.now(timezone.utc) - ago
    new_record = replace(
        Record("b1", State.PUBLISHING, content, since, publish_id="theirs"), **changes
    )
    stored = record.read(origin, "b1")
    record.write(origin, new_record, stored.etag if stored else None)
    return record.read(origin, "b1")


def published(origin, content="red", state=State.PUBLISHED):
    new_record = leased(origin, content).record.published(
        manifest(content), datetime.now(timezone.utc)
    )
    stored = record.read(origin, "b1")
    record.write(origin, replace(new_record, state=state), stored.etag)
    return record.read(origin, "b1")


def acquire(origin, content="red"):
    return lease.acquire(origin, manifest(content), record.read(origin, "b1"))


def state(origin):
    return record.read(origin, "b1").record.state


def test_a_free_build_is_leased(origin):
    assert acquire(origin).record.state is State.PUBLISHING
    assert state(origin) is State.PUBLISHING


def test_publishers_of_the_same_content_share_a_publish(origin):
    theirs = leased(origin).record
    assert acquire(origin).record.publish_id == theirs.publish_id


def test_a_publisher_of_other_content_is_refused_the_lease(origin):
    theirs = leased(origin, "blue")
    with pytest.raises(AlreadyPublishing) as refused:
        acquire(origin)
    since = f"{theirs.record.since:%Y-%m-%d %H:%M:%S} UTC"
    url = origin.url("builds/b1.json")
    assert str(refused.value) == (
        "Another process is publishing other content as build b1. It renewed its lease in "
        f"{url} at {since}. Set another BUILD_VERSION. If that process is dead, the lease expires "
        "15 minutes after that time; 'python manage.py staticbuilds publish --abandon b1' ends it "
        "now, and 'python manage.py staticbuilds prune' deletes what that process has uploaded."
    )
    assert record.read(origin, "b1").etag == theirs.etag


def test_an_expired_lease_is_taken_over(origin):
    leased(origin, "blue", ago=timedelta(minutes=16))
    ours = acquire(origin)
    assert (ours.record.content, state(origin)) == ("red", State.PUBLISHING)
    assert ours.record.publish_id != "theirs"


def test_the_same_content_again_renews_the_activation(origin):
    before = published(origin)
    assert acquire(origin) is None
    after = record.read(origin, "b1")
    assert after.etag != before.etag
    assert after.record.since > before.record.since
    assert state(origin) is State.PUBLISHED


@pytest.mark.parametrize("in_state", [State.PUBLISHED, State.RETIRED, State.PUBLISHING])
def test_what_was_published_once_takes_no_other_content(origin, in_state):
    """Retired, and on its way back too: caches have it."""
    before = published(origin, "blue", in_state)
    with pytest.raises(BuildIsPublished):
        acquire(origin)
    assert record.read(origin, "b1").etag == before.etag


def test_a_retired_build_may_come_back(origin):
    published(origin, state=State.RETIRED)
    assert acquire(origin).record.was_published


def test_an_abandoned_build_may_have_any_content(origin):
    leased(origin, "blue", state=State.ABANDONED)
    assert acquire(origin).record.content == "red"


def test_nobody_publishes_what_is_being_pruned(origin):
    published(origin, state=State.PRUNING)
    with pytest.raises(BeingPruned, match="staticbuilds prune' finishes"):
        acquire(origin)


def test_a_record_that_changed_since_it_was_read_is_read_again(origin):
    """Another process acquired the lease in between."""
    looked = record.read(origin, "b1")
    leased(origin)
    assert lease.acquire(origin, manifest(), looked).record.publish_id == "theirs"


def test_work_before_the_lease_is_done_once(origin):
    """Meanwhile another publisher of the same content may acquire the lease and renew it."""
    calls = []

    def before():
        calls.append(leased(origin))

    assert lease.acquire(origin, manifest(), None, before=before) is not None
    assert len(calls) == 1


def test_no_work_is_done_before_an_activation_is_renewed(origin):
    published(origin)
    stored = record.read(origin, "b1")
    assert lease.acquire(origin, manifest(), stored, before=lambda: pytest.fail("it was")) is None


def test_work_that_fails_before_the_lease_leaves_no_record(origin):
    def before():
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # raised above
        lease.acquire(origin, manifest(), None, before=before)
    assert record.read(origin, "b1") is None


def test_a_store_that_ignores_conditions_is_found_out(moto_bucket):
    def forgets_conditions(request):
        request.headers.pop("If-None-Match", None)
        request.headers.pop("If-Match", None)

    with front(moto_bucket.endpoint, forgets_conditions) as s3:
        origin = site_origin(moto_bucket.options(endpoint_url=s3.url))
        with pytest.raises(ConditionsIgnored, match="option conditional_writes to False"):
            acquire(origin)


def test_a_store_without_conditions_can_be_used_when_that_is_said(bucket):
    with front(bucket.endpoint) as s3:
        acquire(site_origin(bucket.options(endpoint_url=s3.url), conditional=False))
    assert len(s3.asked("PUT")) == 1
    assert not any("If-None-Match" in request.headers for request in s3.requests)


@pytest.fixture
def clock(monkeypatch):
    """This machine's clock, in seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(lease, "clocks", lambda: (clock.now,))
    return clock


def test_a_lease_is_renewed_once_a_minute(origin, clock):
    ours = acquire(origin)
    first = record.read(origin, "b1").etag
    clock.now = 59
    assert ours.renew_if_due()
    assert record.read(origin, "b1").etag == first
    clock.now = 61
    assert ours.renew_if_due()
    assert record.read(origin, "b1").etag != first


def test_two_publishers_of_one_publish_renew_in_turn(origin, clock):
    first, other = acquire(origin), acquire(origin)
    clock.now = 61
    assert first.renew_if_due()
    assert other.renew_if_due()
    clock.now = 122
    assert first.renew_if_due()


def test_a_publisher_learns_that_the_build_was_published_meanwhile(origin, clock):
    first, other = acquire(origin), acquire(origin)
    other.commit(other.record.published(manifest(), datetime.now(timezone.utc)))
    clock.now = 61
    assert first.renew_if_due() is False


@pytest.mark.parametrize("in_state", [State.ABANDONED, State.PRUNING, State.RETIRED])
def test_a_publisher_that_lost_its_lease_stops(origin, clock, in_state):
    ours = acquire(origin)
    published(origin, state=in_state)
    clock.now = 61
    with pytest.raises(LeaseLost, match="lost the lease"):
        ours.renew_if_due()


def test_a_publish_that_began_after_a_prune_is_another_one(origin, clock):
    """Objects that the first one saw may have been deleted since."""
    ours = acquire(origin)
    leased(origin, "red", publish_id="after a prune")
    clock.now = 61
    with pytest.raises(LeaseLost):
        ours.renew_if_due()


def test_a_lease_that_may_have_expired_is_lost_without_a_request(origin, clock):
    ours = acquire(origin)
    clock.now = 7 * 60
    ours.check()
    clock.now = 8 * 60
    with pytest.raises(LeaseLost):
        ours.check()


def test_a_lease_can_be_abandoned(origin):
    leased(origin)
    lease.abandon(origin, "b1")
    assert state(origin) is State.ABANDONED


def test_an_abandoned_return_of_a_retired_build_is_retired_again(origin):
    published(origin, state=State.RETIRED)
    acquire(origin)
    lease.abandon(origin, "b1")
    assert state(origin) is State.RETIRED


def test_a_build_without_a_lease_is_not_abandoned(origin):
    published(origin)
    with pytest.raises(NoLease) as refused:
        lease.abandon(origin, "b1")
    assert str(refused.value) == (
        "Build b1 has no lease to abandon: it is published "
        f"({origin.url('builds/b1.json')}). Nothing was changed."
    )
    with pytest.raises(NoLease, match="there is no record of it"):
        lease.abandon(origin, "b2")


def test_only_a_renewal_after_the_given_time_counts(origin, clock):
    ours = acquire(origin)
    first = record.read(origin, "b1").etag
    clock.now = 5
    assert ours.renew(unless_since=(4,))
    renewed = record.read(origin, "b1").etag
    assert renewed != first
    assert ours.renew(unless_since=(4,))
    assert record.read(origin, "b1").etag == renewed


def test_a_machine_that_slept_has_an_older_lease(origin, monkeypatch):
    """Its monotonic clock stood still meanwhile."""
    clock = SimpleNamespace(
        CLOCK_BOOTTIME=7,
        monotonic=lambda: 100.0,
        clock_gettime=lambda _: clock.boottime,
        boottime=0,
    )
    monkeypatch.setattr(lease, "time", clock)
    ours = acquire(origin)
    ours.check()
    clock.boottime = 20 * 60
    with pytest.raises(LeaseLost):
        ours.check()


def test_where_no_clock_runs_during_sleep_the_time_of_day_is_read(monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: 1.0, time=lambda: 2.0)
    monkeypatch.setattr(lease, "time", clock)
    assert lease.clocks() == (1.0, 2.0)


def test_a_publisher_that_joins_copies_from_the_same_base_build(origin):
    """The bytes of an encoding differ between builds, and those on S3 must be the recorded ones."""
    leased(origin, base="b0")
    joined = lease.acquire(origin, manifest(), record.read(origin, "b1"), "another")
    assert joined.record.base == "b0"


def test_a_publisher_that_begins_names_its_own_base_build(origin):
    published(origin, state=State.RETIRED)
    first = lease.acquire(origin, manifest(), record.read(origin, "b1"), "b7")
    assert first.record.base == "b7"
