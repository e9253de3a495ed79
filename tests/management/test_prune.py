"""manage.py staticbuilds prune."""

import json
import os
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from django.core.management import CommandError

from tests.helpers import write
from tests.management.command import staticbuilds
from versioned_storage.management.subcommands.prune import NotConfirmed, TooManyBuilds
from versioned_storage.origin import record
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.shared_objects import SweepLease

FILES = {"app.css": "body { color: red }\n" * 20}


@pytest.fixture
def builds(shop, bucket):
    """Three builds, of which the first was superseded long ago; b3 is the settings' own."""
    origin = S3Origin(bucket.options())
    for build, days in (("b1", 90), ("b2", 60), ("b3", 1)):
        with shop(build, FILES) as project:
            project.collect()
            age(origin, build, days)
            manifest = project.root / build / "staticfiles.json"
            then = (datetime.now(timezone.utc) - timedelta(days=days)).timestamp()
            os.utime(manifest, (then, then))
    with shop("b3", FILES) as project:
        yield project


def age(origin, build, days):
    """Let a build have been activated so many days ago."""
    stored = record.read(origin, build)
    since = datetime.now(timezone.utc) - timedelta(days=days)
    text = stored.record.to_json().replace(
        stored.record.since.isoformat().encode(), since.isoformat().encode()
    )
    origin.put(record.path(build), text, replacing=stored.etag)


def left(bucket):
    return {key.split("/")[1] for key in bucket.listed() if key.startswith("static/")}


def test_shared_objects_that_no_build_lists_are_deleted(shop, bucket):
    origin = S3Origin(bucket.options())
    for build, color, days in (("b1", "red", 90), ("b2", "blue", 60), ("b3", "blue", 1)):
        files = {"app.css": f"body {{ color: {color} }}\n" * 20}
        with shop(build, files, shared_assets=True) as project:
            project.collect()
            age(origin, build, days)
            options = ("--keep", "1", "--older-than", "0m")
            if build == "b3":
                would = staticbuilds("prune", *options, "--dry-run").output.splitlines()[-1]
                answer = staticbuilds("prune", *options, "--noinput", "--json")
    assert would.startswith("Would delete 2 builds, 3 shared objects (")
    data = json.loads(answer.output)
    assert data["shared"]["objects"] == 3
    assert data["shared"]["busy"] is False
    shared = [key for key in bucket.listed() if key.startswith("static/_shared/")]
    assert len(shared) == 3


def test_what_no_page_refers_to_is_deleted(builds, bucket):
    answer = staticbuilds("prune", "--keep", "1", "--noinput")
    assert left(bucket) == {"b2", "b3"}
    assert answer.output.splitlines() == [
        "keep    b3                       is the current build",
        "keep    b2                       was superseded less than 30 days ago",
        "delete  b1                       was superseded more than 30 days ago",
        "Deleted 1 build, 6 files",
    ]


def test_a_dry_run_deletes_nothing(builds, bucket):
    before = bucket.listed()
    answer = staticbuilds("prune", "--keep", "1", "--older-than", "12h", "--dry-run")
    assert bucket.listed() == before
    assert answer.output.splitlines()[-1] == "Would delete 2 builds"


def test_a_protected_build_is_kept(builds, bucket):
    staticbuilds("prune", "--keep", "1", "--older-than", "0d", "--protect", "b1", "--noinput")
    assert left(bucket) == {"b1", "b3"}


def test_the_build_of_the_settings_is_kept(shop, builds, bucket):
    """The application may have been rolled back before S3 knows."""
    with shop("b1", FILES):
        answer = staticbuilds("prune", "--keep", "1", "--older-than", "0d", "--noinput")
    assert left(bucket) == {"b1", "b3"}
    assert "is the BUILD_VERSION of these settings" in answer.output


def test_more_than_was_allowed_is_deleted_not_at_all(builds, bucket):
    before = bucket.listed()
    with pytest.raises(TooManyBuilds) as refused:
        staticbuilds("prune", "--keep", "1", "--older-than", "0d", "--max-delete", "1", "--noinput")
    assert str(refused.value) == (
        "2 builds would be deleted, and --max-delete allows 1: b1, b2. Nothing was deleted. Look "
        "at --dry-run, and raise --max-delete if all of them may go."
    )
    assert bucket.listed() == before


