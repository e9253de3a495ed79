"""What collectstatic asks of the storage."""

# The site stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from hashlib import sha384
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError
from django.test import override_settings

from tests.helpers import FILES, ORIGIN, REPOSITORY, run_python, site, tree, write
from tests.s3 import Bucket
from versioned_storage.build.assemble import BuildIsComplete
from versioned_storage.build.directory import CHUNK, CannotWrite
from versioned_storage.build.manifest import UnreadableManifest
from versioned_storage.errors import ConfigurationError, MissingEntry
from versioned_storage.static_root import StaticRootAmongSources
from versioned_storage.storage import BuildIsFrozen, VersionedStaticFilesStorage

HASH = r"[0-9a-f]{12}"
FOREIGN = '{"version": "1.1", "paths": {"css/a.css": "css/a.0123456789ab.css"}, "hash": ""}'
STYLES = {"css/a.css": "a{}", "css/b.css": "@import 'a.css';"}


def manifest_of(directory: Path) -> dict[str, object]:
    manifest: dict[str, object] = json.loads((directory / "staticfiles.json").read_text())
    return manifest


# A source with the manifest's name


@pytest.mark.parametrize("build", ["b1", None])
@pytest.mark.parametrize("options", [{}, {"clear": True}, {"link": True}], ids=str)
def test_a_source_with_the_name_of_the_manifest_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, build: str | None, options: dict[str, bool]
) -> None:
    with site(tmp_path, {**STYLES, "staticfiles.json": FOREIGN}, BUILD_VERSION=build) as shop:
        directory = shop.root / "b1" if build else shop.root
        for _ in range(2):
            caplog.clear()
            shop.collect(**options)
            assert manifest_of(directory)["paths"].keys() == STYLES.keys()  # type: ignore[attr-defined]
            assert not (directory / "staticfiles.json").is_symlink()
            (line,) = [shop for shop in caplog.messages if "staticfiles.json" in shop]
            assert line.startswith(f"{shop.sources}/staticfiles.json is left out")
    assert (shop.sources / "staticfiles.json").read_text() == FOREIGN


def test_a_complete_build_is_not_written_again_because_of_it(tmp_path: Path) -> None:
    with site(tmp_path, {**STYLES, "staticfiles.json": FOREIGN}, BUILD_VERSION="b1") as shop:
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

    return FileSystemStorage(directory)


def test_compressed_and_reused_are_numbers_of_encodings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with site(tmp_path, STYLES, BUILD_VERSION="b1") as shop:
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
    with site(tmp_path, STYLES, options=options, BUILD_VERSION="b1") as shop:
        shop.collect()
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == (
            "Build b1 was not published by this run; run 'python manage.py staticbuilds publish' "
            "to publish it"
        )
        shop.collect(dry_run=True)
        assert "staticbuilds publish" not in capsys.readouterr().err
    with site(tmp_path, STYLES, BUILD_VERSION="b2") as shop:
        shop.collect()
        assert "staticbuilds publish" not in capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, {"dry_run": True}], ids=str)
def test_collectstatic_refuses_a_static_root_among_its_sources(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    root = str(tmp_path / "sources" / "collected")
    with site(tmp_path, STYLES, BUILD_VERSION="b1", STATIC_ROOT=root) as shop:
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


@pytest.mark.deep
def test_of_two_at_once_with_the_same_content_both_succeed(tmp_path: Path) -> None:
    first = start(tmp_path / "first", STYLES)
    wait_for(tmp_path / "first/is_at_work")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/go").touch()
    second = start(tmp_path / "second", STYLES)
    assert second.stderr is not None
    second.stderr.readline()
    (tmp_path / "first/go").touch()
    _, first_error = first.communicate(timeout=60)
    _, second_error = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), first_error + second_error


@pytest.mark.deep
def test_one_that_was_killed_leaves_nothing_that_the_next_one_does_not_remove(
    tmp_path: Path,
) -> None:
    first = start(tmp_path / "first", STYLES)
    wait_for(tmp_path / "first/is_at_work")
    first.kill()
    first.communicate()
    leftover = tmp_path / "static_root/b1/css/.0123456789abcdef0123456789abcdef.partial"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.touch()
    (tmp_path / "first/go").touch()
    again = start(tmp_path / "first", STYLES)
    _, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    assert not leftover.exists()


# collectstatic


