"""The source files of a build on their way in: read by one thread, digested by another."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from django.core.files.base import File
from django.core.files.storage import Storage

from .directory import CHUNK, Digest, Digester, chunks_of, digest_of
from .source_errors import UnreadableSource, UnusableFile

#: What collectstatic hands to post_process: where each file comes from, by its name.
Sources = Mapping[str, tuple[Storage, str]]

# How much is read before it is asked for, so that the other thread has what to do: bytes, files.
_AHEAD_BYTES = 1024 * 1024
_AHEAD_FILES = 64


@dataclass(frozen=True)
class Source:
    """A source file that was read.

    ``data`` is None for one that is too large to be kept; ``open`` opens it then. ``digest`` waits
    for the digest where that is still being made.
    """

    name: str
    data: bytes | None
    digest: Callable[[], Digest]
    open: Callable[[], BinaryIO]

    @property
    def held(self) -> int:
        """The bytes of memory that it takes, about."""
        return CHUNK if self.data is None else len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """All bytes of it, once more."""
        if self.data is not None:
            yield from chunks_of_bytes(self.data)
        else:
            yield from _to_the_end(self.open())


def read_all(
    sources: Sources,
    names: Iterable[str],
    *,
    whole: Collection[str],
    known: Mapping[str, Digest],
) -> Generator[Source, None, None]:
    """Read the sources of these names, in this order.

    Those in ``whole`` have their ``data``, however large. What is in ``known`` and not in ``whole``
    is not even opened. Raises `UnreadableSource`.

    hashlib lets go of the GIL while it works, so the digests cost little time where there is a
    second core. The storages are this thread's alone.
    """
    with ThreadPoolExecutor(1) as thread:

        def read(name: str) -> Source:
            opener = partial(open_source, name, *sources[name])
            if name in known and name not in whole:
                return Source(name, None, partial(known.__getitem__, name), opener)
            return _read(name, opener, thread, whole=name in whole)

        yield from _ahead(map(read, names))


def _ahead(sources: Iterable[Source]) -> Iterator[Source]:
    """The same sources, some of them taken before they are asked for."""
    ahead: deque[Source] = deque()
    held = 0
    for source in sources:
        ahead.append(source)
        held += source.held
        while held > _AHEAD_BYTES or len(ahead) > _AHEAD_FILES:
            held -= ahead[0].held
            yield ahead.popleft()
    while ahead:
        yield ahead.popleft()


def chunks_of_bytes(data: bytes) -> Iterator[bytes]:
    """The same bytes in chunks, none where there are none."""
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def _read(
    name: str, opener: Callable[[], BinaryIO], thread: ThreadPoolExecutor, *, whole: bool
) -> Source:
    file = opener()
    try:
        data = file.read(-1 if whole else CHUNK)
        if len(data) == CHUNK and not whole:
            rest = chain((data,), _to_the_end(file))
            digest = thread.submit(digest_of, rest).result
            return Source(name, None, digest, opener)
    except BaseException:
        file.close()
        raise
    file.close()
    if len(data) <= CHUNK:
        # Digested sooner than handed over.
        return Source(name, data, partial(digest_of, (data,)), opener)
    return Source(name, data, thread.submit(digest_of, (data,)).result, opener)


def _to_the_end(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, which is closed then."""
    with closing(file):
        yield from chunks_of(file)


def open_source(name: str, storage: Storage, path: str) -> BinaryIO:
    """Open a source file. Raises `UnreadableSource`, for what is no regular file too."""
    try:
        # Opening a pipe would wait for somebody who writes into it.
        kind = _kind_of(os.stat(storage.path(path)).st_mode)  # noqa: PTH116 - a str path
        if kind is not None:
            raise UnreadableSource(name, OSError(None, f"it is {kind}", storage.path(path)))
    except NotImplementedError:
        # A storage without paths, of a finder of the site's own.
        pass
    except OSError as error:
        raise UnreadableSource(name, error) from error
    try:
        file: Any = storage.open(path)
    except OSError as error:
        raise UnreadableSource(name, error) from error
    opened: BinaryIO = file
    return opened


def unusable_files(directory: str, is_left_out: Callable[[str], bool]) -> Iterator[UnusableFile]:
    """What collectstatic cannot collect below a directory: loops of links, and special files.

    Names for which ``is_left_out`` says True are left out, with all that is below them.
    """
    waiting: list[tuple[str, tuple[str, ...]]] = [(directory, (os.path.realpath(directory),))]
    while waiting:
        directory, above = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            # The finders tell of it.
            continue
        for entry in listed:
            if is_left_out(entry.name) or entry.is_file(follow_symlinks=False):
                continue
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno == errno.ELOOP:
                    yield UnusableFile(entry.path, "is a link that leads to itself")
                continue
            if stat.S_ISDIR(status.st_mode):
                real = os.path.realpath(entry.path)
                if real in above:
                    yield UnusableFile(entry.path, f"is a link to {real}, which it is in")
                else:
                    waiting.append((entry.path, (*above, real)))
            elif kind := _kind_of(status.st_mode):
                yield UnusableFile(entry.path, f"is {kind}")


def _kind_of(mode: int) -> str | None:
    """What a file is that has no bytes to collect; None for one that may have some."""
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            return kind
    return None


_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


# Django's File takes a type in its stubs alone.
if TYPE_CHECKING:
    _File = File[Any]
else:
    _File = File


class DigestedFile(_File):
    """A file whose digest is known, so that nobody needs to read it to name it."""

    def __init__(self, name: str, digest: Digest, open_file: Callable[[], IO[Any]]) -> None:
        super().__init__(None, name)
        self.digest = digest
        self.mode = "rb"
        self._open_file = open_file
        self._opened: IO[Any] | None = None

    @property
    def file(self) -> IO[Any] | None:
        if self._opened is None:
            self._opened = self._open_file()
        return self._opened

    @file.setter
    def file(self, value: IO[Any] | None) -> None:
        self._opened = value

    @property
    def size(self) -> int:
        return self.digest.size

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class PassingFile(_File):
    """A file that is digested while somebody else copies it."""

    def __init__(self, content: File[Any]) -> None:
        super().__init__(content.file, content.name)
        self._content = content
        #: The digest of all that was read; None before, and for text, which has no bytes yet.
        self.digest: Digest | None = None

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """As of any Django file, once."""
        digester: Digester | None = Digester()
        for chunk in self._content.chunks(CHUNK):
            if not isinstance(chunk, bytes):
                digester = None
            elif digester is not None:
                digester.update(chunk)
            yield chunk
        self.digest = digester.digest() if digester else None
