import hashlib
import os
import stat
from base64 import b64encode
from io import BytesIO

import pytest

from versioned_storage.build.directory import (
    CHUNK,
    BuildDirectory,
    CannotWrite,
    Digest,
    Digester,
    chunks_of,
    digest_of,
    writing,
)
from versioned_storage.errors import VersionedStorageError


@pytest.fixture
def directory(tmp_path):
    return BuildDirectory(tmp_path / "root")


def tree(directory):
    """Every file by its name, with its bytes."""
    return {
        path.relative_to(directory.root).as_posix(): path.read_bytes()
        for path in directory.root.rglob("*")
        if path.is_file()
    }


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def broken_off():
    yield b"half of "
    raise RuntimeError("the other half is gone")


def no_links(monkeypatch):
    def refuse(self, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)


def test_a_digest_is_size_md5_and_sha384_as_subresource_integrity_has_it():
    sha384 = b64encode(hashlib.sha384(b"body {}").digest()).decode()
    md5 = hashlib.md5(b"body {}").hexdigest()
    assert digest_of([b"body {}"]) == Digest(7, md5, f"sha384-{sha384}")


def test_a_digest_does_not_depend_on_the_chunks():
    assert digest_of([b"a", b"", b"bc"]) == digest_of([b"abc"]) == digest_of(iter([b"ab", b"c"]))
    assert digest_of([b"abc"]) != digest_of([b"abd"])


def test_chunks_that_pass_a_digester_are_digested_and_come_out_as_they_were():
    digester = Digester()
    assert list(digester.passing([b"a", b"bc"])) == [b"a", b"bc"]
    assert digester.digest() == digest_of([b"abc"])


def test_a_file_is_read_in_chunks_from_where_it_stands():
    content = os.urandom(2 * CHUNK + 1)
    file = BytesIO(content)
    file.seek(1)
    chunks = list(chunks_of(file))
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK]
    assert b"".join(chunks) == content[1:]


def test_a_written_file_is_there_whole_and_alone(directory):
    directory.write("css/deep/app.css", iter([b"body ", b"{}"]))
    assert tree(directory) == {"css/deep/app.css": b"body {}"}


def test_a_file_of_no_chunks_is_empty(directory):
    directory.write("empty.txt", ())
    assert tree(directory) == {"empty.txt": b""}


