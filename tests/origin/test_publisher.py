# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import json
import re
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.builds import site_origin
from tests.s3 import HANGS_UP, SECRET_KEY, front, nobody, options, refusal
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin import record
from versioned_storage.origin.lease import BuildIsPublished, LeaseLost, abandon
from versioned_storage.origin.plan import Action
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import NotOfThisBuild, Published, Publisher
from versioned_storage.origin.record import Record, State, Totals
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.origin.transfer import PublishFailed

CSS, PNG = "text/css; charset=utf-8", "image/png"
FILES = {
    "css/app.0123456789ab.css": b"body { color: red }",
    "css/app.0123456789ab.css.br": b"br of it",
    "css/app.0123456789ab.css.gz": b"gzip of it!",
    "img/logo.ba9876543210.png": b"\x89PNG" * 20,
}

EXPECTED = {
    "static/b1/css/app.css": ("css/app.0123456789ab.css", CSS, None),
    "static/b1/css/app.css.br": ("css/app.0123456789ab.css.br", CSS, "br"),
    "static/b1/css/app.css.gz": ("css/app.0123456789ab.css.gz", CSS, "gzip"),
    "static/b1/css/app.0123456789ab.css": ("css/app.0123456789ab.css", CSS, None),
    "static/b1/css/app.0123456789ab.css.br": ("css/app.0123456789ab.css.br", CSS, "br"),
    "static/b1/css/app.0123456789ab.css.gz": ("css/app.0123456789ab.css.gz", CSS, "gzip"),
    "static/b1/img/logo.png": ("img/logo.ba9876543210.png", PNG, None),
    "static/b1/img/logo.ba9876543210.png": ("img/logo.ba9876543210.png", PNG, None),
}


@pytest.fixture
def directory(tmp_path):
    """A build on disk."""
    for name, content in FILES.items():
        path = tmp_path / "b1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return BuildDirectory(tmp_path / "b1")


def asset(name, hashed_name, content_type, **encodings):
    return Asset(
        name=name,
        hashed_name=hashed_name,
        build="b1",
        size=len(FILES[hashed_name]),
        integrity=f"sha384-{hashed_name}",
        content_type=content_type,
        encodings=encodings,
    )


def manifest(content="c0ffee", **changes):
    assets = [
        asset("css/app.css", "css/app.0123456789ab.css", CSS, br=8, gzip=11),
        asset("img/logo.png", "img/logo.ba9876543210.png", PNG),
    ]
    new_manifest = Manifest(
        paths={item.name: item.hashed_name for item in assets},
        build="b1",
        content=content,
        assets={item.hashed_name: item for item in assets},
    )
    return replace(new_manifest, **changes)


def with_another_asset(content):
    other = replace(
        manifest().assets["img/logo.ba9876543210.png"], name="new.png", integrity="sha384-new"
    )
    css = replace(manifest().assets["css/app.0123456789ab.css"], integrity="sha384-other")
    return manifest(
        content,
        paths={"css/app.css": css.hashed_name, "new.png": other.hashed_name},
        assets={css.hashed_name: css, other.hashed_name: other},
    )


def publisher(origin_options, connections=4):
    return Publisher(site_origin(origin_options, connections=connections))


def test_each_object_has_its_bytes_and_its_headers(bucket, directory):
    publisher(bucket.options()).publish(manifest(), directory)
    objects = bucket.objects()
    assert objects.keys() == EXPECTED.keys() | {"builds/b1.json"}
    for key, (file, content_type, encoding) in EXPECTED.items():
        stored = objects[key]
        assert stored["Body"] == FILES[file], key
        assert stored["ContentType"] == content_type, key
        assert stored.get("ContentEncoding") == encoding, key
        assert stored["CacheControl"] == "max-age=315360000, public, immutable", key
        assert stored["Metadata"]["sha256"] == hashlib.sha256(FILES[file]).hexdigest(), key


