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


@pytest.fixture
def origin(bucket):
    return site_origin(bucket.options())


def claimed(origin, content="red", *, ago=timedelta(0), **changes):
    """A claim of somebody else, as it stands in the record."""
    since = datetime.now(timezone.utc) - ago
    made = replace(Record("b1", State.PUBLISHING, content, since, publish_id="theirs"), **changes)
    held = record.read(origin, "b1")
    record.write(origin, made, held.etag if held else None)
    return record.read(origin, "b1")


def published(origin, content="red", state=State.PUBLISHED):
    made = claimed(origin, content).record.published(manifest(content), datetime.now(timezone.utc))
    held = record.read(origin, "b1")
    record.write(origin, replace(made, state=state), held.etag)
    return record.read(origin, "b1")


def take(origin, content="red"):
    return lease.acquire(origin, manifest(content), record.read(origin, "b1"))


def state(origin):
    return record.read(origin, "b1").record.state


# Who may publish


def test_a_build_that_nobody_has_is_claimed(origin):
    assert take(origin).record.state is State.PUBLISHING
    assert state(origin) is State.PUBLISHING


def test_who_publishes_the_same_content_is_helped(origin):
    theirs = claimed(origin).record
    assert take(origin).record.publish_id == theirs.publish_id


def test_who_publishes_other_content_keeps_the_claim(origin):
    theirs = claimed(origin, "blue")
    with pytest.raises(AlreadyPublishing) as refused:
        take(origin)
    since = f"{theirs.record.since:%Y-%m-%d %H:%M:%S} UTC"
    url = origin.url("builds/b1.json")
    assert str(refused.value) == (
        "Another process is publishing other content as build b1. It renewed its lease in "
        f"{url} at {since}. Set another BUILD_VERSION. If that process is dead, the lease expires "
        "15 minutes after that time; 'python manage.py staticbuilds publish --abandon b1' ends it "
        "now."
    )
    assert record.read(origin, "b1").etag == theirs.etag


def test_a_claim_that_nobody_renews_is_taken_over(origin):
    claimed(origin, "blue", ago=timedelta(minutes=16))
    ours = take(origin)
    assert (ours.record.content, state(origin)) == ("red", State.PUBLISHING)
    assert ours.record.publish_id != "theirs"


def test_the_same_content_again_renews_the_activation(origin):
    before = published(origin)
    assert take(origin) is None
    after = record.read(origin, "b1")
    assert after.etag != before.etag
    assert after.record.since > before.record.since
    assert state(origin) is State.PUBLISHED


@pytest.mark.parametrize("in_state", [State.PUBLISHED, State.RETIRED, State.PUBLISHING])
def test_what_was_published_once_takes_no_other_content(origin, in_state):
    """Retired, and on its way back too: caches have it."""
    before = published(origin, "blue", in_state)
    with pytest.raises(BuildIsPublished):
        take(origin)
    assert record.read(origin, "b1").etag == before.etag


def test_a_retired_build_may_come_back(origin):
    published(origin, state=State.RETIRED)
    assert take(origin).record.was_published


def test_an_abandoned_build_may_have_any_content(origin):
    claimed(origin, "blue", state=State.ABANDONED)
    assert take(origin).record.content == "red"


def test_nobody_publishes_what_is_being_pruned(origin):
    published(origin, state=State.PRUNING)
    with pytest.raises(BeingPruned, match="staticbuilds prune' finishes"):
        take(origin)


def test_a_claim_that_is_lost_to_another_one_is_taken_again_after_a_look(origin):
    """Between the look and the claim somebody else began."""
    looked = record.read(origin, "b1")
    claimed(origin)
    assert lease.acquire(origin, manifest(), looked).record.publish_id == "theirs"


def test_what_is_to_be_done_before_a_claim_is_done_once(origin):
    """Meanwhile somebody else, with the same content, may have claimed it, and renewed that."""
    done = []

    def before():
        done.append(claimed(origin))

    assert lease.acquire(origin, manifest(), None, before=before) is not None
    assert len(done) == 1


