"""Regular files on disk, opened without ever waiting for a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Protocol

from whitenoise.responders import MissingFileError

from ..progress import logger
from .rfc9110 import ByteRange

# The file does not exist, or this process may not read it. Other failures, such as too few
# descriptors, are errors.
_NOT_SERVED = {
    errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT,
    errno.ENOTDIR, errno.ENXIO, errno.EPERM,
}  # fmt: skip

#: Device, inode and time of the last status change: no two files have the same.
FileId = tuple[int, int, int]

_NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)


class FileBody(Protocol):
    """The body of a response, read from a file."""

    def read(self, size: int = -1, /) -> bytes | None: ...

    def read_cached(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class OpenFile(FileIO):
    """An open file, unbuffered."""

    file_id: FileId

    def read_cached(self, size: int, /) -> bytes:
        """Return what the kernel has in memory of the next ``size`` bytes, possibly nothing.

        It never waits for the disk. Nothing is returned either where the kernel cannot tell, which
        takes Linux and a file system such as ext4, xfs or btrfs (RWF_NOWAIT).
        """
        if _NO_WAIT is None:
            return b""
        buffer = bytearray(size)
        try:
            # -1: from the file's position, which moves on.
            count = os.preadv(self.fileno(), [buffer], -1, _NO_WAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                return b""
            raise
        return bytes(buffer[:count])


class FileSlice:
    """A part of an open file, which it closes.

    It has no ``fileno``: a server that passes the descriptor to sendfile(2) would send more.
    """

    def __init__(self, file: OpenFile, byte_range: ByteRange) -> None:
        file.seek(byte_range.start)
        self._file = file
        self._remaining = byte_range.size

    def read(self, size: int = -1, /) -> bytes:
        size = self._remaining if size < 0 else min(size, self._remaining)
        data = self._file.read(size) or b""
        self._remaining -= len(data)
        return data

    def read_cached(self, size: int, /) -> bytes:
        data = self._file.read_cached(min(size, self._remaining))
        self._remaining -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def open_file(
    path: str, size: int, *, inside: str | None = None, verified: FileId | None = None
) -> OpenFile:
    """Open a regular file of exactly ``size`` bytes, unbuffered. Raises `MissingFileError`.

    ``inside`` is the real path of the directory that the file must be in, through whatever links
    its name leads; None if it may be anywhere. The file with the id ``verified`` was found to be
    inside before.
    """
    descriptor, status = _open_regular(path)
    try:
        file_id = (status.st_dev, status.st_ino, status.st_ctime_ns)
        if status.st_size != size or (
            inside is not None and file_id != verified and not _is_inside(path, inside)
        ):
            raise MissingFileError(path)
        file = OpenFile(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    file.file_id = file_id
    return file


def status_of(path: str) -> os.stat_result:
    """Return the status of what a path leads to. Raises OSError, `MissingFileError`."""
    try:
        return Path(path).stat()
    except ValueError as error:
        # A NUL, or a surrogate that the file system cannot encode: no file has such a name.
        raise MissingFileError(path) from error
    except OSError as error:
        if error.errno in _NOT_SERVED:
            raise MissingFileError(path) from error
        raise


def regular_files(
    directory: str, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and the status of each regular file below a directory, through links.

    A link back to a directory that leads to it is left out; ``above`` has the device and the inode
    of those directories. A directory that cannot be read is logged.
    """
    try:
        directory_id = _device_and_inode(status_of(directory))
        with os.scandir(directory) as entries:
            paths = sorted(entry.path for entry in entries)
    except (OSError, MissingFileError) as error:
        logger.warning("Nothing in %s is served: %s", directory, error)
        return
    if directory_id in above:
        return
    for path in paths:
        try:
            status = status_of(path)
        except (OSError, MissingFileError):
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, status
        elif stat.S_ISDIR(status.st_mode):
            yield from regular_files(path, above | {directory_id})


def _device_and_inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _open_regular(path: str) -> tuple[int, os.stat_result]:
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        # A NUL, or a surrogate that the file system cannot encode: no file has such a name.
        raise MissingFileError(path) from error
    except OSError as error:
        if isinstance(error, PermissionError):
            logger.warning("%s is not served: %s", path, error.strerror)
        if error.errno in _NOT_SERVED:
            raise MissingFileError(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise MissingFileError(path)
    return descriptor, status


def _is_inside(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(directory + os.sep)
