"""Each eligible file in every encoding, beside it, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..constants import ENCODINGS, Encoding
from .codecs import DECODING_ERRORS, Compressor, compressor, decompressor
from .directory import BuildDirectory, Digest, Digester, chunks_of
from .manifest import BuildFile

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Work:
    """One content that is to be there in each encoding.

    ``names`` are the files in the build directory that have it. ``prebuilt`` opens, by encoding,
    what is that content encoded by a bundler, ``base`` what an earlier build has of it and has to
    be checked. ``elsewhere`` has the sizes of the encodings that
    need not be on this disk, because S3 has them.
    """

    names: tuple[str, ...]
    digest: Digest
    prebuilt: Mapping[str, Opener] = field(default_factory=dict)
    base: Mapping[str, Opener] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compressed:
    """What became of a `Work`: bytes by encoding, and which of them did not have to be made."""

    work: Work
    sizes: Mapping[str, int]
    reused: frozenset[str]


def compress(
    works: Iterable[Work],
    directory: BuildDirectory,
    encodings: Iterable[str],
    *,
    workers: int | None = None,
) -> Iterator[Compressed]:
    """Make every encoding of every work, and yield each work when it is done.

    Brotli and zlib let go of the GIL while they work, so threads use all cores. The order of what
    is yielded is not fixed; the bytes are.
    """
    table = [ENCODINGS[name] for name in encodings]
    # The largest first, so that no long one is left over for a single core at the end.
    ordered = sorted(works, key=lambda work: work.digest.size, reverse=True)
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        futures = [pool.submit(_compress_one, work, directory, table) for work in ordered]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Reached early when one failed or the caller went away: do not start the rest.
            for future in futures:
                future.cancel()


def decodes_to(open_file: Opener, encoding: Encoding, digest: Digest) -> bool:
    """Say whether a file is there, is whole and decodes to the bytes of ``digest``.

    No more is decoded than ``digest`` has, so a decompression bomb costs nothing.
    """
    decoder = decompressor(encoding.name)
    digester = Digester()
    try:
        with open_file() as file:
            for chunk in chunks_of(file):
                for piece in decoder.decompress(chunk):
                    digester.update(piece)
                    if digester.size > digest.size:
                        return False
    except (FileNotFoundError, NotADirectoryError, *DECODING_ERRORS):
        return False
    return decoder.finished() and digester.digest() == digest


def encode(directory: BuildDirectory, name: str, encoding: Encoding) -> None:
    """Make one encoding of a file of the build, beside it. Raises `CannotWrite`, OSError."""
    with directory.path(name).open("rb") as file:
        directory.write(
            name + encoding.suffix, _encoded(chunks_of(file), compressor(encoding.name))
        )


def ensure(directory: BuildDirectory, file: BuildFile) -> Path:
    """Return the path of a file of the build, after encoding it if an encoding is missing.

    Encodings that the base build has on S3 are not made when a build is.
    """
    path = directory.path(file.source)
    if file.variant.encoding is not None and not path.exists():
        encode(directory, file.asset.hashed_name, ENCODINGS[file.variant.encoding])
    return path


def available_cores() -> int:
    """The cores that this process may use, which in a container are not all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compress_one(work: Work, directory: BuildDirectory, table: list[Encoding]) -> Compressed:
    sizes: dict[str, int] = {}
    reused = set()
    for encoding in table:
        names = [name + encoding.suffix for name in work.names]
        if _is_there(work, directory, encoding, names) or _take(work, directory, encoding, names):
            reused.add(encoding.name)
        elif encoding.name in work.elsewhere:
            for name in filter(directory.exists, names):
                directory.remove(name)
            sizes[encoding.name] = work.elsewhere[encoding.name]
            reused.add(encoding.name)
            continue
        else:
            encode(directory, work.names[0], encoding)
        for other in names[1:]:
            if not directory.same_file(other, names[0]):
                directory.link(names[0], other)
        sizes[encoding.name] = directory.path(names[0]).stat().st_size
    return Compressed(work, sizes, frozenset(reused))


def _is_there(work: Work, directory: BuildDirectory, encoding: Encoding, names: list[str]) -> bool:
    if not directory.exists(names[0]) or directory.is_symlink(names[0]):
        return False
    return decodes_to(lambda: directory.path(names[0]).open("rb"), encoding, work.digest)


def _take(work: Work, directory: BuildDirectory, encoding: Encoding, names: list[str]) -> bool:
    """Write what is encoded already as the first of ``names``; False when nothing is."""
    opener = work.prebuilt.get(encoding.name)
    if opener is None:
        opener = work.base.get(encoding.name)
        if opener is None or not decodes_to(opener, encoding, work.digest):
            return False
    with opener() as file:
        directory.write(names[0], chunks_of(file))
    return True


def _encoded(chunks: Iterable[bytes], encoder: Compressor) -> Iterator[bytes]:
    for chunk in chunks:
        yield encoder.compress(chunk)
    yield encoder.flush()
