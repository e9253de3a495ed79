"""manage.py staticbuilds list."""

import os
import re
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.management.conftest import FILES
from tests.s3 import front
from tests.shared import mark_shared
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin.record import Record, State, UnreadableRecord

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def put(bucket, build, state, ago, published=True):
    """A record of a build with no asset, in that state for so long."""
    record = Record(build, State.PUBLISHING, "content", NOW - ago)
    if published:
        record = record.published(Manifest({}, build=build, content="content"), record.since)
    bucket.put(f"builds/{build}.json", replace(record, state=state).to_json())


def rows(*arguments):
    return {row["build"]: row for row in staticbuilds("list", *arguments, "--json").data["builds"]}


# On the origin


@pytest.fixture
def origin(shop, bucket):
    """A site whose origin has builds in every state, and nothing on the disk."""
    put(bucket, "old", State.PUBLISHED, timedelta(days=3))
    put(bucket, "newest", State.PUBLISHED, timedelta(hours=2))
    put(bucket, "middle", State.PUBLISHED, timedelta(days=1))
    put(bucket, "begun", State.PUBLISHING, timedelta(minutes=1), published=False)
    put(bucket, "died", State.PUBLISHING, timedelta(hours=1), published=False)
    put(bucket, "going", State.PRUNING, timedelta(hours=1))
    put(bucket, "gone", State.RETIRED, timedelta(days=9))
    put(bucket, "given-up", State.ABANDONED, timedelta(days=9), published=False)
    with shop(None):
        yield bucket


def test_the_current_build_is_the_first_and_the_others_were_superseded_by_the_next(origin):
    listed = rows()
    assert list(listed) == ["newest", "middle", "old", "begun", "died", "going"]
    when = {name: row["activated"] for name, row in listed.items()}
    assert [name for name, row in listed.items() if row["current"]] == ["newest"]
    assert listed["newest"]["superseded"] is None
    assert listed["middle"]["superseded"] == when["newest"]
    assert listed["old"]["superseded"] == when["middle"]
    assert when["newest"] == (NOW - timedelta(hours=2)).isoformat()


def test_what_is_not_published_has_no_activation(origin):
    listed = rows()
    for build in ("begun", "died", "going"):
        assert (listed[build]["activated"], listed[build]["superseded"]) == (None, None)
        assert listed[build]["current"] is False


def test_a_claim_that_nobody_renews_is_said_to_be_dead(origin):
    assert {name for name, row in rows().items() if row["dead"]} == {"died", "going"}
    assert re.search(r"^died +publishing \(dead\) ", staticbuilds("list").output, re.MULTILINE)


def test_builds_of_which_nothing_is_left_are_shown_with_all(origin):
    listed = rows("--all")
    assert {listed[name]["state"] for name in ("gone", "given-up")} == {"retired", "abandoned"}
    assert listed["gone"]["where"] is None
    assert listed["gone"]["bytes"] is None
    assert listed.keys() - rows().keys() == {"gone", "given-up"}


def test_the_table_has_ages_and_reads_the_same_in_a_pipe(origin):
    lines = staticbuilds("list").output.splitlines()
    assert lines[0].split("  ")[0] == "BUILD"
    at = f"{NOW - timedelta(hours=2):%Y-%m-%d %H:%M}"
    assert re.fullmatch(
        rf"newest +published +{at}, 2 hours ago +current +0 +0 +0 B  origin", lines[1]
    )
    assert re.fullmatch(
        rf"middle +published +\S+ \S+, 1 day ago +{at}, 2 hours ago +0 +0 +0 B  origin", lines[2]
    )
    assert re.fullmatch(r"begun +publishing +- +- +- +- +-  origin", lines[4])


def test_a_list_takes_one_request_and_one_for_each_build(origin, shop):
    with front(origin.endpoint) as s3, shop(None, s3=origin.options(endpoint_url=s3.url)):
        staticbuilds("list")
    assert len(s3.requests) == 1 + 8


def test_an_object_that_is_no_record_is_an_error_that_names_it(origin):
    origin.put("builds/notes.json", b"not ours\n")
    with pytest.raises(UnreadableRecord, match=r"builds/notes\.json is not a readable record"):
        staticbuilds("list")


# On the origin and on the disk


