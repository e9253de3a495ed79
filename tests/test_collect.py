"""What collectstatic asks of the storage."""

# The site stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from hashlib import sha384
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from tests.helpers import site, write
from tests.s3 import Bucket
from versioned_storage.static_root import StaticRootAmongSources

REPOSITORY = Path(__file__).parent.parent
FOREIGN = '{"version": "1.1", "paths": {"css/a.css": "css/a.0123456789ab.css"}, "hash": ""}'
FILES = {"css/a.css": "a{}", "css/b.css": "@import 'a.css';"}


def manifest_of(directory: Path) -> dict[str, object]:
    manifest: dict[str, object] = json.loads((directory / "staticfiles.json").read_text())
    return manifest


# A source with the manifest's name


@pytest.mark.parametrize("build", ["b1", None])
@pytest.mark.parametrize("options", [{}, {"clear": True}, {"link": True}], ids=str)
def test_a_source_with_the_name_of_the_manifest_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, build: str | None, options: dict[str, bool]
) -> None:
    with site(tmp_path, {**FILES, "staticfiles.json": FOREIGN}, BUILD_VERSION=build) as shop:
        directory = shop.root / "b1" if build else shop.root
        for _ in range(2):
            caplog.clear()
            shop.collect(**options)
            assert manifest_of(directory)["paths"].keys() == FILES.keys()  # type: ignore[attr-defined]
            assert not (directory / "staticfiles.json").is_symlink()
            (line,) = [one for one in caplog.messages if "staticfiles.json" in one]
            assert line.startswith(f"{shop.sources}/staticfiles.json is left out")
    assert (shop.sources / "staticfiles.json").read_text() == FOREIGN


def test_a_complete_build_is_not_written_again_because_of_it(tmp_path: Path) -> None:
    with site(tmp_path, {**FILES, "staticfiles.json": FOREIGN}, BUILD_VERSION="b1") as shop:
        shop.collect()
        before = {path: path.stat().st_mtime_ns for path in shop.root.rglob("*.css*")}
        # Newer than everything in the build.
        os.utime(shop.sources / "staticfiles.json", (2**32, 2**32))
        shop.collect()
        assert before == {path: path.stat().st_mtime_ns for path in shop.root.rglob("*.css*")}


def test_a_build_that_fails_has_no_manifest_because_of_it(tmp_path: Path) -> None:
    files = {"staticfiles.json": FOREIGN, "a.css": "a{background: url(none.png)}"}
    with site(tmp_path, files, BUILD_VERSION="b1") as shop:
        with pytest.raises(CommandError, match="leads nowhere"):
            shop.collect()
        assert not (shop.root / "b1/staticfiles.json").exists()


# Messages


def test_of_many_files_that_fail_three_are_named(tmp_path: Path) -> None:
    files = {f"{number:02}.css": "a{background: url(none.png)}" for number in range(60)}
    with site(tmp_path, files, BUILD_VERSION="b1") as shop:
        (shop.root / "errors").parent.mkdir(exist_ok=True)
        with pytest.raises(CommandError) as failure:
            shop.collect()
    del failure
    with site(tmp_path, BUILD_VERSION="b1") as shop:
        sources = {name: (_sources(shop.sources), name) for name in files}
        ((name, _, _),) = shop.storage.post_process(sources)
    assert name == "00.css, 01.css, 02.css and 57 more"


def _sources(directory: Path) -> object:
    from django.core.files.storage import FileSystemStorage

    return FileSystemStorage(directory)


def test_compressed_and_reused_are_numbers_of_encodings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
    assert "4 encodings compressed, 0 reused" in capsys.readouterr().err
    write(shop.sources, {"css/c.css": "c{}"})
    with site(tmp_path, BUILD_VERSION="b2") as shop:
        shop.collect()
    assert "2 encodings compressed, 4 reused" in capsys.readouterr().err


