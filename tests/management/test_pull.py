"""manage.py staticbuilds pull."""

# The site stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

from datetime import datetime, timezone

import pytest

from tests.helpers import site
from tests.management.command import staticbuilds
from tests.management.conftest import FILES
from tests.s3 import front
from versioned_storage.build.directory import CannotWrite
from versioned_storage.management.subcommands.pull import OtherBuildOnDisk
from versioned_storage.origin.record import NotPublished, Record, State
from versioned_storage.site import NoOrigin


@pytest.fixture
def published(shop, bucket):
    """A build that another machine has published."""
    with shop(machine="another") as project:
        project.collect()
        yield {name: project.storage.url(name) for name in FILES}


def test_the_manifest_is_all_that_a_page_needs(published, shop, bucket):
    with shop(None) as here:
        path = here.root / "b1/staticfiles.json"
        answer = staticbuilds("pull", "b1")
    assert answer.output == f"Pulled the manifest of build b1, 3 assets, to {path}\n"
    assert [project.name for project in path.parent.iterdir()] == ["staticfiles.json"]
    with front(bucket.endpoint) as s3, shop(s3=bucket.options(endpoint_url=s3.url)) as here:
        assert {name: here.storage.url(name) for name in FILES} == published
    assert s3.requests == []


def test_a_pulled_build_is_the_current_one_again_once_it_is_published(published, shop, bucket):
    """A rollback, from a machine that has no file of the build."""
    with shop("b2", {**FILES, "js/new.js": "1"}, machine="another") as project:
        project.collect()
    with shop(None, machine="third") as here:
        staticbuilds("pull", "b1")
        before = bucket.listed()
        dry = staticbuilds("publish", "b1", "--dry-run", "--json").data
        assert (dry["already_published"], dry["steps"]) == (True, [])
        assert "nothing to upload" in staticbuilds("publish", "b1").output
        listed = staticbuilds("list", "--json").data
        assert [project.name for project in (here.root / "b1").iterdir()] == ["staticfiles.json"]
    assert bucket.listed() == before
    assert [project["build"] for project in listed["builds"] if project["current"]] == ["b1"]


def test_the_build_of_the_settings_needs_no_name(published, shop):
    with shop() as here:
        assert staticbuilds("pull", "--json").data == {
            "build": "b1",
            "path": str(here.root / "b1/staticfiles.json"),
            "assets": 3,
            "written": True,
        }


def test_a_manifest_that_is_there_already_stays_as_it_is(published, shop):
    with shop() as here:
        path = here.root / "b1/staticfiles.json"
        staticbuilds("pull")
        before = path.stat()
        answer = staticbuilds("pull")
        assert answer.output == f"The manifest of build b1 is already at {path}\n"
        assert staticbuilds("pull", "--json").data["written"] is False
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_content_on_disk_is_an_error_that_says_what_differs(published, shop, bucket):
    with shop("b1", {**FILES, "js/app.js": "other();"}, publish=False) as here:
        here.collect()
        path = here.root / "b1/staticfiles.json"
        before = path.read_bytes()
        with pytest.raises(OtherBuildOnDisk) as other:
            staticbuilds("pull")
    assert str(other.value) == (
        f"{path} exists, and s3://{bucket.name}/builds/b1.json is published with other content. "
        "Compared with the build on disk, the published one has\n"
        "  changed (1): js/app.js\n"
        "Nothing was changed. Delete the directory of the build if it was never deployed, or set "
        "a new BUILD_VERSION for it."
    )
    assert path.read_bytes() == before


def test_a_build_that_is_nowhere_is_an_error(published, shop, bucket):
    with shop():
        with pytest.raises(NotPublished) as missing:
            staticbuilds("pull", "b7")
    assert str(missing.value) == (
        "Build b7 is not published: there is no record of it "
        f"(s3://{bucket.name}/builds/b7.json). Publish it: run 'python manage.py "
        "staticbuilds publish b7' if STATIC_ROOT has it, else collectstatic with BUILD_VERSION=b7."
    )


@pytest.mark.parametrize("state", [project for project in State if project is not State.PUBLISHED])
def test_a_build_that_is_not_published_now_is_an_error(shop, bucket, state):
    record = Record("b1", state, "x", datetime.now(timezone.utc))
    bucket.put("builds/b1.json", record.to_json())
    with shop() as here:
        with pytest.raises(NotPublished, match=f"it is {state.value}"):
            staticbuilds("pull")
    assert not here.root.exists()


def test_a_disk_that_refuses_is_an_error_that_says_where(published, shop):
    with shop() as here:
        here.root.mkdir()
        (here.root / "b1").write_text("no directory")
        with pytest.raises(CannotWrite, match=f"Cannot write {here.root}/b1"):
            staticbuilds("pull")


def test_the_modes_of_the_settings_are_those_of_the_file(published, shop, settings):
    settings.FILE_UPLOAD_PERMISSIONS = 0o640
    with shop() as here:
        staticbuilds("pull")
        assert (here.root / "b1/staticfiles.json").stat().st_mode & 0o777 == 0o640


def test_without_an_origin_there_is_nothing_to_pull_from(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1"):
        with pytest.raises(NoOrigin):
            staticbuilds("pull")
