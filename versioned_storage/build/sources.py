"""The source files of a build on their way in: read by one thread, digested by another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

from django.core.files.storage import Storage

from .directory import CHUNK, Digest, chunks_of, digest_of
from .problems import UnreadableSource

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
            opener = partial(_open, name, *sources[name])
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


def _open(name: str, storage: Storage, path: str) -> BinaryIO:
    try:
        file: Any = storage.open(path)
    except OSError as error:
        raise UnreadableSource(name, error) from error
    opened: BinaryIO = file
    return opened
