"""Files on disk: regular files only, opened without ever waiting for a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Protocol

from ..progress import logger
from .ranges import Span

# There is no such file, or none that this process may read. What the machine lacks, such as
# descriptors, is an error.
_NOT_SERVED = {
    errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT,
    errno.ENOTDIR, errno.ENXIO, errno.EPERM,
}  # fmt: skip

#: Device, inode and time of the last change of its status: the same file as before.
FileIdentity = tuple[int, int, int]

_NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class MissingFile(Exception):
    """A file is not on disk, or what is there is not what was to be served."""


class Body(Protocol):
    """Bytes that are read from a file, and the file closed."""

    def read(self, size: int = -1, /) -> bytes | None: ...

    def read_cached(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class OpenFile(FileIO):
    """An open file, unbuffered, that can be read without ever waiting for the disk."""

    identity: FileIdentity

    def read_cached(self, size: int, /) -> bytes:
        """What the kernel has in memory of the next ``size`` bytes, perhaps nothing.

        Nothing too where it cannot say: that takes Linux and a file system such as ext4, xfs or
        btrfs (RWF_NOWAIT).
        """
        if _NO_WAIT is None:
            return b""
        buffer = bytearray(size)
        try:
            # -1: from where the file stands, which moves on.
            count = os.preadv(self.fileno(), [buffer], -1, _NO_WAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                return b""
            raise
        return bytes(buffer[:count])


def open_file(
    path: str, size: int, *, inside: str | None = None, verified: FileIdentity | None = None
) -> OpenFile:
    """Open a regular file of that size, unbuffered. Raises `MissingFile`.

    ``inside`` is the real path of the directory that the file must be in, through whatever links
    its name leads; None if it may be anywhere. A file with the identity ``verified`` was found
    inside before.
    """
    descriptor, status = _open_regular(path)
    try:
        identity = (status.st_dev, status.st_ino, status.st_ctime_ns)
        if status.st_size != size or (
            inside is not None and identity != verified and not _is_inside(path, inside)
        ):
            raise MissingFile(path)
        file = OpenFile(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    file.identity = identity
    return file


def read_file(path: str) -> tuple[bytes, os.stat_result]:
    """The content and the status of a regular file. Raises OSError, `MissingFile`."""
    descriptor, status = _open_regular(path)
    with FileIO(descriptor) as file:
        return file.readall(), status


def status_of(path: str) -> os.stat_result:
    """The status of a file or directory, through links. Raises OSError, `MissingFile`."""
    try:
        return Path(path).stat()
    except ValueError as error:
        # A NUL, or a surrogate that the file system cannot encode: no file has such a name.
        raise MissingFile(path) from error
    except OSError as error:
        if error.errno in _NOT_SERVED:
            raise MissingFile(path) from error
        raise


def regular_files(
    directory: str, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, os.stat_result]]:
    """The path and the status of each regular file below a directory, through links.

    ``above`` has the device and the inode of the directories that lead here: a link back to one of
    them is a loop, and is left out. So are a directory that cannot be read, which is logged, and
    what is no regular file.
    """
    try:
        own = _device_and_inode(status_of(directory))
        with os.scandir(directory) as entries:
            paths = sorted(entry.path for entry in entries)
    except (OSError, MissingFile) as error:
        logger.warning("Nothing in %s is served: %s", directory, error)
        return
    if own in above:
        return
    for path in paths:
        try:
            status = status_of(path)
        except (OSError, MissingFile):
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, status
        elif stat.S_ISDIR(status.st_mode):
            yield from regular_files(path, above | {own})


def _device_and_inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _open_regular(path: str) -> tuple[int, os.stat_result]:
    try:
        # Without O_NONBLOCK a pipe waits for its writer, here.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        # A NUL, or a surrogate that the file system cannot encode: no file has such a name.
        raise MissingFile(path) from error
    except OSError as error:
        if error.errno in _NOT_SERVED:
            raise MissingFile(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise MissingFile(path)
    return descriptor, status


def _is_inside(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(directory + os.sep)


class Slice:
    """A part of an open file, which it closes.

    It has no ``fileno``: a server that handed the descriptor to sendfile(2) would send more.
    """

    def __init__(self, file: OpenFile, span: Span) -> None:
        file.seek(span.start)
        self._file = file
        self._left = span.stop - span.start

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left)) or b""
        self._left -= len(data)
        return data

    def read_cached(self, size: int, /) -> bytes:
        data = self._file.read_cached(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
