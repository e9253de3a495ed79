"""The directory of a build, whose files are written completely or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ..errors import VersionedStorageError

#: Bytes read or written at a time.
CHUNK = 64 * 1024

_PARTIAL = ".partial"


class CannotWrite(VersionedStorageError):
    """The file system refused to write or delete a file of the build.

    ``is_complete`` is True if the build was complete before, and still is.
    """

    def __init__(
        self, path: str | os.PathLike[str], error: OSError, *, is_complete: bool = False
    ) -> None:
        self.path = os.fspath(path)
        self.error = error
        self.is_complete = is_complete
        state = "not complete and nothing was published"
        if is_complete:
            state = "complete and was not changed"
        super().__init__(
            f"Cannot write {self.path}: {error.strerror or error}. The build is {state}. Check the "
            "space and the permissions below STATIC_ROOT and run the same command again."
        )


@contextmanager
def writing(path: str | os.PathLike[str], *, is_complete: bool = False) -> Iterator[None]:
    """Turn an OSError into `CannotWrite`; ``is_complete`` is True for a build that is complete."""
    try:
        yield
    except OSError as error:
        at = error.filename or path
        # A temporary file is reported by its final name.
        named = path if str(at).endswith(_PARTIAL) else at
        raise CannotWrite(named, error, is_complete=is_complete) from error


@dataclass(frozen=True)
class Digest:
    """The size, the md5 in hex and the sha384 in SRI form of a sequence of bytes."""

    size: int
    md5: str
    integrity: str


class Digester:
    """Computes a `Digest` chunk by chunk."""

    def __init__(self) -> None:
        self.size = 0
        # Django puts it into hashed names; it is not used for security.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha384 = hashlib.sha384()

    def update(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._md5.update(chunk)
        self._sha384.update(chunk)

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, digested as they pass."""
        for chunk in chunks:
            self.update(chunk)
            yield chunk

    def digest(self) -> Digest:
        return Digest(self.size, self._md5.hexdigest(), integrity_of(self._sha384.digest()))


def integrity_of(sha384: bytes) -> str:
    """Return a digest in the form of Subresource Integrity."""
    return f"sha384-{b64encode(sha384).decode()}"


