"""Files on disk, opened only if they are what is to be served."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from whitenoise.responders import MissingFileError

from versioned_storage.serving import regular_files as module
from versioned_storage.serving.regular_files import (
    FileSlice,
    open_file,
    regular_files,
    status_of,
)
from versioned_storage.serving.rfc9110 import ByteRange


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A directory with one file of ten bytes in it, and another file beside the directory."""
    directory = tmp_path / "b1"
    (directory / "css").mkdir(parents=True)
    (directory / "css" / "app.css").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"0123456789")
    return directory


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def refused(path: Path, size: int = 10, **options: object) -> bool:
    """Whether a file is not opened, and nothing is left open."""
    before = descriptors()
    try:
        open_file(str(path), size, **options).close()
    except MissingFileError:
        assert descriptors() == before
        return True
    return False


def test_a_regular_file_of_the_right_size_is_opened(build: Path) -> None:
    with open_file(str(build / "css/app.css"), 10, inside=str(build)) as file:
        assert file.read() == b"0123456789"


def test_what_is_not_there_or_is_no_such_file_is_missing(build: Path) -> None:
    assert refused(build / "css/other.css")
    assert refused(build / "css/app.css/more.css")
    assert refused(build / "css")
    assert refused(build / "css" / ("x" * 300))
    assert refused(build / "css/app.css", size=9)


def test_a_link_that_leads_out_is_refused_and_one_inside_is_not(build: Path) -> None:
    (build / "out.css").symlink_to(build.parent / "secret")
    (build / "in.css").symlink_to(build / "css/app.css")
    (build / "up").symlink_to(build.parent)
    assert refused(build / "out.css", inside=str(build))
    assert refused(build / "up" / "secret", inside=str(build))
    assert not refused(build / "in.css", inside=str(build))
    assert not refused(build / "out.css")


def test_a_neighbour_whose_name_begins_alike_is_outside(build: Path) -> None:
    (build.parent / "b10").mkdir()
    (build.parent / "b10" / "secret").write_bytes(b"0123456789")
    assert refused(build / ".." / "b10" / "secret", inside=str(build))


def test_a_file_that_was_verified_is_resolved_again_only_if_it_is_another(build: Path) -> None:
    path = build / "css/app.css"
    with open_file(str(path), 10, inside=str(build)) as file:
        verified = file.file_id
    # Only the realpath of its name is outside of this directory; the file is the one of before.
    assert not refused(path, inside=str(build / "js"), verified=verified)
    path.unlink()
    path.symlink_to(build.parent / "secret")
    assert refused(path, inside=str(build), verified=verified)


def test_a_pipe_and_a_device_are_refused_without_a_wait(build: Path) -> None:
    os.mkfifo(build / "pipe")
    assert refused(build / "pipe", size=0)
    assert refused(Path("/dev/null"), size=0)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_missing(build: Path, name: str) -> None:
    assert refused(build / name)
    with pytest.raises(MissingFileError):
        status_of(str(build / name))


def test_regular_files_are_listed_through_links_and_loops_are_left_out(build: Path) -> None:
    (build.parent / "outside").mkdir()
    (build.parent / "outside" / "a.txt").write_text("a")
    (build / "linked").symlink_to(build.parent / "outside")
    (build / "css" / "up").symlink_to(build)
    (build / "itself").symlink_to("itself")
    os.mkfifo(build / "pipe")
    listed = {Path(path).relative_to(build).as_posix() for path, _ in regular_files(str(build))}
    assert listed == {"css/app.css", "linked/a.txt"}


def test_what_the_machine_lacks_is_no_missing_file(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptors(*args: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", no_descriptors)
    with pytest.raises(OSError, match="Too many"):
        open_file(str(build / "css/app.css"), 10)


def test_a_slice_reads_its_part_and_closes_the_file(build: Path) -> None:
    file = open_file(str(build / "css/app.css"), 10)
    part = FileSlice(file, ByteRange(2, 7))
    assert not hasattr(part, "fileno")
    assert [part.read(2), part.read(), part.read()] == [b"23", b"456", b""]
    part.close()
    assert file.closed


def test_what_is_in_memory_is_read_from_where_the_file_stands(build: Path) -> None:
    with open_file(str(build / "css/app.css"), 10) as file:
        cached = file.read_cached(4)
        assert cached in (b"0123", b"")  # which of them is for the file system to say
        assert cached + file.read_cached(100) + (file.read() or b"") == b"0123456789"
        part = FileSlice(file, ByteRange(2, 7))
        assert part.read_cached(100) + part.read() == b"23456"


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_where_the_kernel_cannot_say_nothing_is_in_memory(
    build: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*args: object) -> int:
        raise OSError(number, "not now")

    with open_file(str(build / "css/app.css"), 10) as file:
        monkeypatch.setattr(os, "preadv", refuse)
        assert file.read_cached(10) == b""
        monkeypatch.setattr(module, "_NO_WAIT", None)
        assert file.read_cached(10) == b""
        assert file.read() == b"0123456789"