@pytest.mark.parametrize(("typed", "gone"), [("y\n", True), ("no\n", False), ("", False)])
def test_it_asks_before_it_deletes(builds, bucket, monkeypatch, capsys, typed, gone):
    monkeypatch.setattr(sys, "stdin", StringIO(typed))
    if gone:
        staticbuilds("prune", "--keep", "1")
    else:
        with pytest.raises(NotConfirmed, match="--noinput deletes without asking"):
            staticbuilds("prune", "--keep", "1")
    assert ("b1" in left(bucket)) != gone
    assert capsys.readouterr().err.rstrip().endswith("Would delete 1 build. Go ahead? [y/N]")


def test_it_asks_before_it_deletes_shared_objects_of_no_build(shop, bucket, monkeypatch, capsys):
    left_behind = "static/_shared/left.js"
    with shop("b1", FILES, shared_assets=True) as project:
        project.collect()
        bucket.put(left_behind, b"of a publish that was abandoned")
        monkeypatch.setattr(sys, "stdin", StringIO("no\n"))
        with pytest.raises(NotConfirmed):
            staticbuilds("prune", "--older-than", "0m")
        assert left_behind in bucket.listed()
        asked = capsys.readouterr().err.rstrip()
        assert asked.endswith("Would delete 0 builds, 1 shared object (31 B). Go ahead? [y/N]")
        monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
        staticbuilds("prune", "--older-than", "0m")
        assert left_behind not in bucket.listed()
        # And now there is nothing to ask.
        staticbuilds("prune", "--older-than", "0m")


def test_nothing_to_delete_asks_nothing(builds):
    assert staticbuilds("prune").output.endswith("Deleted 0 builds, 0 files\n")


def test_a_build_that_another_process_prunes_is_named(builds, bucket):
    origin = S3Origin(bucket.options())
    stored = record.read(origin, "b1")
    now = datetime.now(timezone.utc)
    record.write(origin, replace(stored.record, state=record.State.PRUNING, since=now), stored.etag)
    output = staticbuilds("prune", "--noinput").output
    assert (
        f"Skipped: b1 is being pruned since {now:%Y-%m-%d %H:%M:%S} UTC. If that process has "
        "ended, a prune resumes it from 15 minutes later on\n"
    ) in output


def test_a_running_prune_of_shared_assets_is_named_with_the_end_of_its_lease(shop, bucket):
    with shop("b1", FILES, shared_assets=True) as project:
        project.collect()
        running = SweepLease.acquire(S3Origin(bucket.options())).sweep
        output = staticbuilds("prune", "--noinput").output
    assert (
        f"Skipped: shared assets are being pruned by {running.owner} since "
        f"{running.since:%Y-%m-%d %H:%M:%S} UTC. If that process has ended, a prune deletes them "
        "from 15 minutes later on\n"
    ) in output


def test_json_is_for_programs(builds):
    output = json.loads(staticbuilds("prune", "--keep", "1", "--noinput", "--json").output)
    assert output["dry_run"] is False
    assert output["deleted"] == {"b1": 6}
    assert output["delete"] == {"b1": "was superseded more than 30 days ago"}
    assert [project["build"] for project in output["builds"]] == ["b3", "b2", "b1"]
    assert output["builds"][0]["superseded"] is None
    assert datetime.fromisoformat(output["builds"][1]["superseded"]).tzinfo


def test_builds_on_disk_are_pruned_by_the_same_rules(builds, bucket):
    before = bucket.listed()
    (builds.root / "not-a-build").mkdir()
    answer = staticbuilds("prune", "--local", "--keep", "1", "--noinput")
    assert sorted(path.name for path in builds.root.iterdir()) == ["b2", "b3", "not-a-build"]
    assert answer.output.endswith("Deleted 1 build, 7 files\n")
    assert bucket.listed() == before


def test_what_only_looks_like_a_build_is_not_deleted_from_the_disk(builds):
    """Another site that collects into a directory below, with Django's own storage."""
    other = builds.root / "other-site"
    write(other, {"staticfiles.json": json.dumps({"version": "1.1", "paths": {"a.css": "a.css"}})})
    os.utime(other / "staticfiles.json", (0, 0))
    answer = staticbuilds("prune", "--local", "--keep", "1", "--older-than", "0d", "--noinput")
    assert sorted(path.name for path in builds.root.iterdir()) == ["b3", "other-site"]
    assert "other-site" not in answer.output


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--older-than", "a month"], "'a month' is not an age in days, hours or minutes"),
        (["--keep", "0"], "'0' is not a whole number from 1 on"),
    ],
)
def test_what_cannot_be_is_said(builds, arguments, output):
    with pytest.raises(CommandError, match=output):
        staticbuilds("prune", *arguments)