def digest_of(chunks: Iterable[bytes]) -> Digest:
    """Return the digest of all chunks."""
    digester = Digester()
    for chunk in chunks:
        digester.update(chunk)
    return digester.digest()


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of an open file in chunks."""
    while chunk := file.read(CHUNK):
        yield chunk


class BuildDirectory:
    """Files below one directory, by their names with ``/``.

    ``file_mode`` and ``directory_mode`` are Django's FILE_UPLOAD_PERMISSIONS and
    FILE_UPLOAD_DIRECTORY_PERMISSIONS; None means the umask.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        file_mode: int | None = None,
        directory_mode: int | None = None,
    ) -> None:
        self.root = Path(root)
        self._root = os.path.join(root, "")
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        # Directories that exist, because asking for each file takes as long as the file.
        self._directories: set[str] = set()
        self._token = uuid4().hex
        self._numbers = count()

    def untouched(self) -> UntouchedDirectory:
        """Return the same directory for a dry run."""
        return UntouchedDirectory(self.root)

    def path(self, name: str) -> Path:
        return self.root / name

    def open(self, name: str) -> BinaryIO:
        """Open a file to read it in chunks, which takes no buffer."""
        return open(self._at(name), "rb", buffering=0)

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return os.stat(self._at(name)).st_size

    def holds(self, name: str, size: int, chunks: Iterable[bytes]) -> bool:
        """Return True if ``name`` is a regular file with these bytes.

        Comparing is cheaper than digesting. ``chunks`` are not read if the size differs.
        """
        status = self._status(name)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        # Most files are a single chunk.
        try:
            with self.open(name) as file:
                return all(file.read(len(chunk)) == chunk for chunk in chunks)
        except FileNotFoundError:
            return False

    def exists(self, name: str) -> bool:
        """Return True if the name exists, also as a dangling symbolic link."""
        return self._status(name) is not None

    def is_file(self, name: str) -> bool:
        """Return True for a regular file, and False for a symbolic link to one."""
        status = self._status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def is_symlink(self, name: str) -> bool:
        status = self._status(name)
        return status is not None and stat.S_ISLNK(status.st_mode)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file atomically: readers see the old file or the new one."""

        def fill(temporary: str) -> None:
            with open(temporary, "xb") as file:
                file.writelines(chunks)
            self._set_mode(temporary)

        self._put(name, fill)

    def renew_time(self, name: str) -> None:
        """Set the time of a file to now, where the file system allows it."""
        with suppress(OSError):
            os.utime(self._at(name))

    def link(self, existing: str, name: str) -> None:
        """Make ``name`` a hard link to ``existing``, or a copy if links are not possible."""
        self._link(self._at(existing), name)

    def adopt(self, other: BuildDirectory, existing: str, name: str) -> None:
        """Make ``name`` a hard link to a file of another build.

        Makes a copy if links are not possible, or if the file has another mode than files here.
        """
        file = other._at(existing)
        if self._file_mode == stat.S_IMODE(os.stat(file).st_mode):
            self._link(file, name)
        else:
            self._put(name, partial(self._copy, file))

    def copy(self, existing: str, name: str) -> None:
        """Copy ``existing`` to ``name``."""
        self._put(name, partial(self._copy, self._at(existing)))

    def same_file(self, name: str, other: str) -> bool:
        """Return True if two names are one file on disk; symbolic links are not followed."""
        status, other_status = self._status(name), self._status(other)
        return bool(status and other_status and os.path.samestat(status, other_status))

    def remove(self, name: str) -> None:
        path = self._at(name)
        with writing(path), suppress(FileNotFoundError):
            os.unlink(path)

    def make(self) -> None:
        """Make the directory if it does not exist. Raises `CannotWrite`."""
        with writing(self.root):
            self._make_parents(os.fspath(self.root))

    def remove_partial_files(self, *, older_than: float = 0) -> None:
        """Remove the temporary files of killed runs that are older than some seconds.

        No other run may be writing, unless ``older_than`` is longer than it writes one file.
        """
        for directory, _, names in os.walk(self.root):
            for name in names:
                if not (name.startswith(".") and name.endswith(_PARTIAL)):
                    continue
                path = os.path.join(directory, name)
                with writing(path), suppress(FileNotFoundError):
                    if time.time() - os.lstat(path).st_mtime >= older_than:
                        os.unlink(path)

    def _at(self, name: str) -> str:
        return f"{self._root}{name}"

    def _status(self, name: str) -> os.stat_result | None:
        try:
            return os.lstat(self._at(name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _link(self, file: str, name: str) -> None:
        path = self._at(name)
        with writing(path):
            self._make_parents(os.path.dirname(path))
        try:
            # A link is whole when it appears, so it needs no temporary name.
            os.link(file, path)
        except FileExistsError:
            if not _is_same_file(file, path):
                self._put(name, partial(self._link_or_copy, file))
        except OSError:
            # The file system has no links, or the file too many. Other failures (no space, no
            # permission) happen again in the copy.
            self._put(name, partial(self._copy, file))

    def _link_or_copy(self, file: str, temporary: str) -> None:
        try:
            os.link(file, temporary)
        except OSError:
            self._copy(file, temporary)

    def _copy(self, file: str, temporary: str) -> None:
        shutil.copyfile(file, temporary)
        self._set_mode(temporary)

    def _put(self, name: str, fill: Callable[[str], None]) -> None:
        path = self._at(name)
        directory = os.path.dirname(path)
        # A dotfile, because servers of static files do not serve those.
        temporary = os.path.join(directory, f".{self._token}-{next(self._numbers)}{_PARTIAL}")
        with writing(path):
            self._make_parents(directory)
            try:
                fill(temporary)
                os.replace(temporary, path)
            except BaseException:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(temporary)
                raise

    def _set_mode(self, path: str) -> None:
        if self._file_mode is not None:
            os.chmod(path, self._file_mode)

    def _make_parents(self, directory: str) -> None:
        if directory in self._directories:
            return
        if not os.path.isdir(directory):
            self._make_parents(os.path.dirname(directory))
            with suppress(FileExistsError):
                os.mkdir(directory)
                if self._directory_mode is not None:
                    os.chmod(directory, self._directory_mode)
        self._directories.add(directory)


class UntouchedDirectory(BuildDirectory):
    """A build directory that can be read and never changes, for dry runs."""

    def renew_time(self, name: str) -> None:
        pass

    def remove(self, name: str) -> None:
        pass

    def _link(self, file: str, name: str) -> None:
        pass

    def _put(self, name: str, fill: Callable[[str], None]) -> None:
        pass


def _is_same_file(path: str, other: str) -> bool:
    return os.path.samestat(os.lstat(path), os.lstat(other))
