"""Assets that builds have in common, on S3."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builds import site_origin
from tests.origin.shared_builds import CSS, SHARED, shared_build
from tests.s3 import front
from versioned_storage.origin import record
from versioned_storage.origin.plan import Action
from versioned_storage.origin.pruning import Pruner, SweptObjects
from versioned_storage.origin.repair import Repairer
from versioned_storage.origin.shared_objects import SWEEP, SharedObjectDiffers
from versioned_storage.origin.transfer import PublishFailed
from versioned_storage.origin.verification import Verifier

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
    assert bucket.get(path)["Body"] == b"another picture"


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