def test_a_build_has_each_file_under_both_names_with_its_encodings(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        files = tree(it.root)
        paths = it.storage.hashed_files
    names = {"staticfiles.json"} | {
        name + suffix for name in (*paths, *paths.values()) for suffix in ("", ".br", ".gz")
    }
    assert files.keys() == {f"b1/{name}" for name in names}
    assert paths["img/logo.svg"].encode() in b"img/" + files["b1/css/app.css"].partition(b"img/")[2]
    assert files["b1/css/app.css"] == files[f"b1/{paths['css/app.css']}"]


def test_the_neutral_layout_is_that_of_djangos_storage_with_encodings(tmp_path):
    with site(tmp_path, FILES) as it:
        it.collect()
        ours = tree(it.root)
        django_paths = it.storage.hashed_files
    django_root = tmp_path / "django"
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    with site(tmp_path, FILES, backend=backend, STATIC_ROOT=str(django_root)) as it:
        it.collect()
        theirs = tree(django_root)
    paths = json.loads(theirs.pop("staticfiles.json"))["paths"]
    ours.pop("staticfiles.json")
    encoded = {name: ours.pop(name) for name in list(ours) if name.endswith((".br", ".gz"))}
    assert django_paths == paths
    assert ours == theirs
    assert encoded.keys() == {name + suffix for name in theirs for suffix in (".br", ".gz")}


@pytest.mark.parametrize("build", [None, "b1"])
def test_djangos_own_storage_can_load_our_manifest(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        theirs = ManifestStaticFilesStorage(it.storage.location, it.storage.base_url)
        assert theirs.hashed_files == it.storage.hashed_files
        assert theirs.manifest_hash == it.storage.manifest_hash != ""
        for name in FILES:
            assert theirs.url(name) == it.storage.url(name)


def test_another_process_reads_the_manifest(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        fresh = VersionedStaticFilesStorage()
        assert fresh.url("css/app.css") == it.storage.url("css/app.css")
        assert fresh.manifest == it.storage.manifest
        assert fresh.load_manifest() == (it.storage.hashed_files, it.storage.manifest_hash)


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_dry_run_touches_nothing(tmp_path, build):
    with site(tmp_path, FILES, options={"origin": None}, BUILD_VERSION=build) as it:
        it.collect(dry_run=True)
        assert not it.root.exists()
        it.collect()
        before = tree(it.root)
        write(it.sources, {"js/app.js": "console.log(22)"})
        if build is None:
            it.collect(dry_run=True)
            it.collect(dry_run=True, clear=True)
        else:
            with pytest.raises(BuildIsComplete):
                it.collect(dry_run=True)
        assert tree(it.root) == before


def test_a_dry_run_with_an_origin_reaches_for_no_network(tmp_path):
    with site(tmp_path, FILES, options={"origin": ORIGIN}, BUILD_VERSION="b1") as it:
        it.collect(dry_run=True)
        assert not it.root.exists()


@pytest.mark.parametrize("build", [None, "b1"])
def test_with_link_the_originals_are_links_to_the_sources(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect(link=True)
        for name in FILES:
            assert Path(it.storage.path(name)).readlink() == it.sources / name
            copy = Path(it.storage.path(it.storage.hashed_files[name]))
            assert copy.is_file()
            assert not copy.is_symlink()
            assert (it.sources / name).read_text() == FILES[name]
        before = tree(it.root)
        it.collect(link=True)
        assert tree(it.root) == before


@pytest.mark.parametrize("build", [None, "b1"])
def test_clear_starts_again(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        (it.sources / "js/app.js").unlink()
        write(it.sources, {"img/logo.svg": "<svg/>"})
        it.collect(clear=True)
        assert it.storage.hashed_files.keys() == {"css/app.css", "img/logo.svg"}
        names = tree(it.storage.location)
        assert not [name for name in names if name.startswith("js/")]
        assert len([name for name in names if re.fullmatch(rf"img/logo\.{HASH}\.svg", name)]) == 1


def test_clear_of_a_build_leaves_the_others_alone(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root / "b1")
    with site(tmp_path, FILES, BUILD_VERSION="b2") as it:
        it.collect()
        it.collect(clear=True)
        assert tree(it.root / "b1") == before


def test_a_neutral_clear_leaves_builds_alone(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root / "b1")
    with site(tmp_path, FILES) as it:
        write(it.root, {"b2/old.css": "", "old.css": ""})
        it.collect(clear=True)
        assert tree(it.root / "b1") == before
        assert not (it.root / "old.css").exists()
        assert not (it.root / "b2/old.css").exists()
        assert (it.root / "css/app.css").exists()


# A complete build


def test_the_same_again_is_fine_and_changes_nothing(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        for name in FILES:
            (it.sources / name).touch()
        assert "0 static files copied" in it.collect()
        assert tree(it.root) == before


def test_the_same_again_renews_the_time_of_the_manifest_and_does_not_replace_it(tmp_path):
    """Its time is that of the build's activation, for prune --local after a rollback."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        manifest = shop.root / "b1" / "staticfiles.json"
        os.utime(manifest, (0, 0))
        before = manifest.stat()
        shop.collect()
        after = manifest.stat()
    assert after.st_ino == before.st_ino
    assert after.st_mtime > time.time() - 3600


OTHER = {
    "css/app.css": "body { background: url(../img/logo.svg); color: red }",
    "js/new.js": "console.log(2)",
}


@pytest.mark.parametrize("keep_originals", [True, False])
def test_other_content_is_refused_and_leaves_a_complete_build_as_it_was(tmp_path, keep_originals):
    options = {"keep_originals": keep_originals}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        write(it.sources, OTHER)
        (it.sources / "js/app.js").unlink()
        for _ in range(2):
            with pytest.raises(BuildIsComplete) as caught:
                it.collect()
            assert tree(it.root) == before
    assert str(caught.value) == (
        f"Build b1 is complete in {it.root}/b1, and the collected files have other content, "
        "or options that shape a build have changed since. Compared with the build they have\n"
        "  added (1): js/new.js\n"
        "  removed (1): js/app.js\n"
        "  changed (1): css/app.css\n"
        "A build never changes: set a new BUILD_VERSION, or run collectstatic --clear if this one "
        "was never deployed. To publish it to S3 as it is, run 'python manage.py staticbuilds "
        "publish b1'."
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"css/new.css": "a { background: url(nowhere.png) }"},
        {"css/new.css": b"a { color: red } /* \xff */"},
        {"js/new.js": "1", "js/new.js.gz": b"no gzip"},
    ],
)
def test_broken_sources_leave_a_complete_build_as_it_was(tmp_path, broken):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        write(it.sources, broken)
        with pytest.raises(CommandError):
            it.collect()
        assert tree(it.root) == before


def test_another_shape_of_the_same_sources_is_another_build(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
    with (
        site(tmp_path, FILES, options={"encodings": ["gzip"]}, BUILD_VERSION="b1") as it,
        pytest.raises(BuildIsComplete, match=r"\n  encodings without br\n"),
    ):
        it.collect()
    assert tree(it.root) == before


def test_a_file_that_a_complete_build_lost_is_brought_back(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        before = tree(it.root)
        for name in ("css/app.css", it.storage.hashed_files["js/app.js"]):
            Path(it.storage.path(name)).unlink()
        it.collect()
        assert tree(it.root) == before


def test_a_new_build_version_is_the_way_on(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        first = tree(it.root / "b1")
    with site(tmp_path, {**FILES, **OTHER}, BUILD_VERSION="b2") as it:
        it.collect()
        assert it.storage.url("js/new.js").startswith("/static/b2/js/new.")
        assert tree(it.root / "b1") == first


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": "9"}', '{"version": "1.1"}x', b"\xff"]
)
@pytest.mark.parametrize("build", [None, "b1"])
def test_a_broken_manifest_is_said_and_collectstatic_mends_it(tmp_path, build, text):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        before = tree(it.root)
        write(Path(it.storage.location), {"staticfiles.json": text})
        with pytest.raises(UnreadableManifest) as caught:
            VersionedStaticFilesStorage().url("css/app.css")
        message = str(caught.value)
        assert message.startswith("Couldn't load manifest 'staticfiles.json' (version 1.1): it")
        assert message.endswith(
            "Run collectstatic again, with --clear if the file does not belong there."
        )
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.collect()
        assert tree(it.root) == before


def test_a_build_that_failed_is_finished_by_the_next_run(tmp_path):
    broken = {"css/app.css": "body { background: url(../img/lgoo.svg) }"}
    with site(tmp_path, {**FILES, **broken}, BUILD_VERSION="b1") as it:
        with pytest.raises(CommandError):
            it.collect()
        assert not (it.root / "b1/staticfiles.json").exists()
        write(it.sources, FILES)
        os.utime(it.sources / "css/app.css", (1, 1))
        it.collect()
        files = (it.root / "b1/css/app.css").read_text()
    assert re.fullmatch(rf'body {{ background: url\("\.\./img/logo\.{HASH}\.svg"\) }}', files)


# Modes


@pytest.mark.parametrize("build", [None, "b1"])
def test_the_modes_of_files_and_directories_apply_to_all_that_is_written(tmp_path, build):
    modes = {"file_permissions_mode": 0o640, "directory_permissions_mode": 0o751}
    with site(tmp_path, FILES, options=modes, BUILD_VERSION=build) as it:
        it.collect()
        below = list(Path(it.storage.location).rglob("*"))
        files = {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_file()}
        directories = {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_dir()}
    assert files == {0o640}
    assert directories == {0o751}


def test_the_modes_of_the_settings_apply_too(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1", FILE_UPLOAD_PERMISSIONS=0o604) as it:
        it.collect()
        paths = [path for path in it.root.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o604}


# A disk that refuses


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_file_where_a_directory_has_to_be_is_said_with_its_path(tmp_path, build):
    with site(tmp_path, FILES, BUILD_VERSION=build) as it:
        it.root.mkdir()
        write(it.root, {"b1" if build else "css": "in the way"})
        with pytest.raises(CommandError) as caught:
            it.collect()
    assert isinstance(caught.value, CannotWrite)
    assert str(caught.value).startswith(f"Cannot write {it.root}/")
    assert str(caught.value).endswith(
        "The build is not complete and nothing was published. Check the space and the permissions "
        "below STATIC_ROOT and run the same command again."
    )


READ_ONLY = """
import os, sys
import django
from django.conf import settings
sources, root, *arguments = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["versioned_storage", "django.contrib.staticfiles"],
    STATIC_URL="/static/", STATIC_ROOT=root, STATICFILES_DIRS=[sources], BUILD_VERSION="b1",
    STORAGES={"staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"}},
)
django.setup()
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management import ManagementUtility, get_commands
# Whoever is root may write everywhere; what is imported later, nobody may not read.
from django.core.management.commands import runserver
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
ManagementUtility(["manage.py", "collectstatic", "--noinput", *arguments]).execute()
"""


def test_a_read_only_static_root_is_said_without_a_traceback():
    with tempfile.TemporaryDirectory() as name:
        # Below pytest's tmp_path nobody but its owner can look.
        directory = Path(name)
        directory.chmod(0o755)
        root = directory / "root"
        root.mkdir()
        write(directory / "sources", FILES)
        root.chmod(0o555)
        process = run_python(READ_ONLY, str(directory / "sources"), str(root))
        assert list(root.iterdir()) == []
        root.chmod(0o755)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert f": Cannot write {root}/b1" in process.stderr
    assert (
        "Permission denied. The build is not complete and nothing was published." in process.stderr
    )


def collect_on_a_read_only_disk(*arguments):
    """Run collectstatic where the build is complete and the disk is read-only."""
    with tempfile.TemporaryDirectory() as name:
        # Below pytest's tmp_path nobody but its owner can look.
        directory = Path(name)
        directory.chmod(0o755)
        with site(directory, FILES, BUILD_VERSION="b1") as shop:
            shop.collect()
        before = tree(shop.root)
        directories = [shop.root, *(path for path in shop.root.rglob("*") if path.is_dir())]
        for path in directories:
            path.chmod(0o555)
        process = run_python(READ_ONLY, str(shop.sources), str(shop.root), *arguments)
        for path in directories:
            path.chmod(0o755)
        assert tree(shop.root) == before
    return process


def test_a_complete_build_on_a_read_only_disk_is_fine_with_the_same_sources():
    process = collect_on_a_read_only_disk()
    assert process.returncode == 0, process.stderr
    assert "Cannot write" not in process.stderr


def test_a_build_that_cannot_be_cleared_is_still_complete():
    process = collect_on_a_read_only_disk("--clear")
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert (
        "/b1/staticfiles.json: Permission denied. The build is complete and was not changed. Check "
        "the space and the permissions below STATIC_ROOT"
    ) in process.stderr


# The build whose files are reused


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"version": "9.0"}', None])
def test_nothing_is_reused_of_a_build_whose_manifest_cannot_be_read(tmp_path, caplog, content):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        manifest = shop.root / "b1" / "staticfiles.json"
    manifest.unlink()
    if content is None:
        os.mkfifo(manifest)  # reading it would wait
    else:
        manifest.write_bytes(content)
    with site(tmp_path, FILES, BUILD_VERSION="b2") as shop:
        shop.collect()
        assert shop.storage.manifest is not None
    assert f"Nothing of {manifest.parent} is reused: " in caplog.text


# What a complete build refuses


def test_a_complete_build_loses_no_file_but_to_clear(tmp_path):
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as shop:
        shop.collect()
        with pytest.raises(BuildIsFrozen, match="Build b1 is complete and never changes"):
            shop.storage.delete("a.css")
        with pytest.raises(BuildIsFrozen):
            shop.collect(link=True)
        assert (shop.root / "b1" / "a.css").read_text() == "a{}"
        shop.collect(link=True, clear=True)
        assert (shop.root / "b1" / "a.css").is_symlink()


def test_an_empty_build_has_a_manifest_and_lacks_the_file(tmp_path):
    with site(tmp_path, {}, BUILD_VERSION="b1") as shop:
        shop.collect()
        with pytest.raises(MissingEntry):
            shop.storage.url("a.css")


def test_a_source_from_the_future_is_no_change(tmp_path):
    """A clock that was wrong when a file was written, or another machine's."""
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as shop:
        later = time.time() + 3600
        os.utime(shop.sources / "a.css", (later, later))
        shop.collect()
        assert "0 static files copied" in shop.collect()


# Regressions that only a second run in one process shows


def test_a_source_that_changes_within_a_second_gets_a_new_hash(tmp_path):
    with site(tmp_path, {"a.png": b"one"}) as shop:
        shop.collect()
        before = shop.storage.hashed_files["a.png"]
        (shop.sources / "a.png").write_bytes(b"two")
        shop.collect()
        assert shop.storage.hashed_files["a.png"] != before


def test_the_latest_other_build_gives_its_encodings(tmp_path, capsys):
    files = {"a.css": "a{color:red}" * 100, "b.css": "b{color:blue}" * 100}
    with site(tmp_path, files, BUILD_VERSION="b1") as shop:
        shop.collect()
        encoded = (shop.root / "b1" / "a.css.br").read_bytes()
        (shop.sources / "b.css").write_text("b{}")
    capsys.readouterr()
    with site(tmp_path, BUILD_VERSION="b2") as two:
        two.collect()
        assert (two.root / "b2" / "a.css.br").read_bytes() == encoded
    assert "2 encodings compressed, 2 reused" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, {"keep_originals": False}])
def test_unchanged_files_are_hard_links_to_those_of_the_latest_other_build(tmp_path, options):
    files = {"a.js": "a", "b.css": "b{}", "c.css": "c{background:url(d.png)}", "d.png": "d"}
    with site(tmp_path, files, options=options, BUILD_VERSION="b1") as shop:
        shop.collect()
        (shop.sources / "b.css").write_text("b{color:red}")
    with site(tmp_path, options=options, BUILD_VERSION="b2") as two:
        two.collect()
        names = {path.name for path in (two.root / "b1").iterdir()}
        same = {
            name
            for name in names
            if (two.root / "b2" / name).exists()
            and (two.root / "b2" / name).samefile(two.root / "b1" / name)
        }
        unchanged = {name for name in names if name.startswith(("a.", "d."))}
        encodings = {name for name in names if re.fullmatch(r"c\..*\.(br|gz)", name)}
        assert same >= unchanged | encodings
        assert not any(name.startswith("b.") for name in same)
        reused = tree(two.root / "b2")
    root = tmp_path / "fresh"
    with site(tmp_path, options=options, BUILD_VERSION="b2", STATIC_ROOT=str(root)) as fresh:
        fresh.collect()
    assert reused == tree(root / "b2")


@pytest.mark.parametrize("damaged", [b"ax", b"", b"b", b"a" * 70_000, None])
def test_a_damaged_file_of_another_build_is_not_reused(tmp_path, damaged):
    with site(tmp_path, {"a.txt": "a"}, BUILD_VERSION="b1") as shop:
        shop.collect()
        for path in (shop.root / "b1").glob("a*.txt"):
            path.unlink() if damaged is None else path.write_bytes(damaged)
    with site(tmp_path, BUILD_VERSION="b2") as shop:
        shop.collect()
        for path in (shop.root / "b2").glob("a*.txt"):
            assert path.read_text() == "a"


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("change", ["none", "cut", "longer", "last byte"])
def test_a_source_is_what_the_build_has_however_near_it_is_to_the_latest_one(
    tmp_path, size, change
):
    content = b"x" * size
    changes = {"none": content, "cut": content[:-1], "longer": content + b"x"}
    changed = changes.get(change, content[:-1] + b"y")
    with site(tmp_path, {"a.png": content}, BUILD_VERSION="b1") as shop:
        shop.collect()
        (shop.sources / "a.png").write_bytes(changed)
    with site(tmp_path, BUILD_VERSION="b2") as shop:
        shop.collect()
        for path in (shop.root / "b2").glob("a*.png"):
            assert path.read_bytes() == changed
        for path in (shop.root / "b1").glob("a*.png"):
            assert path.read_bytes() == content


class Once(io.BytesIO):
    """What a storage streams from elsewhere."""

    def seekable(self):
        return False

    def seek(self, *arguments):
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize("rest", [b"a", b"b"], ids=["the same", "changed"])
def test_a_file_that_can_be_read_only_once_is_saved_whole(tmp_path, rest):
    start = b"a" * (CHUNK + 4_000)
    with site(tmp_path, {"a.png": start + b"a" * 2 * CHUNK}, BUILD_VERSION="b1") as shop:
        shop.collect()
    with site(tmp_path, BUILD_VERSION="b2") as shop:
        content = start + rest * 2 * CHUNK
        shop.storage.save("a.png", File(Once(content)))
        assert (shop.root / "b2" / "a.png").read_bytes() == content


def test_a_damaged_encoding_of_another_build_is_made_anew(tmp_path):
    with site(tmp_path, {"a.css": "a{color:red}" * 100}, BUILD_VERSION="b1") as shop:
        shop.collect()
        encoded = (shop.root / "b1" / "a.css.br").read_bytes()
        for path in (shop.root / "b1").glob("*.br"):
            path.write_bytes(b"damaged")
    with site(tmp_path, BUILD_VERSION="b2") as two:
        two.collect()
        assert (two.root / "b2" / "a.css.br").read_bytes() == encoded


def test_text_is_saved_once_and_as_it_is(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1") as shop:
        shop.storage.save("note.txt", ContentFile("first\nsecond\n"))
        assert (shop.root / "b1" / "note.txt").read_text() == "first\nsecond\n"


def test_dotfiles_that_nobody_will_serve_are_named(tmp_path, caplog):
    dotfiles = {f".well-known/{number:02}": "x" for number in range(11)}
    with site(tmp_path, {"a.css": "a{}", "b.x.css": "b{}", **dotfiles}, BUILD_VERSION="b1") as it:
        it.collect()
        assert "begin with a dot" not in caplog.text
        it.collect(use_default_ignore_patterns=False, clear=True)
    assert "begin with a dot: .well-known/00, .well-known/01" in caplog.text
    assert ".well-known/09 and 1 more. collectstatic leaves them out" in caplog.text
    assert "b.x.css" not in caplog.text


def test_in_the_neutral_layout_only_old_leftovers_go(tmp_path):
    """A run for a build version may be writing below the same STATIC_ROOT."""
    old, new = ".1.partial", "b1/.2.partial"
    with site(tmp_path, FILES) as shop:
        write(shop.root, {old: "", new: ""})
        os.utime(shop.root / old, (1, 1))
        shop.collect()
        assert not (shop.root / old).exists()
        assert (shop.root / new).exists()


def test_verbose_says_which_assets_are_not_shared_and_why(tmp_path, capsys):
    files = {"a.css": "a{b:url(x.html)}", "x.html": "<p>", "b.css": "b{}"}
    with site(tmp_path, files, options={"shared_assets": True, "encodings": []}) as shop:
        with override_settings(BUILD_VERSION="b1"):
            shop.collect()
            assert "3 assets (37 B, 3 B shared), 3 written" in capsys.readouterr().err
        with override_settings(BUILD_VERSION="b2"):
            shop.collect(verbosity=2)
    assert capsys.readouterr().err.endswith(
        "Not shared, because of:\n"
        "Types that may refer to other files: 2 assets, 34 B\n"
        "  x.html: .html (34 B, 2 assets)\n"
    )


def test_a_missing_static_root_is_one_message_and_no_traceback(tmp_path: Path) -> None:
    with (
        site(tmp_path, {"a.css": "a{}"}, STATIC_ROOT=None) as shop,
        pytest.raises(ConfigurationError, match="STATIC_ROOT"),
    ):
        shop.collect()