def test_everything_is_below_the_location(bucket, directory):
    publisher(bucket.options(location="shop/stage")).publish(manifest(), directory)
    expected = {f"shop/stage/{key}" for key in (*EXPECTED, "builds/b1.json")}
    assert bucket.listed() == expected


def state(bucket):
    """The state of the build's record; None where there is no record."""
    if "builds/b1.json" not in bucket.listed():
        return None
    return json.loads(bucket.get("builds/b1.json")["Body"])["state"]


def test_the_record_has_the_manifest_and_the_digests_of_what_s3_has(bucket, directory):
    origin = site_origin(bucket.options())
    Publisher(origin).publish(manifest(), directory)
    stored = record.read(origin, "b1").record
    assert stored.state is State.PUBLISHED
    assert stored.manifest == stored_manifest()
    assert stored.totals == Totals(2, 8, 236)


def stored_manifest():
    """The manifest as S3 keeps it."""
    assets = {}
    for name, item in manifest().assets.items():
        suffixes = {"identity": "", "br": ".br", "gzip": ".gz"}
        sha256 = {
            encoding: hashlib.sha256(FILES[name + suffixes[encoding]]).hexdigest()
            for encoding in ("identity", *item.encodings)
        }
        assets[name] = replace(item, sha256=sha256)
    return manifest(assets=assets)


def test_the_lease_comes_first_and_the_commit_when_every_object_was_answered(bucket, directory):
    with front(bucket.endpoint) as s3:
        publisher(bucket.options(endpoint_url=s3.url), connections=8).publish(manifest(), directory)
    puts = [(event, path) for event, method, path in s3.events if method == "PUT"]
    record_path = f"/{bucket.name}/builds/b1.json"
    # The lease, the lease once more to see that the store refuses it, the commit.
    turn = [("begin", record_path), ("end", record_path)]
    assert puts[:4] == turn * 2
    assert puts[-2:] == turn
    assert sorted(puts[4:-2]) == sorted(
        (event, f"/{bucket.name}/{key}") for key in EXPECTED for event in ("begin", "end")
    )


def test_an_original_name_follows_when_its_hashed_one_is_there(bucket, directory):
    with front(bucket.endpoint) as s3:
        publisher(bucket.options(endpoint_url=s3.url), connections=8).publish(manifest(), directory)
    for key, (file, _, _) in EXPECTED.items():
        if not key.endswith(file):
            hashed = s3.events.index(("end", "PUT", f"/{bucket.name}/static/b1/{file}"))
            assert hashed < s3.events.index(("begin", "PUT", f"/{bucket.name}/{key}"))


def test_a_publish_sums_itself_up(bucket, directory):
    published = publisher(bucket.options(location="shop")).publish(manifest(), directory)
    assert published.objects[Action.UPLOAD] == 8
    assert re.fullmatch(
        rf"Published build b1 to s3://{bucket.name}/shop/static/b1/: 8 objects uploaded, 236 B, "
        r"\d+ requests, \d+\.\d s, \$0\.0001",
        published.text(),
    )


def test_a_publish_costs_what_its_requests_do_by_their_class():
    """As docs/costs.md counts the first publish of 6,842 objects."""
    published = Published("b1", "s3://bucket/", {Action.UPLOAD: 6842}, requests=6848, reads=1)
    assert published.dollars == pytest.approx(6847 * 0.005 / 1000 + 0.0004 / 1000)
    assert published.text().endswith("6,848 requests, 0.0 s, $0.0342")


def test_nothing_uploaded_is_said_in_words():
    published = Published("b1", "s3://bucket/static/b1/")
    assert published.text() == (
        "Build b1 is published at s3://bucket/static/b1/ already: nothing to upload"
    )


