from dataclasses import replace
from datetime import datetime, timedelta, timezone
from hashlib import md5

import pytest

from tests.builds import site_origin
from tests.s3 import front, refusal
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin import lease, record
from versioned_storage.origin.pruning import PrunedBuild, Pruner
from versioned_storage.origin.record import Record, State
from versioned_storage.origin.s3_errors import NotDeleted

NOW = datetime.now(timezone.utc)
PLAN = {"keep": 1, "older_than": timedelta(days=30)}


def manifest(build):
    asset = Asset("a.css", "a.0123.css", build, 3, "sha384-a", "text/css; charset=utf-8")
    return Manifest(
        {"a.css": "a.0123.css"}, build=build, content="red", assets={asset.hashed_name: asset}
    )


def publish(origin, build, days, state=State.PUBLISHED, **changes):
    """A build that was published so many days ago, with its objects."""
    leased = Record(build, State.PUBLISHING, "red", NOW, publish_id="some")
    new_record = leased.published(manifest(build), NOW)
    since = NOW - timedelta(days=days)
    record.write(origin, replace(new_record, state=state, since=since, **changes), None)
    for name in ("a.css", "a.0123.css"):
        origin.put(f"static/{build}/{name}", b"a{}")


def left_over(origin, build, state, **ago):
    """What a publish left that did not end."""
    since = NOW - timedelta(**ago)
    record.write(origin, Record(build, state, "red", since, publish_id="some"), None)
    origin.put(f"static/{build}/a.0123.css", b"a{}")


def pruner(origin):
    return Pruner(origin)


def prune(origin, **rules):
    item = pruner(origin)
    return list(item.execute(item.plan(**{**PLAN, **rules})))


def states(origin):
    return {stored.record.build: stored.record.state.value for stored in record.heads(origin)}