def test_writing_again_replaces_the_file(directory):
    directory.write("a.txt", [b"the long first version"])
    directory.write("a.txt", [b"second"])
    assert tree(directory) == {"a.txt": b"second"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(directory):
    directory.write("a.txt", [b"old"])
    with pytest.raises(RuntimeError, match="the other half is gone"):
        directory.write("a.txt", broken_off())
    assert tree(directory) == {"a.txt": b"old"}


def test_a_write_that_fails_leaves_no_new_file(directory):
    with pytest.raises(RuntimeError, match="the other half is gone"):
        directory.write("a.txt", broken_off())
    assert tree(directory) == {}


def test_a_file_that_is_being_written_is_hidden_and_the_old_one_still_there(directory):
    directory.write("a.txt", [b"old"])
    seen = []

    def chunks():
        yield b"new"
        seen.extend(sorted(path.name for path in directory.root.iterdir()))
        seen.append((directory.root / "a.txt").read_bytes())

    directory.write("a.txt", chunks())
    partial, name, content = seen
    assert partial.startswith(".")
    assert (name, content) == ("a.txt", b"old")
    assert tree(directory) == {"a.txt": b"new"}


def test_whoever_has_the_old_file_open_or_linked_keeps_its_bytes(directory):
    directory.write("a.txt", [b"old"])
    directory.link("a.txt", "b.txt")
    with directory.path("a.txt").open("rb") as file:
        directory.write("a.txt", [b"new"])
        assert file.read() == b"old"
    assert tree(directory) == {"a.txt": b"new", "b.txt": b"old"}


def test_a_write_replaces_a_symlink_and_not_what_it_leads_to(directory, tmp_path):
    source = tmp_path / "source.txt"
    source.write_bytes(b"source")
    directory.root.mkdir()
    directory.path("a.txt").symlink_to(source)
    directory.write("a.txt", [b"build"])
    assert not directory.path("a.txt").is_symlink()
    assert source.read_bytes() == b"source"
    assert tree(directory) == {"a.txt": b"build"}


def test_a_link_is_a_second_name_of_the_same_file(directory):
    directory.write("app.css", [b"body {}"])
    directory.link("app.css", "css/app.1.css")
    assert tree(directory) == {"app.css": b"body {}", "css/app.1.css": b"body {}"}
    assert directory.path("app.css").samefile(directory.path("css/app.1.css"))
    assert directory.same_file("app.css", "css/app.1.css")


def test_a_link_replaces_what_is_there(directory):
    directory.write("a.txt", [b"new"])
    directory.write("b.txt", [b"old"])
    directory.link("a.txt", "b.txt")
    assert tree(directory) == {"a.txt": b"new", "b.txt": b"new"}


def test_linking_again_leaves_nothing_beside_it(directory):
    """rename(2) does nothing where both names are of one file."""
    directory.write("a.txt", [b"x"])
    directory.link("a.txt", "b.txt")
    directory.link("a.txt", "b.txt")
    assert tree(directory) == {"a.txt": b"x", "b.txt": b"x"}


def test_where_links_cannot_be_the_second_name_is_a_copy(tmp_path, monkeypatch):
    directory = BuildDirectory(tmp_path / "root", file_mode=0o604)
    no_links(monkeypatch)
    directory.write("a.txt", [b"x"])
    directory.link("a.txt", "sub/b.txt")
    assert tree(directory) == {"a.txt": b"x", "sub/b.txt": b"x"}
    assert not directory.same_file("a.txt", "sub/b.txt")
    assert mode(directory.path("sub/b.txt")) == 0o604


def test_a_link_to_what_is_not_there_says_so_and_leaves_nothing(directory):
    with pytest.raises(CannotWrite, match=r"gone\.txt: No such file or directory"):
        directory.link("gone.txt", "b.txt")
    assert tree(directory) == {}


def test_a_copy_is_another_file_with_the_same_bytes_and_the_mode_of_the_directory(tmp_path):
    directory = BuildDirectory(tmp_path / "root", file_mode=0o640)
    directory.write("a.txt", [b"x"])
    directory.path("a.txt").chmod(0o600)
    directory.copy("a.txt", "sub/b.txt")
    assert tree(directory) == {"a.txt": b"x", "sub/b.txt": b"x"}
    assert not directory.same_file("a.txt", "sub/b.txt")
    assert mode(directory.path("sub/b.txt")) == 0o640


def test_a_file_of_another_build_is_adopted_as_a_hard_link(tmp_path):
    other, directory = (BuildDirectory(tmp_path / name, file_mode=0o644) for name in ("b1", "b2"))
    other.write("a.1.txt", [b"x"])
    directory.adopt(other, "a.1.txt", "sub/a.txt")
    assert directory.path("sub/a.txt").samefile(other.path("a.1.txt"))
    assert tree(directory) == {"sub/a.txt": b"x"}


@pytest.mark.parametrize("file_mode", [0o600, None])
def test_a_file_with_another_mode_is_adopted_as_a_copy(tmp_path, file_mode):
    other = BuildDirectory(tmp_path / "b1", file_mode=0o644)
    directory = BuildDirectory(tmp_path / "b2", file_mode=file_mode)
    other.write("a.txt", [b"x"])
    directory.adopt(other, "a.txt", "a.txt")
    assert not directory.path("a.txt").samefile(other.path("a.txt"))
    assert tree(directory) == {"a.txt": b"x"}
    assert file_mode is None or mode(directory.path("a.txt")) == file_mode
    assert mode(other.path("a.txt")) == 0o644


def test_where_links_cannot_be_a_file_is_adopted_as_a_copy(tmp_path, monkeypatch):
    no_links(monkeypatch)
    other, directory = (BuildDirectory(tmp_path / name, file_mode=0o604) for name in ("b1", "b2"))
    other.write("a.txt", [b"x"])
    directory.adopt(other, "a.txt", "a.txt")
    assert not directory.path("a.txt").samefile(other.path("a.txt"))
    assert tree(directory) == {"a.txt": b"x"}
    assert mode(directory.path("a.txt")) == 0o604


def test_files_and_the_directories_that_are_made_get_their_modes(tmp_path):
    directory = BuildDirectory(tmp_path / "root", file_mode=0o602, directory_mode=0o705)
    directory.write("css/deep/app.css", [b""])
    assert mode(directory.path("css/deep/app.css")) == 0o602
    assert mode(directory.root) == mode(directory.path("css")) == 0o705
    assert mode(directory.path("css/deep")) == 0o705


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    directory = BuildDirectory(tmp_path, directory_mode=0o705)
    (tmp_path / "css").mkdir()
    (tmp_path / "css").chmod(0o711)
    directory.write("css/app.css", [b""])
    assert mode(tmp_path / "css") == 0o711


def test_without_modes_the_umask_decides(directory):
    before = os.umask(0o027)
    try:
        directory.write("css/app.css", [b""])
    finally:
        os.umask(before)
    assert mode(directory.path("css/app.css")) == 0o640
    assert mode(directory.path("css")) == 0o750


def test_a_link_has_the_same_mode(tmp_path):
    directory = BuildDirectory(tmp_path / "root", file_mode=0o602)
    directory.write("a.txt", [b""])
    directory.link("a.txt", "b.txt")
    assert mode(directory.path("b.txt")) == 0o602


def test_a_name_and_a_symlink_to_it_are_not_the_same_file(directory):
    directory.write("a.txt", [b"x"])
    directory.path("b.txt").symlink_to(directory.path("a.txt"))
    assert not directory.same_file("b.txt", "a.txt")


def test_what_is_not_there_is_the_same_file_as_nothing(directory):
    directory.write("a.txt", [b"x"])
    assert not directory.same_file("gone.txt", "a.txt")
    assert not directory.same_file("a.txt", "gone.txt")
    assert not directory.same_file("a.txt/below", "a.txt")


def test_the_same_bytes_in_two_files_are_not_the_same_file(directory):
    directory.write("a.txt", [b"x"])
    directory.write("b.txt", [b"x"])
    assert not directory.same_file("a.txt", "b.txt")


def test_a_symlink_is_there_and_is_one_even_if_it_leads_nowhere(directory):
    directory.write("a.txt", [b"x"])
    directory.path("nowhere.txt").symlink_to("gone.txt")
    assert directory.exists("a.txt")
    assert not directory.is_symlink("a.txt")
    assert directory.exists("nowhere.txt")
    assert directory.is_symlink("nowhere.txt")
    for name in ("gone.txt", "a.txt/below"):
        assert not directory.exists(name)
        assert not directory.is_symlink(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_not_waited_for(directory):
    directory.write("a.txt", [b""])
    os.mkfifo(directory.path("pipe"))
    assert not directory.holds("pipe", 0, [])


@pytest.mark.parametrize(
    ("name", "content", "held"),
    [
        ("a.txt", b"content", True),
        ("a.txt", b"CONTENT", False),
        ("a.txt", b"content and more", False),
        ("a.txt", b"cont", False),
        ("link.txt", b"content", False),
        ("gone.txt", b"content", False),
        ("sub", b"", False),
        ("a.txt/below", b"content", False),
        ("empty.txt", b"", True),
    ],
)
def test_a_directory_holds_a_regular_file_with_these_very_bytes(directory, name, content, held):
    directory.write("a.txt", [b"content"])
    directory.write("empty.txt", [])
    directory.write("sub/b.txt", [b""])
    directory.path("link.txt").symlink_to(directory.path("a.txt"))
    chunks = [content[:3], content[3:]]
    assert directory.holds(name, len(content), chunks) is held


def test_removing_takes_one_name_away(directory):
    directory.write("a.txt", [b"x"])
    directory.link("a.txt", "b.txt")
    directory.remove("a.txt")
    assert tree(directory) == {"b.txt": b"x"}


def test_removing_what_is_not_there_is_no_error(directory):
    directory.remove("gone.txt")


def test_a_file_in_the_place_of_a_directory_is_named_with_what_to_do(directory):
    directory.write("css", [b"a file"])
    with pytest.raises(CannotWrite) as caught:
        directory.write("css/app.css", [b""])
    assert str(caught.value) == (
        f"Cannot write {directory.root / 'css' / 'app.css'}: Not a directory. The build is not "
        "complete and nothing was published. Check the space and the permissions below "
        "STATIC_ROOT and run the same command again."
    )
    assert isinstance(caught.value, VersionedStorageError)
    assert isinstance(caught.value.error, NotADirectoryError)
    assert caught.value.path == str(directory.root / "css" / "app.css")
    assert tree(directory) == {"css": b"a file"}


def test_a_directory_in_the_place_of_a_file_is_named_by_the_file_s_own_name(directory):
    directory.write("app.css/x", [b""])
    with pytest.raises(CannotWrite) as caught:
        directory.write("app.css", [b"body {}"])
    assert caught.value.path == str(directory.root / "app.css")
    assert tree(directory) == {"app.css/x": b""}


def test_a_full_disk_is_an_error_that_names_the_file(directory):
    def chunks():
        yield b"half"
        raise OSError(28, "No space left on device")

    directory.write("a.txt", [b"old"])
    with pytest.raises(CannotWrite, match=r"a\.txt: No space left on device\. The build is not"):
        directory.write("a.txt", chunks())
    assert tree(directory) == {"a.txt": b"old"}


def test_a_directory_cannot_be_removed_as_a_file(directory):
    directory.write("css/app.css", [b""])
    with pytest.raises(CannotWrite, match=r"^Cannot write .*css: "):
        directory.remove("css")


def test_an_error_without_a_file_or_a_word_is_said_as_it_is():
    with pytest.raises(CannotWrite, match=r"^Cannot write a\.txt: strange\. "), writing("a.txt"):
        raise OSError("strange")


def test_the_file_that_an_error_names_is_the_one_that_is_said(tmp_path):
    with pytest.raises(CannotWrite, match=r"Cannot write .*other\.txt: "), writing("a.txt"):
        (tmp_path / "other.txt").open("rb")


def test_other_errors_pass_writing_as_they_are():
    with pytest.raises(ValueError, match="not of the disk"), writing("a.txt"):
        raise ValueError("not of the disk")


def test_the_directory_of_a_dry_run_knows_everything_and_changes_nothing(directory):
    directory.write("a.txt", [b"x"])
    directory.link("a.txt", "b.txt")
    untouched = directory.untouched()
    untouched.write("c/d.txt", [b"y"])
    untouched.write("a.txt", [b"y"])
    untouched.link("a.txt", "e.txt")
    untouched.copy("a.txt", "f.txt")
    untouched.remove("b.txt")
    assert tree(directory) == {"a.txt": b"x", "b.txt": b"x"}
    assert not directory.path("c").exists()
    assert untouched.holds("a.txt", 1, [b"x"])
    assert untouched.same_file("a.txt", "b.txt")
