"""manage.py staticbuilds verify without --edge: what S3 has."""

import json
import re

import pytest
from django.core.management import CommandError

from tests.helpers import site
from tests.management.command import staticbuilds
from versioned_storage.management.subcommands.verify import NothingToVerify, OnlyForS3
from versioned_storage.origin.record import NotPublished


@pytest.fixture
def published(shop):
    """The site of a machine that made and published b1."""
    with shop("b1") as fault:
        fault.collect()
        yield fault


def delete(bucket, *names):
    for name in names:
        bucket.client.delete_object(Bucket=bucket.name, Key=f"static/b1/{name}")


def test_a_build_that_is_well_is_one_line_and_what_that_is_worth_another(published, bucket):
    answer = staticbuilds("verify")
    assert answer.code == 0
    first, note = answer.output.splitlines()
    assert re.fullmatch(
        rf"Build b1 at s3://{bucket.name}/static/b1/: 14 objects \(\d\.\d kB\) checked, "
        r"all correct, 16 requests, \d\.\d s",
        first,
    )
    # Moto keeps no checksum of what is put.
    assert note.startswith("  S3 has no checksum of 14 objects, ")
    assert "--deep" in note


def test_deep_reads_each_object(published):
    answer = staticbuilds("verify", "--deep")
    assert " downloaded and checked, all correct, " in answer.output


def test_what_is_wrong_is_told_with_what_mends_it_and_the_exit_code_is_1(published, bucket):
    delete(bucket, "img/logo.png")
    answer = staticbuilds("verify")
    assert answer.code == 1
    url = f"s3://{bucket.name}/static/b1/img/logo.png"
    lines = answer.output.splitlines()
    assert lines[0] == f"{url}: object is missing, expected 80 bytes"
    assert ", 1 faulty, " in lines[1]
    assert "python manage.py staticbuilds verify b1 --repair" in lines[2]


def test_json_has_everything(published, bucket):
    delete(bucket, *(f"css/app.css{suffix}" for suffix in ("", ".br", ".gz")))
    bucket.put("static/b1/notes.txt", b"by hand")
    answer = staticbuilds("verify", "--json")
    assert answer.code == 1
    data = answer.data
    below = f"s3://{bucket.name}/static/b1/"
    assert (data["ok"], data["build"], data["place"]) == (False, "b1", below)
    assert (data["objects"], data["deep"], data["unchecked"]) == (14, False, 11)
    assert [fault["found"] for fault in data["faults"]] == ["missing"] * 3
    assert data["foreign"] == [{"url": f"{below}notes.txt", "bytes": 7}]
    assert data["repairs"] == []


def test_more_than_ten_are_counted(published, bucket):
    delete(bucket, *(key.partition("/b1/")[2] for key in bucket.listed() if "/b1/" in key))
    answer = staticbuilds("verify")
    assert answer.output.count(": object is missing") == 10
    assert "\nand 4 more objects; --json has them all\n" in answer.output


def test_what_is_not_of_the_build_is_a_note(published, bucket):
    bucket.put("static/b1/notes.txt", b"by hand")
    answer = staticbuilds("verify")
    assert answer.code == 0
    assert (
        "The prefix of the build holds 1 object (7 B) that does not belong to it" in answer.output
    )
    assert f"s3://{bucket.name}/static/b1/notes.txt" in answer.output


def test_repair_puts_back_what_is_wrong(published, bucket):
    before = bucket.listed()
    delete(bucket, "img/logo.png")
    answer = staticbuilds("verify", "--repair")
    assert answer.code == 0
    url = f"s3://{bucket.name}/static/b1/img/logo.png"
    assert answer.output.startswith(f"{url} was restored from the build directory\nBuild b1 at ")
    assert ", all correct, " in answer.output
    assert bucket.listed() == before


def test_repair_makes_an_encoding_that_the_build_directory_lacks(published, bucket):
    hashed_name = published.storage.manifest.paths["css/app.css"]
    (published.root / "b1" / f"{hashed_name}.br").unlink()
    delete(bucket, "css/app.css.br", f"{hashed_name}.br")
    assert staticbuilds("verify", "--repair").code == 0


def test_a_machine_without_the_build_repairs_what_s3_itself_has(published, shop, bucket):
    delete(bucket, "css/app.css")
    with shop("b1", machine="another"):
        assert staticbuilds("verify", "--repair").code == 0
    delete(bucket, "img/logo.png", published.storage.manifest.paths["img/logo.png"])
    with shop("b1", machine="another"):
        answer = staticbuilds("verify", "--repair")
    assert answer.code == 1
    assert "cannot be repaired here: " in answer.output
    assert "--repair'" not in answer.output


def test_another_build_can_be_named(published, shop):
    with shop("b2"):
        assert staticbuilds("verify", "b1").output.startswith("Build b1 at ")


def test_a_build_that_is_not_published_is_an_error(shop):
    with shop("b2"), pytest.raises(NotPublished, match="Build b2 is not published"):
        staticbuilds("verify")


def test_something_that_is_no_build_version_is_refused(published):
    with pytest.raises(CommandError, match="is not a build version"):
        staticbuilds("verify", "../b1")


@pytest.mark.parametrize("flag", ["--deep", "--repair"])
def test_what_is_about_s3_does_not_go_with_the_edge(published, flag):
    with pytest.raises(OnlyForS3, match=f"^{flag} is for the objects on S3"):
        staticbuilds("verify", "--edge", flag)


def test_without_an_origin_it_has_to_be_said_what_to_verify(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1"), pytest.raises(NothingToVerify, match="option origin"):
        staticbuilds("verify")


def test_json_is_json_when_all_is_well_too(published):
    assert json.loads(staticbuilds("verify", "--json").output)["ok"] is True
