"""manage.py staticbuilds publish."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import json
import shutil
from datetime import datetime, timedelta, timezone

import pytest
from django.core.management.base import CommandError

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.management.conftest import FILES
from tests.s3 import front
from versioned_storage.build.damage import DamagedBuild
from versioned_storage.build.manifest import UnreadableManifest
from versioned_storage.errors import MissingBuildVersion
from versioned_storage.management.subcommands.publish import NotBuilt
from versioned_storage.origin.lease import AlreadyPublishing, BuildIsPublished, NoLease
from versioned_storage.origin.publisher import BaseNotPublished
from versioned_storage.origin.record import Record, State
from versioned_storage.site import NoOrigin
from versioned_storage.static_url import InvalidStaticURL

# css and js in three encodings and two names each, the png in one encoding.
OBJECTS = 14


@pytest.fixture
def built(shop):
    """The site, with a build on disk and nothing on S3."""
    with shop(publish=False) as step:
        step.collect()
        yield step


def state(bucket, build="b1"):
    return json.loads(bucket.get(f"builds/{build}.json")["Body"])["state"]


# The build gets there


def test_a_build_that_collectstatic_did_not_publish_is_published(built, bucket):
    assert bucket.listed() == set()
    answer = staticbuilds("publish")
    assert answer.output.startswith(
        f"Published build b1 to s3://{bucket.name}/static/b1/: {OBJECTS} objects uploaded, "
    )
    assert answer.code == 0
    assert len(bucket.listed()) == OBJECTS + 1
    assert state(bucket) == "published"


def test_another_build_than_that_of_the_settings_can_be_named(built, bucket, shop):
    with shop(None):
        staticbuilds("publish", "b1")
    assert state(bucket) == "published"


def test_json_counts_what_was_done(built, bucket):
    data = staticbuilds("publish", "--json").data
    uploaded = sum(len(bucket.get(key)["Body"]) for key in bucket.listed() if "builds/" not in key)
    assert data.pop("seconds") > 0
    requests, reads = data.pop("requests"), data.pop("reads")
    assert requests > OBJECTS
    cost = (requests - reads) * 0.005 / 1000 + reads * 0.0004 / 1000
    assert data.pop("dollars") == pytest.approx(cost, abs=1e-6)
    assert data == {
        "build": "b1",
        "place": f"s3://{bucket.name}/static/b1/",
        "dry_run": False,
        "already_published": False,
        "objects": {"upload": OBJECTS, "copy": 0, "skip": 0},
        "uploaded_bytes": uploaded,
    }


def test_publishing_again_uploads_nothing_and_says_so(built, bucket):
    staticbuilds("publish")
    assert staticbuilds("publish").output == (
        f"Build b1 is published at s3://{bucket.name}/static/b1/ already: nothing to upload\n"
    )
    assert staticbuilds("publish", "--json").data["already_published"] is True


def test_encodings_that_this_disk_lacks_are_made(built, bucket):
    complete = {path.name: path.read_bytes() for path in (built.root / "b1").rglob("*.br")}
    for path in (built.root / "b1").rglob("*.br"):
        path.unlink()
    staticbuilds("publish", "--no-base")
    assert bucket.get("static/b1/css/app.css.br")["Body"] == complete["app.css.br"]


# From a base build


@pytest.fixture
def with_a_base(shop, bucket):
    """A published build b0, and b1 on the disk, where css/app.css is another."""
    with shop("b0", machine="another") as older:
        older.collect()
    changed = {**FILES, "css/app.css": "body { color: red }\n" * 20}
    with shop("b1", changed, publish=False) as newer:
        newer.collect()
        yield newer


def copied(*arguments):
    return staticbuilds("publish", *arguments, "--json").data["objects"]["copy"]


def test_unchanged_objects_are_copied_from_the_current_build(with_a_base):
    # All but the three of css/app.css, which has two names.
    assert copied() == OBJECTS - 6


def test_the_base_build_can_be_named(with_a_base):
    assert copied("--base", "b0") == OBJECTS - 6


def test_without_a_base_nothing_is_copied(with_a_base):
    assert copied("--no-base") == 0


def test_the_option_base_build_holds_where_no_flag_says_otherwise(with_a_base, shop):
    with shop("b1", {}, base_build=False):
        assert copied("--dry-run") == 0
        assert copied("--dry-run", "--base", "b0") == OBJECTS - 6


def test_a_base_that_is_not_published_is_an_error(with_a_base):
    with pytest.raises(BaseNotPublished, match="The base build b7 is not published"):
        staticbuilds("publish", "--base", "b7")


# A dry run


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(built, bucket, shop):
    with front(bucket.endpoint) as s3, shop(None, s3=bucket.options(endpoint_url=s3.url)):
        output = staticbuilds("publish", "b1", "--dry-run").output
    assert output.startswith(
        f"Would publish build b1 to s3://{bucket.name}/static/b1/: upload {OBJECTS} objects ("
    )
    assert output.count("\n") == 1
    assert {request.method for request in s3.requests} <= {"GET", "HEAD"}
    assert bucket.listed() == set()


def test_a_verbose_dry_run_shows_each_object_the_largest_first(built):
    lines = staticbuilds("publish", "--dry-run", "-v", "2").output.splitlines()
    assert len(lines) == OBJECTS + 1
    hashed_name = built.storage.hashed_files["css/app.css"]
    assert lines[0] == f"upload   1.1 kB  static/b1/{hashed_name}: is new"


def test_the_json_of_a_dry_run_has_each_object(with_a_base):
    data = staticbuilds("publish", "--dry-run", "--json").data
    assert data["dry_run"] is True
    assert data["objects"] == {"upload": 6, "copy": OBJECTS - 6, "skip": 0}
    assert data["bytes"]["upload"] == sum(
        step["bytes"] for step in data["steps"] if step["action"] == "upload"
    )
    reasons = {step["path"]: (step["action"], step["reason"]) for step in data["steps"]}
    assert reasons["static/b1/css/app.css"] == ("upload", "is new")
    assert reasons["static/b1/img/logo.png"] == ("copy", "is there under its hashed name")


def test_a_dry_run_of_what_is_published_says_that_it_is(built, bucket):
    staticbuilds("publish")
    before = bucket.get("builds/b1.json")["Body"]
    assert staticbuilds("publish", "--dry-run").output == (
        f"Build b1 is already published at s3://{bucket.name}/static/b1/: publishing it again "
        "would upload nothing and renew its activation\n"
    )
    assert bucket.get("builds/b1.json")["Body"] == before


def test_a_dry_run_of_other_content_is_refused_too(built, shop):
    staticbuilds("publish")
    with shop("b1", {"a.txt": "a"}, machine="another", publish=False) as other:
        other.collect()
        with pytest.raises(BuildIsPublished):
            staticbuilds("publish", "--dry-run")


@pytest.fixture
def leased(bucket):
    """The lease of a publish with other content, a minute old."""
    since = datetime.now(timezone.utc) - timedelta(minutes=1)
    bucket.put("builds/b1.json", Record("b1", State.PUBLISHING, "other", since).to_json())


def test_the_lease_of_an_interrupted_publish_can_be_ended(built, leased, bucket):
    with pytest.raises(AlreadyPublishing, match="staticbuilds publish --abandon b1"):
        staticbuilds("publish")
    answer = staticbuilds("publish", "--abandon", "b1")
    assert answer.output.startswith("The lease of build b1 has ended.")
    assert state(bucket) == "abandoned"
    staticbuilds("publish")
    assert state(bucket) == "published"


def test_ending_a_lease_needs_no_build_on_disk(leased, shop):
    with shop(None):
        data = staticbuilds("publish", "b1", "--abandon", "--json").data
    assert data == {"build": "b1", "abandoned": True}


def test_without_a_claim_there_is_nothing_to_give_up(built):
    with pytest.raises(NoLease, match="there is no record of it"):
        staticbuilds("publish", "--abandon")
    staticbuilds("publish")
    with pytest.raises(NoLease, match="it is published"):
        staticbuilds("publish", "--abandon")


# What cannot be published


def test_a_build_that_is_not_there_is_an_error_that_names_those_that_are(built):
    with pytest.raises(NotBuilt) as missing:
        staticbuilds("publish", "b7")
    assert str(missing.value) == (
        f"There is no build b7 to publish: {built.root}/b7/staticfiles.json does not exist. Run "
        "collectstatic with BUILD_VERSION=b7, or copy the directory of the build here. Builds in "
        "STATIC_ROOT: b1."
    )


def test_without_any_build_version_the_error_says_how_to_set_one(built, shop):
    with shop(None):
        with pytest.raises(MissingBuildVersion, match=r"Builds in STATIC_ROOT: b1\."):
            staticbuilds("publish")


def test_without_an_origin_there_is_nowhere_to_publish_to(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        with pytest.raises(NoOrigin, match="the option origin is not set"):
            staticbuilds("publish")


def test_files_that_changed_or_went_since_the_build_stop_it(built, bucket):
    hashed = built.storage.hashed_files
    build = built.root / "b1"
    (build / hashed["img/logo.png"]).write_bytes(b"another picture")
    (build / hashed["js/app.js"]).unlink()
    # By its hashed name alone: the original name is a link to the same file.
    encoded = build / f"{hashed['css/app.css']}.br"
    encoded.unlink()
    encoded.write_bytes(b"half of")
    with pytest.raises(DamagedBuild) as damaged:
        staticbuilds("publish")
    assert str(damaged.value) == (
        f"Build b1 in {build} does not match its manifest:\n"
        f"  {hashed['css/app.css']}.br does not decode to {hashed['css/app.css']}\n"
        f"  {hashed['img/logo.png']} has changed\n"
        f"  {hashed['js/app.js']} is missing\n"
        "Copy the whole directory again, or run collectstatic with BUILD_VERSION=b1, which "
        "restores the files."
    )
    assert bucket.listed() == set()


def test_collecting_again_mends_a_damaged_build(built, bucket):
    hashed = built.storage.hashed_files
    (built.root / "b1" / hashed["js/app.js"]).unlink()
    (built.root / "b1" / f"{hashed['css/app.css']}.br").write_bytes(b"half of")
    built.collect()
    staticbuilds("publish")
    assert state(bucket) == "published"


def test_many_damages_are_counted_not_listed(shop):
    with shop("b1", {f"{number:02}.txt": str(number) for number in range(12)}, publish=False) as s:
        s.collect()
        for name in s.storage.hashed_files.values():
            (s.root / "b1" / name).unlink()
        with pytest.raises(DamagedBuild, match="and 2 more"):
            staticbuilds("publish")


def test_the_manifest_of_another_build_stops_it(built):
    shutil.copytree(built.root / "b1", built.root / "b2")
    with pytest.raises(UnreadableManifest, match="it is the manifest of 'b1'"):
        staticbuilds("publish", "b2")


def test_a_manifest_that_django_wrote_stops_it(built):
    text = '{"version": "1.1", "paths": {"a.css": "a.123.css"}, "hash": ""}'
    (built.root / "b1/staticfiles.json").write_text(text)
    with pytest.raises(UnreadableManifest, match="it has only names"):
        staticbuilds("publish")


def test_a_static_url_that_holds_no_builds_stops_it(built, shop, settings):
    settings.STATIC_URL = "/builds/"
    with shop(None):
        with pytest.raises(InvalidStaticURL, match="the records of the builds are kept"):
            staticbuilds("publish", "b1")


@pytest.mark.parametrize("named", ["../b1", "", ".b1", "b1/css", "b" * 65])
def test_what_is_no_build_version_never_becomes_a_path(built, named):
    with pytest.raises(CommandError, match="is not a build version"):
        staticbuilds("publish", named)


@pytest.mark.parametrize("both", [("--dry-run", "--abandon"), ("--base", "b0", "--no-base")])
def test_what_excludes_each_other_is_refused(built, both):
    with pytest.raises(CommandError, match="not allowed with argument"):
        staticbuilds("publish", *both)