def test_what_may_go_goes_and_all_else_stays(bucket, origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    publish(origin, "b3", 40)
    origin.put("static/b10/a.css", b"of a build whose name begins alike")
    assert prune(origin) == [PrunedBuild("b1", 2), PrunedBuild("b2", 2)]
    assert states(origin) == {"b1": "retired", "b2": "retired", "b3": "published"}
    assert {key for key in bucket.listed() if key.startswith("static/")} == {
        "static/b10/a.css",
        "static/b3/a.0123.css",
        "static/b3/a.css",
    }


def test_a_retired_build_remembers_what_it_was(origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    prune(origin)
    assert record.read(origin, "b1").record.manifest == manifest("b1")


def test_a_build_is_marked_before_its_first_object_is_deleted(bucket):
    origin = site_origin(bucket.options())
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    with front(bucket.endpoint) as s3:
        prune(site_origin(bucket.options(endpoint_url=s3.url)))
    asked = [(item.method, item.path.removeprefix(f"/{bucket.name}")) for item in s3.requests]
    mark, delete = asked.index(("PUT", "/builds/b1.json")), asked.index(("POST", ""))
    assert mark < delete
    assert asked[-1] == ("PUT", "/builds/b1.json")


def test_a_build_that_was_activated_meanwhile_is_left_alone(bucket, origin):
    """A rollback, between the decision and the deed."""
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    planned = pruner(origin).plan(**PLAN)
    stored = record.read(origin, "b1")
    assert lease.acquire(origin, stored.record.manifest, stored) is None
    assert list(pruner(origin).execute(planned)) == [PrunedBuild("b1", 0, changed=True)]
    assert states(origin)["b1"] == "published"
    assert "static/b1/a.css" in bucket.listed()


def test_the_base_of_a_running_publish_is_kept(origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    record.write(origin, Record("b3", State.PUBLISHING, "red", NOW, base="b1"), None)
    planned = pruner(origin).plan(**PLAN)
    assert planned.candidates == ()
    reasons = {item.build: item.reason for item in planned.verdicts}
    assert reasons["b1"] == "is copied from by the publish of b3"


def test_the_base_of_a_dead_publish_is_not(origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    dead = Record("b3", State.PUBLISHING, "red", NOW - timedelta(days=1), base="b1")
    record.write(origin, dead, None)
    assert [item.build for item in pruner(origin).plan(**PLAN).candidates] == ["b1"]


def test_leftovers_of_a_dead_publish_are_leased_before_they_are_deleted(bucket, origin):
    left_over(origin, "dead", State.PUBLISHING, days=31)
    left_over(origin, "abandoned", State.ABANDONED, minutes=1)
    planned = pruner(origin).plan(**PLAN)
    assert {item.build: item.reason for item in planned.candidates} == {
        "abandoned": "its publish was abandoned",
        "dead": "its publish did not end",
    }
    list(pruner(origin).execute(planned))
    assert states(origin) == {"abandoned": "abandoned", "dead": "abandoned"}
    assert bucket.listed() == {"builds/abandoned.json", "builds/dead.json"}
    assert pruner(origin).plan(**PLAN).candidates == ()


def test_a_protected_publish_may_be_resumed_at_any_age(origin):
    """What was abandoned is deleted in any case: whoever runs that build version asks for it."""
    left_over(origin, "dead", State.PUBLISHING, days=31)
    left_over(origin, "abandoned", State.ABANDONED, minutes=1)
    protected = dict.fromkeys(["dead", "abandoned"], "is protected")
    planned = pruner(origin).plan(**PLAN, protected=protected)
    assert [item.build for item in planned.candidates] == ["abandoned"]


def test_what_an_abandoned_return_of_a_retired_build_left_goes_too(bucket, origin):
    publish(origin, "b1", 0, State.RETIRED)
    stored = record.read(origin, "b1")
    lease.acquire(origin, stored.record.manifest, stored)
    lease.abandon(origin, "b1")
    assert prune(origin) == [PrunedBuild("b1", 2)]
    assert states(origin) == {"b1": "retired"}
    assert bucket.listed() == {"builds/b1.json"}
    assert pruner(origin).plan(**PLAN).candidates == ()


def test_a_publish_that_may_still_be_resumed_is_left(origin):
    left_over(origin, "running", State.PUBLISHING, minutes=1)
    left_over(origin, "of yesterday", State.PUBLISHING, days=1)
    assert pruner(origin).plan(**PLAN).candidates == ()


def test_a_prune_that_died_is_finished(bucket, origin):
    publish(origin, "b1", 1, State.PRUNING)
    assert prune(origin) == [PrunedBuild("b1", 2)]
    assert states(origin) == {"b1": "retired"}


def test_a_prune_that_runs_is_left_to_itself_and_named(origin):
    publish(origin, "b1", 0, State.PRUNING)
    assert prune(origin) == []
    assert pruner(origin).plan(**PLAN).busy == {"b1": NOW}


def test_an_object_that_s3_keeps_is_an_error_and_the_next_prune_goes_on(bucket, origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)

    def keeps_one(request):
        if request.method != "POST":
            return None
        key = "static/b1/a.css"
        text = f"<Error><Key>{key}</Key><Code>InternalError</Code><Message>Sorry</Message></Error>"
        return replace(refusal(200, "", ""), body=f"<DeleteResult>{text}</DeleteResult>".encode())

    with front(bucket.endpoint, keeps_one) as s3, pytest.raises(NotDeleted) as failed:
        prune(site_origin(bucket.options(endpoint_url=s3.url)))
    url = f"s3://{bucket.name}/static/b1/a.css"
    assert failed.value.errors == ((url, "InternalError", "Sorry"),)
    assert "static/b1/a.css" in bucket.listed()
    [candidate] = pruner(origin).plan(**PLAN).candidates
    assert candidate.reason == "some of its objects may be left"
    assert prune(origin) == [PrunedBuild("b1", 2)]
    assert "static/b1/a.css" not in bucket.listed()
    assert pruner(origin).plan(**PLAN).candidates == ()


def test_a_build_that_s3_keeps_an_object_of_can_come_back_at_once(bucket, origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)

    def keeps_all(request):
        if request.method != "POST":
            return None
        text = "<Error><Key>static/b1/a.css</Key><Code>AccessDenied</Code></Error>"
        return replace(refusal(200, "", ""), body=f"<DeleteResult>{text}</DeleteResult>".encode())

    with front(bucket.endpoint, keeps_all) as s3, pytest.raises(NotDeleted):
        prune(site_origin(bucket.options(endpoint_url=s3.url)))
    assert states(origin)["b1"] == "retired"
    assert lease.acquire(origin, manifest("b1"), record.read(origin, "b1")) is not None


def as_one(text):
    return replace(refusal(200, "", ""), body=f"<DeleteResult>{text}</DeleteResult>".encode())


def test_an_object_is_deleted_only_if_it_is_still_the_one_that_was_listed(bucket, origin):
    """S3 compares the ETags; a store that does not know them ignores them."""
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    with front(bucket.endpoint) as s3:
        prune(site_origin(bucket.options(endpoint_url=s3.url)))
    [deletion] = [request for request in s3.requests if request.method == "POST"]
    etag = md5(b"a{}").hexdigest()
    assert deletion.body.count(f"<ETag>{etag}</ETag>".encode()) == 2


@pytest.mark.parametrize(
    "refused",
    [
        refusal(501, "NotImplemented", "A header you provided implies functionality"),
        refusal(400, "MalformedXML", "The XML was not well-formed"),
        as_one("<Error><Key>static/b1/a.css</Key><Code>AccessDenied</Code></Error>"),
    ],
)
def test_a_store_that_refuses_to_compare_etags_deletes_without(bucket, origin, refused):
    """Also without the permission to read the objects, which AWS wants for that."""
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)

    def refuses(request):
        return refused if request.method == "POST" and b"<ETag>" in request.body else None

    with front(bucket.endpoint, refuses) as s3:
        behind = site_origin(bucket.options(endpoint_url=s3.url))
        assert prune(behind) == [PrunedBuild("b1", 2)]
    assert len(s3.asked("POST")) == 2
    assert "static/b1/a.css" not in bucket.listed()


def test_an_object_that_was_deleted_before_the_answer_was_lost_is_no_error(bucket, origin):
    publish(origin, "b1", 90)
    publish(origin, "b2", 60)
    missing = as_one("<Error><Key>static/b1/a.css</Key><Code>NoSuchKey</Code></Error>")

    def answers(request):
        return missing if request.method == "POST" else None

    with front(bucket.endpoint, answers) as s3:
        pruned = prune(site_origin(bucket.options(endpoint_url=s3.url)))
    assert pruned == [PrunedBuild("b1", 2)]


def test_a_location_is_the_border_of_what_is_pruned(bucket):
    shop, other = (site_origin(bucket.options(location=name)) for name in ("shop", "other"))
    for item in (shop, other):
        publish(item, "b1", 90)
        publish(item, "b2", 60)
    prune(shop)
    assert states(other) == {"b1": "published", "b2": "published"}
    assert {"other/static/b1/a.css", "other/static/b1/a.0123.css"} <= bucket.listed()