def test_each_build_says_where_it_is(shop, bucket):
    with shop("b1", machine="another") as another:
        another.collect()
    with shop("b2") as here:
        here.collect()
    with shop("b3", publish=False) as here:
        here.collect()
        listed = rows()
    assert {name: (row["state"], row["where"]) for name, row in listed.items()} == {
        "b2": ("published", "both"),
        "b1": ("published", "origin"),
        "b3": ("complete", "disk"),
    }
    size = sum(len(row["Body"]) for key, row in bucket.objects().items() if "/b1/" in key)
    for row in listed.values():
        assert (row["assets"], row["objects"], row["bytes"]) == (3, 14, size)


def test_shared_bytes_are_told_apart_from_those_of_the_build(shop, bucket):
    for build in ("b1", "b2"):
        with shop(build, publish=False, shared_assets=True) as here:
            here.collect()
            manifest = mark_shared(here.root / build, "img/logo.png")
            staticbuilds("publish", build)
            listed, output = rows(), staticbuilds("list").output
    assert f"static/_shared/{manifest.paths['img/logo.png']}" in bucket.objects()
    png = len(FILES["img/logo.png"])
    for build in ("b1", "b2"):
        row = listed[build]
        assert (row["objects"], row["shared_objects"], row["shared_bytes"]) == (14, 1, png)
    header, first, *_ = output.splitlines()
    assert header.split()[-4:] == ["OBJECTS", "OWN", "SHARED", "WHERE"]
    assert f"  {png} B  " in first


def test_a_pulled_manifest_is_no_build_on_disk(shop, bucket):
    """A machine that ran ``pull`` has no file to serve, to publish or to prune."""
    with shop("b1", machine="another") as another:
        another.collect()
    with shop("b1"):
        staticbuilds("pull")
        assert rows()["b1"]["where"] == "origin"
        bucket.delete("builds/b1.json")
        assert (rows()["b1"]["state"], rows()["b1"]["where"]) == ("pulled", None)


def test_a_build_on_disk_is_not_current_while_another_is_published(shop):
    with shop("b1") as here:
        here.collect()
    with shop("b2", publish=False) as here:
        here.collect()
        listed = rows()
    assert listed["b1"]["current"] is True
    assert (listed["b2"]["current"], listed["b2"]["activated"]) == (False, None)


def test_a_retired_build_that_is_on_disk_is_shown(shop, bucket):
    with shop("b1") as here:
        here.collect()
        put(bucket, "b1", State.RETIRED, timedelta(days=1))
        listed = rows()["b1"]
    assert (listed["state"], listed["where"], listed["objects"]) == ("retired", "disk", 14)


# Without an origin


@pytest.fixture
def pulled_from(tmp_path):
    """A site that a CDN pulls from, with two builds; the one that sorts last is the older one."""
    for build, ago in (("b2", 7200), ("b1", 60)):
        with site(tmp_path, FILES, BUILD_VERSION=build) as row:
            row.collect()
        at = NOW.timestamp() - ago
        os.utime(tmp_path / f"static_root/{build}/staticfiles.json", (at, at))
    with site(tmp_path) as row:
        yield row


def test_the_build_that_was_completed_last_is_the_current_one(pulled_from):
    listed = rows()
    assert list(listed) == ["b1", "b2"]
    assert listed["b1"]["current"] is True
    assert listed["b2"]["superseded"] == listed["b1"]["activated"]
    assert {row["where"] for row in listed.values()} == {"disk"}


@pytest.mark.parametrize(
    ("content", "reason"), [(b"{", "not JSON"), (b"\xff\xfe\x00", "not UTF-8")]
)
def test_a_manifest_that_cannot_be_read_is_listed_as_that(pulled_from, caplog, content, reason):
    (pulled_from.root / "b1/staticfiles.json").write_bytes(content)
    listed = rows()
    assert (listed["b1"]["state"], listed["b1"]["current"]) == ("unreadable", False)
    assert listed["b2"]["current"] is True
    assert f"b1/staticfiles.json' (version 1.1): it is {reason}" in caplog.text


def test_where_there_are_no_builds_it_says_where_it_looked(shop, bucket):
    with shop() as here:
        assert staticbuilds("list").output == (
            f"There are no builds: looked at s3://{bucket.name}/builds/ and {here.root}\n"
        )
        assert staticbuilds("list", "--json").data == {"builds": []}


def test_a_directory_without_a_manifest_is_no_build(pulled_from):
    shutil.copytree(pulled_from.root / "b1", pulled_from.root / "half")
    (pulled_from.root / "half/staticfiles.json").unlink()
    assert rows().keys() == {"b1", "b2"}