def test_nothing_is_done_before_an_activation_is_renewed(origin):
    published(origin)
    held = record.read(origin, "b1")
    assert lease.acquire(origin, manifest(), held, before=lambda: pytest.fail("it was")) is None


def test_what_fails_before_a_claim_leaves_none(origin):
    def before():
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # it is the one of above
        lease.acquire(origin, manifest(), None, before=before)
    assert record.read(origin, "b1") is None


def test_a_store_that_ignores_conditions_is_found_out(moto_bucket):
    def forgets_conditions(request):
        request.headers.pop("If-None-Match", None)
        request.headers.pop("If-Match", None)

    with front(moto_bucket.endpoint, forgets_conditions) as s3:
        origin = site_origin(moto_bucket.options(endpoint_url=s3.url))
        with pytest.raises(ConditionsIgnored, match="option conditional_writes to False"):
            take(origin)


def test_a_store_without_conditions_can_be_used_when_that_is_said(bucket):
    with front(bucket.endpoint) as s3:
        take(site_origin(bucket.options(endpoint_url=s3.url), conditional=False))
    assert len(s3.asked("PUT")) == 1
    assert not any("If-None-Match" in one.headers for one in s3.requests)


# While it is used


@pytest.fixture
def clock(monkeypatch):
    """This machine's clock, in seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(lease, "clocks", lambda: (clock.now,))
    return clock


def test_a_claim_is_renewed_once_a_minute(origin, clock):
    ours = take(origin)
    first = record.read(origin, "b1").etag
    clock.now = 59
    assert ours.renew_if_due()
    assert record.read(origin, "b1").etag == first
    clock.now = 61
    assert ours.renew_if_due()
    assert record.read(origin, "b1").etag != first


def test_two_who_help_each_other_renew_in_turn(origin, clock):
    one, other = take(origin), take(origin)
    clock.now = 61
    assert one.renew_if_due()
    assert other.renew_if_due()
    clock.now = 122
    assert one.renew_if_due()


def test_who_is_overtaken_by_the_same_build_learns_it(origin, clock):
    one, other = take(origin), take(origin)
    other.commit(other.record.published(manifest(), datetime.now(timezone.utc)))
    clock.now = 61
    assert one.renew_if_due() is False


@pytest.mark.parametrize("in_state", [State.ABANDONED, State.PRUNING, State.RETIRED])
def test_who_loses_the_claim_stops(origin, clock, in_state):
    ours = take(origin)
    published(origin, state=in_state)
    clock.now = 61
    with pytest.raises(LeaseLost, match="lost the lease"):
        ours.renew_if_due()


def test_who_began_anew_after_a_prune_is_no_help(origin, clock):
    """What was there when this one looked may have been deleted since."""
    ours = take(origin)
    claimed(origin, "red", publish_id="after a prune")
    clock.now = 61
    with pytest.raises(LeaseLost):
        ours.renew_if_due()


def test_a_claim_that_others_may_think_dead_is_known_without_asking(origin, clock):
    ours = take(origin)
    clock.now = 7 * 60
    ours.check()
    clock.now = 8 * 60
    with pytest.raises(LeaseLost):
        ours.check()


# Given up


def test_a_claim_can_be_abandoned(origin):
    claimed(origin)
    lease.abandon(origin, "b1")
    assert state(origin) is State.ABANDONED


def test_an_abandoned_return_of_a_retired_build_is_retired_again(origin):
    published(origin, state=State.RETIRED)
    take(origin)
    lease.abandon(origin, "b1")
    assert state(origin) is State.RETIRED


def test_what_is_not_claimed_is_not_abandoned(origin):
    published(origin)
    with pytest.raises(NoLease) as refused:
        lease.abandon(origin, "b1")
    assert str(refused.value) == (
        "Build b1 has no lease to abandon: it is published "
        f"({origin.url('builds/b1.json')}). Nothing was changed."
    )
    with pytest.raises(NoLease, match="there is no record of it"):
        lease.abandon(origin, "b2")
