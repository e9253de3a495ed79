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


class MissingFile(Exception):
    """A file is not on disk, or what is there is not what was to be served."""


class Readable(Protocol):
    """What is read and closed."""

    def read(self, size: int = -1, /) -> bytes | None: ...

    def close(self) -> None: ...


def open_file(
    path: str, size: int, *, inside: str | None = None, follow_links: bool = True
) -> FileIO:
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
    return FileIO(descriptor)


class Slice:
    """A part of an open file, which it closes.

    It has no ``fileno``: a server that handed the descriptor to sendfile(2) would send more.
    """

    def __init__(self, file: FileIO, span: Span) -> None:
        file.seek(span.start)
        self._file = file
        self._left = span.stop - span.start

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted) or b""
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
