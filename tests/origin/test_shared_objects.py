"""Assets that builds have in common, on S3."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from threading import Event

import pytest
from botocore.config import Config

from tests.builds import site_origin
from tests.origin.shared_builds import CSS, SHARED, shared_build
from tests.s3 import HANGS_UP, front, refusal
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin import lease, pruning, publisher, record, shared_objects
from versioned_storage.origin.plan import Action
from versioned_storage.origin.pruning import PrunePlan, Pruner, SweptObjects
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import State, UnreadableRecord
from versioned_storage.origin.repair import Repairer
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.origin.shared_objects import (
    SWEEP,
    SharedObjectDiffers,
    Stage,
    SweepLease,
    SweepLost,
    UnreadableSweep,
    written_at,
)
from versioned_storage.origin.transfer import PublishFailed
from versioned_storage.origin.verification import Verifier

NOW = datetime.now(timezone.utc)
CHANGED = {**SHARED, "css/app.css": "body { color: blue }\n" * 40}


def keys(bucket, prefix="static/"):
    return {key for key in bucket.listed() if key.startswith(prefix)}


def prune(origin, **rules):
    pruner = Pruner(origin, "_shared")
    plan = pruner.plan(**{"keep": 1, "older_than": timedelta(0), **rules})
    list(pruner.execute(plan))
    return pruner.sweep(plan)


def test_a_shared_asset_is_kept_once_for_all_builds(bucket, origin, tmp_path):
    builds = [shared_build(tmp_path, build) for build in ("b1", "b2")]
    published = [build.publish(origin) for build in builds]
    assert published[0].objects[Action.UPLOAD] == 7
    assert published[1].objects == {Action.UPLOAD: 0, Action.COPY: 3, Action.SKIP: 4}
    files = {file.path for build in builds for file in build.manifest.files()}
    assert keys(bucket) == {f"static/{path}" for path in files}
    assert len([path for path in files if path.startswith("_shared/")]) == 4
    for build in ("b1", "b2"):
        assert Verifier(origin, deep=True).verify(build).ok


def test_a_changed_asset_is_uploaded_beside_the_old_one(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    before = keys(bucket, "static/_shared/")
    published = shared_build(tmp_path, "b2", CHANGED).publish(origin)
    assert published.objects[Action.UPLOAD] == 3
    assert before < keys(bucket, "static/_shared/")
    assert len(keys(bucket, "static/_shared/")) == 7


def test_originals_stay_below_the_build_and_have_the_bytes_of_the_shared_objects(
    bucket, origin, tmp_path
):
    shared_build(tmp_path, "b1", keep_originals=True, level=1).publish(origin)
    build = shared_build(tmp_path, "b2", keep_originals=True)
    published = build.publish(origin)
    assert published.objects[Action.UPLOAD] == 0
    hashed = next(name for name in build.manifest.assets if name.startswith("css/"))
    for suffix in ("", ".br", ".gz"):
        original, shared = f"static/b2/css/app.css{suffix}", f"static/_shared/{hashed}{suffix}"
        assert bucket.get(original)["Body"] == bucket.get(shared)["Body"]
    assert Verifier(origin, deep=True).verify("b2").ok


def test_an_unchanged_deploy_asks_for_no_shared_object(bucket, tmp_path):
    shared_build(tmp_path, "b1").publish(site_origin(bucket.options()))
    with front(bucket.endpoint) as s3:
        shared_build(tmp_path, "b2").publish(site_origin(bucket.options(endpoint_url=s3.url)))
    objects = [request.path for request in s3.requests if "/_shared/" in request.path]
    assert objects == []
    listings = [request for request in s3.requests if "_shared" in request.query]
    assert len(listings) == 1


def test_with_another_encoder_the_record_has_what_s3_has(bucket, origin, tmp_path):
    shared_build(tmp_path / "first", "b1", level=1).publish(origin)
    before = {key: bucket.get(key)["Body"] for key in keys(bucket, "static/_shared/")}
    # It copies nothing and believes no record, so it meets the objects one by one.
    second = shared_build(tmp_path / "second", "b2", level=9)
    stored = record.read(origin, "b1")
    record.write(origin, replace(stored.record, state=record.State.RETIRED), stored.etag)
    second.publish(origin)
    assert {key: bucket.get(key)["Body"] for key in keys(bucket, "static/_shared/")} == before
    assert Verifier(origin, deep=True).verify("b2").ok
    recorded = record.read(origin, "b2").record.manifest
    asset = recorded.asset("css/app.css")
    assert asset.encodings["gzip"] == len(bucket.get(f"static/{asset.path}.gz")["Body"])


def test_other_bytes_under_the_name_of_a_shared_asset_are_never_overwritten(
    bucket, origin, tmp_path
):
    build = shared_build(tmp_path, "b1")
    path = f"static/{build.manifest.asset('img/logo.png').path}"
    bucket.put(path, b"another picture")
    with pytest.raises(PublishFailed) as failed:
        build.publish(origin)
    (error,) = failed.value.failures
    assert isinstance(error, SharedObjectDiffers)
    assert "'!img/logo.png'" in str(error)
    assert keys(bucket) == {path}
    assert bucket.get(path)["Body"] == b"another picture"


def test_a_dry_run_tells_of_other_bytes_under_the_name_of_a_shared_asset(bucket, origin, tmp_path):
    build = shared_build(tmp_path, "b1")
    names = ("img/logo.png", "css/app.css")
    for name in names:
        bucket.put(f"static/{build.manifest.asset(name).path}", b"other bytes")
    with pytest.raises(PublishFailed) as failed:
        Publisher(origin).plan(build.manifest, build.directory)
    assert {error.name for error in failed.value.failures} == set(names)


def test_damage_of_the_base_build_is_told_after_a_wait_for_a_prune_too(
    bucket, origin, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(publisher, "_PAUSE", 0.02)
    first = shared_build(tmp_path, "b1")
    first.publish(origin)
    damaged = f"static/{first.manifest.asset('js/bound.js').path}"
    bucket.put(damaged, b"damaged")
    build = shared_build(tmp_path, "b2")
    swept = SweepLease.acquire(origin)
    swept.write_candidates({f"static/{build.manifest.asset('img/logo.png').path}": "2026-01-01"})
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(build.publish, site_origin(bucket.options()))
        while "Waiting for the prune of" not in caplog.text:
            assert not publishing.done()
        swept.release({})
        publishing.result()
    assert "Objects of the base build b1 differ from its record" in caplog.text
    assert damaged in caplog.text


def test_other_headers_are_mended_and_noted_by_verify(bucket, origin, tmp_path, caplog):
    shared_build(tmp_path, "b1").publish(origin)
    build = shared_build(tmp_path, "b2", types={".css": "text/css"})
    build.publish(origin)
    path = f"static/{build.manifest.asset('css/app.css').path}"
    assert bucket.get(path)["ContentType"] == "text/css"
    assert bucket.get(f"{path}.gz")["ContentEncoding"] == "gzip"
    assert path in caplog.text
    assert Verifier(origin, deep=True).verify("b2").mended == ()
    verified = Verifier(origin, deep=True).verify("b1")
    assert verified.ok
    assert {by for _, by in verified.mended} == {"b2"}
    assert len(verified.mended) == 3
    assert "got other headers from build b2" in verified.text()
    # And back again.
    shared_build(tmp_path, "b3").publish(origin)
    assert bucket.get(path)["ContentType"] == CSS
    assert {by for _, by in Verifier(origin).verify("b2").mended} == {"b3"}


def test_headers_that_a_publish_changed_which_died_are_mended_too(bucket, origin, tmp_path):
    """The record of the current build vouches for nothing that was written later."""
    shared_build(tmp_path, "b1").publish(origin)
    stored = record.read(origin, "b1")
    hour_ago = stored.record.committed - timedelta(hours=1)
    record.write(origin, replace(stored.record, since=hour_ago, committed=hour_ago), stored.etag)

    def commits(request):
        return HANGS_UP if b'"state": "published"' in request.body else None

    other = shared_build(tmp_path, "b2", types={".css": "text/css"})
    with front(bucket.endpoint, commits) as s3, pytest.raises(OriginError):
        other.publish(site_origin(bucket.options(endpoint_url=s3.url)))
    build = shared_build(tmp_path, "b3")
    path = f"static/{build.manifest.asset('css/app.css').path}"
    assert bucket.get(path)["ContentType"] == "text/css"
    build.publish(origin)
    assert bucket.get(path)["ContentType"] == CSS


def test_after_a_rollback_headers_of_the_build_between_are_mended(bucket, origin, tmp_path):
    """The build that is current again did not write them: its record does not vouch for them."""
    first = shared_build(tmp_path, "b1")
    first.publish(origin)
    stored = record.read(origin, "b1")
    hour_ago = stored.record.committed - timedelta(hours=1)
    record.write(origin, replace(stored.record, since=hour_ago, committed=hour_ago), stored.etag)
    shared_build(tmp_path, "b2", types={".css": "text/css"}).publish(origin)
    assert first.publish(origin).objects == {}
    build = shared_build(tmp_path, "b3")
    build.publish(origin)
    path = f"static/{build.manifest.asset('css/app.css').path}"
    assert bucket.get(path)["ContentType"] == CSS
    assert {by for _, by in Verifier(origin).verify("b2").mended} == {"b3"}


def test_headers_that_nobody_changed_for_a_build_are_a_fault(bucket, origin, tmp_path):
    build = shared_build(tmp_path, "b1")
    build.publish(origin)
    path = f"static/{build.manifest.asset('css/app.css').path}.gz"
    stored = bucket.get(path)
    bucket.client.put_object(
        Bucket=bucket.name, Key=path, Body=stored["Body"], Metadata=stored["Metadata"]
    )
    verified = Verifier(origin).verify("b1")
    assert not verified.ok
    repaired = Repairer(Verifier(origin), build.directory).repair(verified)
    assert repaired.ok
    assert bucket.get(path)["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_shared_object_is_restored_by_any_build_that_has_it(
    bucket, origin, tmp_path, suffix
):
    """An encoding by what it decodes to, because the machine may have another encoder."""
    shared_build(tmp_path / "first", "b1", level=1).publish(origin)
    second = shared_build(tmp_path / "second", "b2", level=9)
    second.publish(origin)
    path = f"static/{second.manifest.asset('css/app.css').path}{suffix}"
    bucket.put(path, b"damaged")
    repaired = Repairer(Verifier(origin), second.directory).repair(Verifier(origin).verify("b2"))
    assert repaired.ok
    for build in ("b1", "b2"):
        assert Verifier(origin).verify(build).ok
        assert Verifier(origin, deep=True).verify(build).ok


def test_a_prune_deletes_what_no_record_lists(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    second = shared_build(tmp_path, "b2", CHANGED)
    second.publish(origin)
    swept = prune(origin)
    assert swept.objects == 3
    assert keys(bucket) == {f"static/{file.path}" for file in second.manifest.files()}
    assert Verifier(origin, deep=True).verify("b2").ok
    assert prune(origin) == SweptObjects()


def test_a_prune_leaves_what_is_younger_than_a_day(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    bucket.put("static/_shared/left.js", b"of a publish that died")
    assert prune(origin, older_than=timedelta(days=30)) == SweptObjects()
    assert "static/_shared/left.js" in bucket.listed()


def test_a_prune_without_shared_assets_makes_no_other_request(bucket, tmp_path):
    origin = site_origin(bucket.options())
    pruner = Pruner(origin)
    assert pruner.sweep(pruner.plan(keep=1, older_than=timedelta(0))) is None
    assert SWEEP not in bucket.listed()


def test_a_prune_goes_on_when_the_option_is_off_again(bucket, origin, tmp_path):
    """The records tell where shared objects were."""
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED).publish(origin)
    pruner = Pruner(origin)
    plan = pruner.plan(keep=1, older_than=timedelta(0))
    list(pruner.execute(plan))
    assert pruner.would_sweep(plan).objects == 3
    assert pruner.sweep(plan).objects == 3


def test_the_way_out_of_a_poisoned_cache_is_another_prefix(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    second = shared_build(tmp_path, "b2")
    assets = {
        name: replace(asset, shared_prefix="_shared2" if asset.is_shared else "")
        for name, asset in second.manifest.assets.items()
    }
    manifest = replace(second.manifest, shared_prefix="_shared2", content="2", assets=assets)
    replace(second, manifest=manifest).publish(origin)
    assert len(keys(bucket, "static/_shared/")) == len(keys(bucket, "static/_shared2/")) == 4
    assert prune(origin).objects == 4
    assert keys(bucket, "static/_shared/") == set()
    assert Verifier(origin, deep=True).verify("b2").ok


def test_what_an_abandoned_publish_left_is_deleted(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    manifest = shared_build(tmp_path, "b2", CHANGED).manifest
    lease.acquire(origin, manifest, None)
    path = f"static/{manifest.asset('css/app.css').path}"
    bucket.put(path, b"of a publish that is abandoned")
    assert prune(origin) == SweptObjects()
    lease.abandon(origin, "b2")
    assert prune(origin).objects == 1
    assert path not in bucket.listed()


def test_in_a_bucket_with_versions_a_prune_deletes_those_that_it_has_seen(moto_bucket, tmp_path):
    """No delete markers, which would hide what a publish writes meanwhile."""
    origin = site_origin(moto_bucket.options())
    versioning = {"Status": "Enabled"}
    moto_bucket.client.put_bucket_versioning(
        Bucket=moto_bucket.name, VersioningConfiguration=versioning
    )
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED, types={".css": "text/css"}).publish(origin)
    # So that there is a version of the picture that is not the current one.
    picture = f"static/{shared_build(tmp_path, 'b1').manifest.asset('img/logo.png').path}"
    moto_bucket.put(picture, moto_bucket.get(picture)["Body"])
    assert prune(origin).objects == 3
    answer = moto_bucket.client.list_object_versions(
        Bucket=moto_bucket.name, Prefix="static/_shared/"
    )
    assert "DeleteMarkers" not in answer
    assert {item["Key"] for item in answer["Versions"]} == keys(moto_bucket, "static/_shared/")


def test_an_object_has_the_same_time_in_both_listings(bucket, origin):
    bucket.put("static/_shared/a.css", b"a{}")
    [listed], [version] = origin.list("static/"), origin.list_versions("static/")
    assert written_at(listed) == written_at(version)
    assert (version.version, version.is_current) == (None, True)


def test_a_store_without_versions_is_pruned_by_its_listing(moto_bucket, tmp_path):
    shared_build(tmp_path, "b1").publish(site_origin(moto_bucket.options()))
    shared_build(tmp_path, "b2", CHANGED).publish(site_origin(moto_bucket.options()))

    def answer(request):
        if "versions" in request.query:
            return refusal(501, "NotImplemented", "There are no versions here")
        return None

    with front(moto_bucket.endpoint, answer) as s3:
        assert prune(site_origin(moto_bucket.options(endpoint_url=s3.url))).objects == 3


def test_a_publish_waits_for_what_a_running_prune_may_delete_and_for_nothing_else(
    bucket, origin, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(publisher, "_PAUSE", 0.02)
    build = shared_build(tmp_path, "b1")
    candidate = f"static/{build.manifest.asset('img/logo.png').path}"
    swept = SweepLease.acquire(origin)
    swept.write_candidates({candidate: "2026-01-01T00:00:00+00:00"})
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(build.publish, site_origin(bucket.options()))
        expected = {f"static/{file.path}" for file in build.manifest.files()} - {candidate}
        while keys(bucket) != expected or "Waiting for the prune of" not in caplog.text:
            assert not publishing.done()
        swept.release({})
        assert publishing.result().objects[Action.UPLOAD] == 7
    assert f"Waiting for the prune of {swept.sweep.owner}" in caplog.text
    assert "which may delete 1 object that this build needs" in caplog.text


def test_a_publish_that_may_not_read_who_prunes_fails(bucket, tmp_path):
    build = shared_build(tmp_path, "b1")

    def answer(request):
        if request.path.endswith("/builds/_sweep"):
            return refusal(403, "AccessDenied", "Access Denied")
        return None

    with front(bucket.endpoint, answer) as s3, pytest.raises(OriginError) as denied:
        build.publish(site_origin(bucket.options(endpoint_url=s3.url)))
    assert "s3:ListBucket" in str(denied.value)
    assert keys(bucket) == set()


def test_only_one_prune_at_a_time_deletes_shared_objects(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED).publish(origin)
    running = SweepLease.acquire(origin)
    swept = prune(origin)
    assert swept.objects == 0
    assert swept.busy.owner == running.sweep.owner
    assert len(keys(bucket, "static/_shared/")) == 7
    running.release({})
    assert prune(origin).objects == 3


def test_a_sweep_that_is_none_stops_publish_and_prune(bucket, origin, tmp_path):
    shared_build(tmp_path, "b1").publish(origin)
    bucket.put(SWEEP, b"[]")
    with pytest.raises(UnreadableSweep):
        shared_build(tmp_path, "b2").publish(origin)
    with pytest.raises(UnreadableSweep):
        prune(origin)


def test_a_prune_that_did_not_run_for_half_the_life_of_its_lease_deletes_nothing(
    bucket, origin, tmp_path, monkeypatch
):
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED).publish(origin)
    readings = [0.0]
    for module in (lease, shared_objects):
        monkeypatch.setattr(module, "clocks", lambda: tuple(readings))
    monkeypatch.setattr(
        shared_objects, "relied_on", lambda *_: readings.__setitem__(0, 451.0) or set()
    )
    monkeypatch.setattr(pruning, "relied_on", shared_objects.relied_on)
    with pytest.raises(SweepLost):
        prune(origin)
    assert len(keys(bucket, "static/_shared/")) == 7


def test_a_prune_that_fails_before_it_deletes_makes_nobody_wait(bucket, origin, tmp_path):
    """What a prune that died before it may still delete is remembered."""
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED).publish(origin)
    earlier = {"static/_shared/old.css": "2026-01-01T00:00:00+00:00"}
    SweepLease.acquire(origin).release(earlier)
    bucket.put("builds/b3.json", b"{}\n")
    with pytest.raises(UnreadableRecord):
        Pruner(origin, "_shared").sweep(PrunePlan((), (), {}, ("_shared",), timedelta(0)))
    swept = shared_objects.read_sweep(origin)
    assert swept.stage is Stage.RELEASED
    assert swept.candidates == earlier


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_prune_that_is_interrupted_before_it_deletes_makes_nobody_wait(
    bucket, origin, tmp_path, monkeypatch, error
):
    def interrupted(*_):
        raise error

    shared_build(tmp_path, "b1").publish(origin)
    monkeypatch.setattr(pruning, "relied_on", interrupted)
    with pytest.raises(error):
        prune(origin)
    assert shared_objects.read_sweep(origin).stage is Stage.RELEASED


@pytest.mark.parametrize("answer", [HANGS_UP, refusal(503, "SlowDown", "Reduce your rate")])
def test_a_prune_that_repeats_a_deletion_lets_its_lease_expire(
    bucket, origin, tmp_path, caplog, answer
):
    """The first attempt may arrive after a publish has written the object again."""
    shared_build(tmp_path, "b1").publish(origin)
    shared_build(tmp_path, "b2", CHANGED).publish(origin)
    answers = [answer]

    def deletes(request):
        if "delete" in request.query and b"_shared" in request.body and answers:
            return answers.pop()
        return None

    with front(bucket.endpoint, deletes) as s3:
        config = bucket.options()["client_config"].merge(
            Config(retries={"mode": "standard", "total_max_attempts": 2})
        )
        options = bucket.options(endpoint_url=s3.url, client_config=config)
        assert prune(site_origin(options)).objects == 3
    sweep = shared_objects.read_sweep(origin)
    assert sweep.stage is Stage.DELETING
    assert len(sweep.candidates) == 3
    end = f"{sweep.since + lease.EXPIRES_AFTER:%Y-%m-%d %H:%M:%S} UTC"
    assert f"keeps its lease on shared objects until {end}" in caplog.text
    assert prune(origin).busy.owner == sweep.owner


def test_an_interrupted_prune_does_not_wait_long_to_release_its_lease(
    bucket, origin, tmp_path, monkeypatch
):
    shared_build(tmp_path, "b1").publish(origin)
    monkeypatch.setattr(pruning, "relied_on", lambda *_: sys.exit(143))
    monkeypatch.setattr(SweepLease, "release", lambda *_: Event().wait(30))
    started = time.monotonic()
    with pytest.raises(SystemExit):
        prune(origin)
    assert time.monotonic() - started < 10


def test_a_build_with_globs_of_originals_is_not_for_older_versions_of_the_package():
    """They read True or False there, and would say that the record is broken."""
    published = record.Record("b1", State.PUBLISHING, "red", NOW).published
    assert (
        json.loads(published(Manifest({}, keep_originals=("a/*",)), NOW).to_json())["format"] == 2
    )
    assert json.loads(published(Manifest({}), NOW).to_json())["format"] == 1


def test_a_record_tells_what_a_build_has_of_its_own(origin, tmp_path):
    build = shared_build(tmp_path, "b1")
    build.publish(origin)
    [head] = record.heads(origin)
    totals = head.record.totals
    assert head.record.shared_prefix == "_shared"
    assert (totals.objects, totals.own_objects, totals.shared_objects) == (7, 3, 4)
    own = sum(file.size for file in build.manifest.files() if not file.is_shared)
    assert (totals.own_size, totals.size - totals.shared_size) == (own, own)