def test_publishing_again_is_two_requests_that_renew_the_activation(bucket, directory):
    publisher(bucket.options()).publish(manifest(), directory)
    before = Record.from_json(bucket.get("builds/b1.json")["Body"], name="b1")
    with front(bucket.endpoint) as s3:
        origin_options = bucket.options(endpoint_url=s3.url)
        published = publisher(origin_options).publish(manifest(), directory)
    assert not published.objects
    asked = f"/{bucket.name}/builds/b1.json"
    assert [(item.method, item.path) for item in s3.requests] == [("GET", asked), ("PUT", asked)]
    after = Record.from_json(bucket.get("builds/b1.json")["Body"], name="b1")
    assert after.since >= before.since
    assert after.write_id != before.write_id
    assert replace(after, since=before.since, write_id=before.write_id) == before


def test_other_content_under_the_same_build_version_is_refused(bucket, directory):
    publisher(bucket.options(location="shop")).publish(manifest(), directory)
    before = bucket.objects().keys()
    with front(bucket.endpoint) as s3:
        origin_options = bucket.options(location="shop", endpoint_url=s3.url)
        with pytest.raises(BuildIsPublished) as refused:
            publisher(origin_options).publish(with_another_asset("decaf"), directory)
    assert str(refused.value) == (
        f"Build b1 is published at s3://{bucket.name}/shop/builds/b1.json with other content. "
        "Against it, this build has\n"
        "  added (1): new.png\n"
        "  removed (1): img/logo.png\n"
        "  changed (1): css/app.css\n"
        "A published build never changes, because caches keep its URLs for years: "
        "set a new BUILD_VERSION and run collectstatic again."
    )
    assert s3.asked("PUT") == []
    assert bucket.listed() == before


def published_record(new_manifest, publish_id=""):
    """What a publisher of another machine commits."""
    since = datetime.now(timezone.utc)
    leased = Record("b1", State.PUBLISHING, new_manifest.content, since, publish_id=publish_id)
    return leased.published(new_manifest, leased.since).to_json()


def test_a_build_with_other_options_alone_is_refused_too(bucket, directory):
    publisher(bucket.options()).publish(manifest(), directory)
    with pytest.raises(BuildIsPublished) as refused:
        publisher(bucket.options()).publish(manifest("decaf", keep_originals=False), directory)
    assert "\n  keep_originals False instead of True\n" in str(refused.value)


def commits_meanwhile(bucket, faster):
    """An answer for a front: somebody else commits while this one uploads.

    ``faster`` makes the record from the publish_id of the current lease.
    """

    def answer(request):
        if request.method == "PUT" and request.path.endswith("/css/app.css"):
            leased = json.loads(bucket.get("builds/b1.json")["Body"])
            bucket.put("builds/b1.json", faster(leased["publish_id"]))

    return answer


def test_another_publisher_of_the_same_content_that_was_faster_is_no_error(bucket, directory):
    """It joined the same publish_id, so each of the two may commit."""
    committed = []

    def faster(publish_id):
        committed.append(published_record(stored_manifest(), publish_id))
        return committed[-1]

    with front(bucket.endpoint, commits_meanwhile(bucket, faster)) as s3:
        publisher(bucket.options(endpoint_url=s3.url)).publish(manifest(), directory)
    assert [bucket.get("builds/b1.json")["Body"]] == committed


def test_the_next_holder_of_the_lease_keeps_the_record(bucket, directory):
    faster = published_record(with_another_asset("decaf"))
    with front(bucket.endpoint, commits_meanwhile(bucket, lambda _: faster)) as s3:
        with pytest.raises(LeaseLost, match="lost the lease"):
            publisher(bucket.options(endpoint_url=s3.url)).publish(manifest(), directory)
    assert bucket.get("builds/b1.json")["Body"] == faster


