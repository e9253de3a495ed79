"""Files on disk, opened only if they are what is to be served."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from typing import Protocol

from .ranges import Span

# What leads to the file is gone, is a link that is not followed, or is too long for a name.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}

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
    path: str, size: int, *, inside: str | None = None, follow_links: bool = True
) -> OpenFile:
    """Open a regular file of that very size, unbuffered. Raises `MissingFile`.

    ``inside`` is the real path of the directory that the file has to be in, through whatever links
    its name leads; None where that is not to be looked at. ``follow_links=False`` refuses a file
    that is a link itself.
    """
    no_link = 0 if follow_links else os.O_NOFOLLOW
    if inside is not None and not os.path.realpath(path).startswith(inside + os.sep):
        raise MissingFile(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | no_link)
    except OSError as error:
        if error.errno in _GONE:
            raise MissingFile(path) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        os.close(descriptor)
        raise MissingFile(path)
    return OpenFile(descriptor)


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