def test_a_build_that_is_not_to_be_published_says_what_publishes_it(
    tmp_path: Path, moto_bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"origin": moto_bucket.options(), "publish": False}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as shop:
        shop.collect()
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == (
            "Build b1 is not published; run 'python manage.py staticbuilds publish' to publish it"
        )
        shop.collect(dry_run=True)
        assert "not published" not in capsys.readouterr().err
    with site(tmp_path, FILES, BUILD_VERSION="b2") as shop:
        shop.collect()
        assert "not published" not in capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, {"dry_run": True}], ids=str)
def test_collectstatic_refuses_a_static_root_among_its_sources(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    root = str(tmp_path / "sources" / "collected")
    with site(tmp_path, FILES, BUILD_VERSION="b1", STATIC_ROOT=root) as shop:
        with pytest.raises(StaticRootAmongSources):
            shop.collect(skip_checks=True, **options)
    assert not Path(root).exists()


# Two at once

PROJECT = """
import time
from pathlib import Path
from versioned_storage.storage import VersionedStaticFilesStorage

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR.parent / "static_root"
STATICFILES_DIRS = [BASE_DIR / "assets"]
BUILD_VERSION = "b1"
STORAGES = {"staticfiles": {"BACKEND": "settings.Slow"}}


class Slow(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        (BASE_DIR / "is_at_work").touch()
        while not (BASE_DIR / "go").exists():
            time.sleep(0.01)
        return super().file_hash(name, content)
"""


def start(directory: Path, files: dict[str, str]) -> subprocess.Popen[str]:
    write(directory, {"settings.py": PROJECT})
    write(directory / "assets", files)
    return subprocess.Popen(
        [sys.executable, "-m", "django", "collectstatic", "--noinput"],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(directory), str(REPOSITORY)]),
            "DJANGO_SETTINGS_MODULE": "settings",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_two_at_once_with_different_content_one_wins_whole_and_the_other_says_so(
    tmp_path: Path,
) -> None:
    first_files = {f"{number}.css": f"a{{order: {number}}}" for number in range(20)}
    second_files = {name: text.replace("a", "b") for name, text in first_files.items()}
    first = start(tmp_path / "first", first_files)
    wait_for(tmp_path / "first/is_at_work")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/go").touch()
    second = start(tmp_path / "second", {**second_files, "z.css": "z{}"})
    # It waits, and says so. Then it must not have changed anything.
    assert second.stderr is not None
    line = second.stderr.readline()
    assert line.startswith("Another collectstatic is writing to")
    (tmp_path / "first/go").touch()
    _, first_error = first.communicate(timeout=60)
    _, second_error = second.communicate(timeout=60)
    assert first.returncode == 0, first_error
    assert second.returncode == 1
    assert "Build b1 is complete in" in second_error
    assert "Traceback" not in second_error
    build = tmp_path / "static_root/b1"
    manifest = manifest_of(build)
    for name, hashed_name in manifest["paths"].items():  # type: ignore[attr-defined]
        for path in (build / name, build / hashed_name):
            assert path.read_text() == first_files[name]
            digest = b64encode(sha384(path.read_bytes()).digest()).decode()
            assert manifest["assets"][hashed_name]["integrity"] == f"sha384-{digest}"  # type: ignore[index]
    assert not (build / "z.css").exists()


def test_of_two_at_once_with_the_same_content_both_succeed(tmp_path: Path) -> None:
    first = start(tmp_path / "first", FILES)
    wait_for(tmp_path / "first/is_at_work")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/go").touch()
    second = start(tmp_path / "second", FILES)
    assert second.stderr is not None
    second.stderr.readline()
    (tmp_path / "first/go").touch()
    _, first_error = first.communicate(timeout=60)
    _, second_error = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), first_error + second_error


def test_one_that_was_killed_leaves_nothing_that_the_next_one_does_not_remove(
    tmp_path: Path,
) -> None:
    first = start(tmp_path / "first", FILES)
    wait_for(tmp_path / "first/is_at_work")
    first.kill()
    first.communicate()
    leftover = tmp_path / "static_root/b1/css/.0123456789abcdef0123456789abcdef.partial"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.touch()
    (tmp_path / "first/go").touch()
    again = start(tmp_path / "first", FILES)
    _, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    assert not leftover.exists()
