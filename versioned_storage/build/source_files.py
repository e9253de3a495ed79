"""The source files of a build, and how collectstatic and Django's hooks get at their bytes."""

from __future__ import annotations

import errno
import io
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

from .directory import CHUNK, BuildDirectory, Digest, Digester, chunks_of, digest_of
from .source_errors import UnreadableSource, UnusableFile

#: A storage of a finder and the path of a file in it.
SourceLocation = tuple[Storage, str]

#: What collectstatic hands to post_process: the location of each file, by its name.
Sources = Mapping[str, SourceLocation]

# How much is read ahead, so that the digesting thread is not idle.
_AHEAD_BYTES = 1024 * 1024
_AHEAD_FILES = 64


@dataclass(frozen=True)
class SourceFile:
    """A source file that was read.

    ``data`` is None if it is too large to be kept in memory; ``open`` opens it again. ``digest``
    waits for the digesting thread.
    """

    name: str
    data: bytes | None
    digest: Callable[[], Digest]
    open: Callable[[], BinaryIO]

    @property
    def memory(self) -> int:
        """About how many bytes of memory it takes."""
        return CHUNK if self.data is None else len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """All bytes of the file, each time."""
        if self.data is not None:
            yield from chunks_of_bytes(self.data)
        else:
            yield from _rest_of(self.open())


def read_all(
    sources: Sources,
    names: Iterable[str],
    *,
    in_memory: Collection[str],
    digests: Mapping[str, Digest],
    directory: BuildDirectory,
) -> Generator[SourceFile, None, None]:
    """Read the sources of these names, in this order. Raises `UnreadableSource`.

    Files in ``in_memory`` have their ``data``, however large. ``digests`` are of the copies in
    ``directory``: files that are not in ``in_memory`` are not opened, others are compared with
    their copy, which takes a tenth of the time of a digest.

    One thread reads and another digests, because hashlib releases the GIL. Only the reading thread
    uses the storages.
    """
    with ThreadPoolExecutor(1) as thread:

        def read(name: str) -> SourceFile:
            opener = partial(open_source, name, *sources[name])
            if name in digests and name not in in_memory:
                return SourceFile(name, None, partial(digests.__getitem__, name), opener)
            if name in digests:
                with opener() as file:
                    data = file.read()
                if directory.holds(name, digests[name].size, (data,)):
                    return SourceFile(name, data, partial(digests.__getitem__, name), opener)
            return _read(name, opener, thread, in_memory=name in in_memory)

        yield from _read_ahead(map(read, names))


def _read_ahead(files: Iterable[SourceFile]) -> Iterator[SourceFile]:
    ahead: deque[SourceFile] = deque()
    memory = 0
    for file in files:
        ahead.append(file)
        memory += file.memory
        while memory > _AHEAD_BYTES or len(ahead) > _AHEAD_FILES:
            memory -= ahead[0].memory
            yield ahead.popleft()
    while ahead:
        yield ahead.popleft()


def chunks_of_bytes(data: bytes) -> Iterator[bytes]:
    """Split bytes into chunks."""
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def _read(
    name: str, opener: Callable[[], BinaryIO], thread: ThreadPoolExecutor, *, in_memory: bool
) -> SourceFile:
    file = opener()
    try:
        data = file.read(-1 if in_memory else CHUNK)
        if len(data) == CHUNK and not in_memory:
            chunks = chain((data,), _rest_of(file))
            return SourceFile(name, None, thread.submit(digest_of, chunks).result, opener)
    except BaseException:
        file.close()
        raise
    file.close()
    if len(data) <= CHUNK:
        # Digesting it here is faster than handing it to the other thread.
        return SourceFile(name, data, partial(digest_of, (data,)), opener)
    return SourceFile(name, data, thread.submit(digest_of, (data,)).result, opener)


def _rest_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in chunks and close it."""
    with closing(file):
        yield from chunks_of(file)


def open_source(name: str, storage: Storage, path: str) -> BinaryIO:
    """Open a source file. Raises `UnreadableSource`, also for pipes, sockets and devices."""
    try:
        # Opening a pipe would wait for a writer.
        kind = _kind_of(os.stat(storage.path(path)).st_mode)  # noqa: PTH116 - a str path
        if kind is not None:
            raise UnreadableSource(name, OSError(None, f"it is {kind}", storage.path(path)))
    except (NotImplementedError, FileNotFoundError):
        # The storage of a site's own finder may have no paths.
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
    """Yield what collectstatic cannot collect: loops of links, broken links and special files.

    ``is_left_out`` returns True for names of files and directories to skip.
    """
    waiting: list[tuple[str, tuple[str, ...]]] = [(directory, (os.path.realpath(directory),))]
    while waiting:
        directory, above = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            # The finder raises it.
            continue
        for entry in listed:
            if is_left_out(entry.name) or entry.is_file(follow_symlinks=False):
                continue
            try:
                status = entry.stat()
            except OSError as error:
                if entry.is_symlink():
                    yield UnusableFile(entry.path, _why_broken(entry.path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                is_link = entry.is_symlink()
                real = os.path.realpath(entry.path) if is_link else f"{above[-1]}/{entry.name}"
                if real in above:
                    yield UnusableFile(entry.path, f"is a link to {real}, which it is in")
                else:
                    waiting.append((entry.path, (*above, real)))
            elif kind := _kind_of(status.st_mode):
                yield UnusableFile(entry.path, f"is {kind}")


def _why_broken(link: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a link that leads to itself"
    target = os.readlink(link)  # noqa: PTH115 - a str path
    if error.errno == errno.ENOENT:
        return f"is a link to {target}, which does not exist"
    return f"is a link to {target}: {error.strerror}"


def _kind_of(mode: int) -> str | None:
    """Name a kind of file without content; return None for all others."""
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


# Only in its stubs does Django's File take a type.
if TYPE_CHECKING:
    _File = File[Any]
else:
    _File = File


class DigestedFile(_File):
    """A file whose digest is known, so that it is opened only by a hook that reads it."""

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
    """A file that is digested while a storage copies it."""

    def __init__(self, content: File[Any]) -> None:
        super().__init__(content.file, content.name)
        self._content = content
        #: The digest once all is read; None for text, which has no bytes yet.
        self.digest: Digest | None = None

    def can_be_read_again(self) -> bool:
        """Return True if `chunks` starts from the beginning each time."""
        try:
            self._content.seek(0)
        except (AttributeError, io.UnsupportedOperation):
            # Django's `File.chunks` passes over both.
            return False
        return True

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """Yield the chunks, from the beginning where the file can seek."""
        digester: Digester | None = Digester()
        for chunk in self._content.chunks(CHUNK):
            if not isinstance(chunk, bytes):
                digester = None
            elif digester is not None:
                digester.update(chunk)
            yield chunk
        self.digest = digester.digest() if digester else None