def test_what_other_content_left_below_the_prefix_is_no_part_of_the_build(bucket, directory):
    bucket.put("static/b1/only/of.the-other.css", b"a{}")
    bucket.put("static/b1/", b"")  # a folder of the console's
    with pytest.raises(NotOfThisBuild) as refused:
        publisher(bucket.options()).publish(manifest(), directory)
    assert str(refused.value) == (
        "Build b1 is not published: its prefix holds 1 object that does not belong to it, and "
        "visitors would get a mix of two builds.\n"
        f"  s3://{bucket.name}/static/b1/only/of.the-other.css\n"
        "An earlier publish of other content left them there. Set a new BUILD_VERSION, or delete "
        "them: 'python manage.py staticbuilds prune', after 'publish --abandon b1' if a dead "
        "process has the lease, then publish again."
    )
    assert state(bucket) == "abandoned"


def test_the_way_out_of_what_other_content_left_is_the_one_that_is_said(bucket, directory):
    bucket.put("static/b1/only/of.the-other.css", b"a{}")
    origin = site_origin(bucket.options())
    with pytest.raises(NotOfThisBuild):
        publisher(bucket.options()).publish(manifest(), directory)
    pruner = Pruner(origin)
    list(pruner.execute(pruner.plan(keep=1, older_than=timedelta(days=30))))
    publisher(bucket.options()).publish(manifest(), directory)
    assert bucket.listed() == EXPECTED.keys() | {"builds/b1.json"}


def dies_after(number):
    """An answer for a front that lets so many PUTs through and then hangs up for good."""
    puts = []

    def answer(request):
        if request.method == "PUT":
            puts.append(request.path)
        return HANGS_UP if len(puts) > number else None

    return answer


def test_a_server_that_dies_midway_leaves_no_record(bucket, directory):
    with front(bucket.endpoint, dies_after(3)) as s3:
        origin_options = bucket.options(endpoint_url=s3.url)
        with pytest.raises(PublishFailed) as failed:
            publisher(origin_options, connections=1).publish(manifest(), directory)
    assert len(bucket.listed() & EXPECTED.keys()) == 1
    assert state(bucket) == "publishing"
    failure = failed.value.failures[0]
    assert failure.code == "ConnectionClosedError"
    lines = str(failed.value).splitlines()
    assert re.fullmatch(
        r"Build b1 is not published: [1-5] of its 8 objects failed, and the upload was stopped\.",
        lines[0],
    )
    assert lines[1].startswith(f"  PutObject s3://{bucket.name}/static/b1/")
    assert lines[-1] == (
        "No page refers to this build yet, and the published ones are as they were. "
        "Correct the cause and run the same command again: it goes on with what is left."
    )


def test_running_again_completes_what_a_dead_server_left(bucket, directory):
    with front(bucket.endpoint, dies_after(3)) as s3:
        with pytest.raises(PublishFailed):
            publisher(bucket.options(endpoint_url=s3.url)).publish(manifest(), directory)
    publisher(bucket.options()).publish(manifest(), directory)
    assert bucket.listed() == EXPECTED.keys() | {"builds/b1.json"}


def test_a_server_that_dies_before_the_commit_leaves_the_lease(bucket, directory):
    with front(bucket.endpoint, dies_after(10)) as s3:
        with pytest.raises(OriginError) as failed:
            publisher(bucket.options(endpoint_url=s3.url)).publish(manifest(), directory)
    assert str(failed.value).startswith(f"PutObject s3://{bucket.name}/builds/b1.json failed: ")
    assert state(bucket) == "publishing"


def many(directory, number):
    """A build of so many assets."""
    assets = []
    for index in range(number):
        name = f"{index:03}.0123456789ab.png"
        (directory.root / name).write_bytes(b"png")
        assets.append(Asset(f"{index:03}.png", name, "b1", 3, "sha384-x", PNG))
    return Manifest(
        paths={item.name: item.hashed_name for item in assets},
        build="b1",
        content="many",
        keep_originals=False,
        assets={item.hashed_name: item for item in assets},
    )


def refuses_objects(request):
    if request.method == "PUT" and "/static/" in request.path:
        return refusal(503, "SlowDown", "Please reduce your request rate.")
    return None


