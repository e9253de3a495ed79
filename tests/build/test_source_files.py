import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError

from tests.helpers import site, write
from versioned_storage.build.directory import CHUNK, BuildDirectory, digest_of
from versioned_storage.build.source_errors import UnreadableSource, UnusableFiles
from versioned_storage.build.source_files import read_all, unusable_files

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]


class Noting(FileSystemStorage):
    """Notes what was opened, and by which thread."""

    def __init__(self, location):
        super().__init__(location)
        self.opened = []
        self.threads = set()

    def open(self, name, mode="rb"):
        self.opened.append(name)
        self.threads.add(threading.current_thread())
        return super().open(name, mode)


@pytest.fixture
def storage(tmp_path):
    return Noting(tmp_path)


def written(storage, files):
    for name, data in files.items():
        Path(storage.path(name)).write_bytes(data)
    return {name: (storage, name) for name in files}


def read(sources, *, in_memory=(), digests=None, directory=None):
    return read_all(
        sources,
        sorted(sources),
        in_memory=in_memory,
        digests=digests or {},
        directory=directory or BuildDirectory("nowhere"),
    )


def of_size(size):
    return bytes(number % 251 for number in range(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("complete", [True, False])
def test_a_source_has_the_digest_and_the_bytes_of_its_file(storage, size, complete):
    data = of_size(size)
    sources = written(storage, {"f": data})
    with closing(read(sources, in_memory=sources if complete else ())) as actual:
        (source,) = actual
    assert source.digest() == digest_of([data])
    assert b"".join(source.chunks()) == b"".join(source.chunks()) == data
    assert all(len(chunk) <= CHUNK for chunk in source.chunks())
    if complete:
        assert source.data == data


def test_a_large_file_is_kept_only_where_it_is_wanted_whole(storage):
    sources = written(storage, {"app.js": of_size(CHUNK + 1), "video.mp4": of_size(CHUNK + 1)})
    script, video = read(sources, in_memory={"app.js"})
    assert script.data is not None
    assert video.data is None


def test_sources_come_in_the_order_of_the_names_whatever_their_size(storage):
    sources = written(storage, {f"{n:03}": of_size(n % 3 * CHUNK) for n in range(100)})
    assert [source.name for source in read(sources)] == sorted(sources)


def test_a_file_with_a_known_digest_is_not_opened_until_its_bytes_are_asked_for(storage):
    digest = digest_of([b"known"])
    sources = written(storage, {"f": b"known"})
    (source,) = read(sources, digests={"f": digest})
    assert source.digest() == digest
    assert storage.opened == []
    assert b"".join(source.chunks()) == b"known"
    assert storage.opened == ["f"]


@pytest.mark.parametrize("copy", [b"same", b"diff", b"longer", None])
def test_a_file_in_memory_has_the_digest_of_its_copy_if_it_has_its_bytes(storage, tmp_path, copy):
    directory = BuildDirectory(tmp_path / "build")
    if copy is not None:
        directory.write("f", [copy])
    sources = written(storage, {"f": b"same"})
    noted = digest_of([b"same"]) if copy is None else digest_of([copy])
    (source,) = read(sources, in_memory={"f"}, digests={"f": noted}, directory=directory)
    assert source.data == b"same"
    assert source.digest() == digest_of([b"same"])
    assert (source.digest() is noted) == (copy == b"same")


def test_a_small_file_is_opened_once(storage):
    (source,) = read(written(storage, {"f": b"small"}))
    source.digest()
    list(source.chunks())
    assert storage.opened == ["f"]


def test_only_so_much_is_read_before_it_is_asked_for(storage):
    sources = written(storage, {f"{n:03}": of_size(CHUNK) for n in range(100)})
    with closing(read(sources, in_memory=sources)) as actual:
        next(actual)
        assert len(storage.opened) < 30


def test_storages_are_asked_by_one_thread_alone(storage):
    sources = written(storage, {f"{n}": of_size(size) for n, size in enumerate(SIZES)})
    for source in read(sources):
        source.digest()
        list(source.chunks())
    assert storage.threads == {threading.current_thread()}


def test_who_stops_early_leaves_no_thread(storage):
    before = threading.active_count()
    sources = written(storage, {f"{n}": of_size(3 * CHUNK) for n in range(9)})
    with closing(read(sources)) as actual:
        next(actual)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_a_file_that_is_gone_is_named(storage):
    with pytest.raises(UnreadableSource, match=r"Cannot read gone\.css"):
        list(read({"gone.css": (storage, "gone.css")}))


def test_a_fault_in_the_middle_of_a_large_file_comes_out_with_its_digest(storage, monkeypatch):
    def faulty(file):
        yield b"x"
        raise OSError("the disk gave up")

    monkeypatch.setattr("versioned_storage.build.source_files.chunks_of", faulty)
    (source,) = read(written(storage, {"video.mp4": of_size(2 * CHUNK)}))
    with pytest.raises(OSError, match="the disk gave up"):
        source.digest()


# What is no file


def test_a_named_pipe_is_an_error_and_is_not_waited_for(storage):
    os.mkfifo(storage.path("pipe.css"))
    with pytest.raises(UnreadableSource, match=r"Cannot read pipe\.css \(.*\): it is a named pipe"):
        list(read({"pipe.css": (storage, "pipe.css")}))
    assert storage.opened == []


def test_loops_of_links_and_special_files_are_found_wherever_they_are(tmp_path):
    write(tmp_path, {"a/b/c.css": "", "a/.hidden/d.css": "", "z.css": ""})
    (tmp_path / "self.css").symlink_to("self.css")
    (tmp_path / "a/b/up").symlink_to("../../a")
    (tmp_path / "a/beside").symlink_to("b")
    (tmp_path / "gone.css").symlink_to("nowhere")
    os.mkfifo(tmp_path / "a/pipe.css")
    os.mkfifo(tmp_path / "a/.hidden/pipe.css")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        actual = list(unusable_files(str(tmp_path), lambda name: name.startswith(".")))
    assert sorted((str(Path(file.path).relative_to(tmp_path)), file.reason) for file in actual) == [
        ("a/b/up", f"is a link to {tmp_path / 'a'}, which it is in"),
        ("a/beside/up", f"is a link to {tmp_path / 'a'}, which it is in"),
        ("a/pipe.css", "is a named pipe"),
        ("gone.css", "is a link to nowhere, which does not exist"),
        ("self.css", "is a link that leads to itself"),
        ("socket", "is a socket"),
    ]


@pytest.mark.parametrize("version", ["b1", None])
@pytest.mark.parametrize(
    "option", [{}, {"dry_run": True}, {"link": True}, {"clear": True}], ids=str
)
def test_collectstatic_does_not_wait_for_a_named_pipe(tmp_path, version, option):
    with site(tmp_path, {"b.css": "b{}"}, BUILD_VERSION=version) as shop:
        os.mkfifo(shop.sources / "a.css")
        with pytest.raises(UnusableFiles) as caught:
            shop.collect(**option)
    assert str(caught.value) == (
        f"1 path cannot be collected:\n  {shop.sources / 'a.css'} is a named pipe\n"
        "Delete or move it, or leave it out with collectstatic --ignore. It collects regular files "
        "and the targets of links."
    )


@pytest.mark.parametrize("target", [None, "x.css", ".", "gone.css"])
def test_manage_py_collectstatic_says_what_it_cannot_collect_without_a_traceback(tmp_path, target):
    (tmp_path / "sources").mkdir()
    if target is None:
        os.mkfifo(tmp_path / "sources/x.css")
    else:
        (tmp_path / "sources/x.css").symlink_to(target)
    settings = (
        "INSTALLED_APPS = ['versioned_storage', 'django.contrib.staticfiles']\n"
        "STATIC_URL, STATIC_ROOT = 'static/', 'root'\nSTATICFILES_DIRS = ['sources']\n"
        "STORAGES = {'staticfiles': {'BACKEND': "
        "'versioned_storage.storage.VersionedStaticFilesStorage'}}\n"
    )
    (tmp_path / "settings.py").write_text(settings)
    command = [sys.executable, "-m", "django", "collectstatic", "--noinput"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)}
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[2])
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    assert "UnusableFiles: 1 path cannot be collected" in run.stderr
    assert "sources/x.css is a " in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", ["pipe", "loop", "gone"])
def test_what_collectstatic_ignores_may_be_unusable(tmp_path, name):
    with site(tmp_path, {"a.css": "a{}"}, BUILD_VERSION="b1") as shop:
        if name == "pipe":
            os.mkfifo(shop.sources / name)
        else:
            (shop.sources / name).symlink_to("." if name == "loop" else "nowhere")
        with pytest.raises(CommandError, match="1 path cannot be collected"):
            shop.collect(skip_checks=False)
        shop.collect(skip_checks=False, ignore_patterns=[name])
        assert shop.storage.hashed_files.keys() == {"a.css"}