def test_after_the_first_failure_nothing_new_is_begun(bucket, directory):
    with front(bucket.endpoint, refuses_objects) as s3:
        origin_options = bucket.options(endpoint_url=s3.url)
        with pytest.raises(PublishFailed) as failed:
            publisher(origin_options, connections=2).publish(many(directory, 200), directory)
    refused = [path for path in s3.asked("PUT") if "/static/" in path]
    assert len(failed.value.failures) == len(refused) < 50
    assert failed.value.total == 200


def test_of_many_failures_ten_are_listed():
    with nobody() as url, pytest.raises(OriginError) as failed:
        site_origin(options(url, "bucket")).put("a", b"")
    text = str(PublishFailed("b1", [failed.value] * 13, 200))
    assert text.startswith("Build b1 is not published: 13 of its 200 objects failed, and the ")
    assert text.count("\n  PutObject s3://bucket/") == 10
    assert "\n  and 3 more\n" in text


def test_a_file_that_is_gone_from_the_build_leaves_no_record(bucket, directory):
    (directory.root / "img/logo.ba9876543210.png").unlink()
    with pytest.raises(PublishFailed, match=r"No such file or directory: .*logo\.ba98"):
        publisher(bucket.options()).publish(manifest(), directory)
    assert state(bucket) == "publishing"


def test_a_check_of_a_bucket_that_is_there_finds_nothing_wrong(bucket):
    publisher(bucket.options()).preflight("b1")
    assert bucket.listed() == set()


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"])
def test_a_check_says_what_cannot_work(code):
    with front(answer=lambda _: refusal(403, code, "No.")) as s3:
        with pytest.raises(OriginError) as wrong:
            publisher(options(s3.url, "bucket")).preflight("b1")
    assert wrong.value.code == code


def denies_reading(request):
    if request.method == "GET":
        return refusal(403, "AccessDenied", "Access Denied")
    return None


def test_who_may_not_list_the_bucket_publishes_all_the_same(bucket, directory):
    """S3 says 403 for a key that is not there, without the permission to list."""
    with front(bucket.endpoint, denies_reading) as s3:
        item = publisher(bucket.options(endpoint_url=s3.url))
        item.preflight("b1")
        item.publish(manifest(), directory)
    assert bucket.listed() == EXPECTED.keys() | {"builds/b1.json"}


def test_who_may_not_read_the_record_does_not_overwrite_it(bucket, directory):
    publisher(bucket.options()).publish(manifest(), directory)
    before = bucket.get("builds/b1.json")["Body"]
    with front(bucket.endpoint, denies_reading) as s3:
        with pytest.raises(OriginError, match="403 AccessDenied"):
            publisher(bucket.options(endpoint_url=s3.url)).publish(
                with_another_asset("decaf"), directory
            )
    assert bucket.get("builds/b1.json")["Body"] == before


def test_no_secret_is_in_what_a_failed_publish_says_or_the_record(bucket, directory):
    with front(bucket.endpoint, refuses_objects) as s3:
        item = publisher(bucket.options(endpoint_url=s3.url))
        with pytest.raises(PublishFailed) as failed:
            item.publish(manifest(), directory)
    publisher(bucket.options()).publish(manifest(), directory)
    stored = json.dumps(json.loads(bucket.get("builds/b1.json")["Body"]))
    for text in (str(failed.value), repr(failed.value), repr(item), stored):
        assert SECRET_KEY not in text


def test_a_build_that_lost_its_lease_while_it_was_made_is_not_committed(bucket, directory):
    b1 = publisher(bucket.options())
    preflight = b1.preflight("b1")
    with b1.publishing(manifest(), directory, lambda _: None, preflight) as publishing:
        while not bucket.listed() >= EXPECTED.keys():
            time.sleep(0.01)
        abandon(b1.origin, "b1")
        with pytest.raises(LeaseLost):
            publishing.finish(manifest())
    assert state(bucket) == "abandoned"
