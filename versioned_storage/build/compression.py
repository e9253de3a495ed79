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
from .codecs import DECODING_ERRORS, compressor, decompressor
from .directory import BuildDirectory, Digest, Digester, chunks_of
from .manifest import BuildFile

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass
class EncodingJob:
    """One content that is needed in each encoding.

    ``names`` are the files of the build directory that have this content. ``prebuilt`` opens, by
    encoding, a bundler's copies, which are known to decode to it; ``base`` the copies of an earlier
    build, which may be damaged. ``remote_sizes`` has the sizes of the encodings that S3 has and
    this disk does not need. `compress` fills in ``sizes`` in bytes and the encodings that were
    ``reused`` instead of made.
    """

    names: tuple[str, ...]
    digest: Digest
    prebuilt: Mapping[str, Opener] = field(default_factory=dict)
    base: Mapping[str, Opener] = field(default_factory=dict)
    remote_sizes: Mapping[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)


def compress(
    jobs: Iterable[EncodingJob],
    directory: BuildDirectory,
    encodings: Iterable[str],
    *,
    workers: int | None = None,
) -> Iterator[EncodingJob]:
    """Do all jobs, and yield each when it is finished, in no fixed order.

    Brotli and zlib release the GIL, so threads use all cores.
    """
    table = [ENCODINGS[name] for name in encodings]
    # The largest first, so that none is left over for a single core at the end.
    ordered = sorted(jobs, key=lambda job: job.digest.size, reverse=True)
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        futures = [pool.submit(_run, job, directory, table) for job in ordered]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Reached early after a failure, or when the caller stops: do not start the rest.
            for future in futures:
                future.cancel()


def decodes_to(open_file: Opener, encoding: Encoding, digest: Digest) -> bool:
    """Return True if a file exists, is complete and decodes to the bytes of ``digest``.

    Decoding stops after the size in ``digest``, so a decompression bomb costs nothing.
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
    """Encode a file of the build, beside it. Raises `CannotWrite`, OSError."""
    with directory.path(name).open("rb") as file:
        directory.write(name + encoding.suffix, _encoded(chunks_of(file), encoding))


def ensure(directory: BuildDirectory, file: BuildFile) -> Path:
    """Return the path of a file of the build, after encoding it if an encoding is missing.

    Encodings that the base build has on S3 are not made when a build is.
    """
    path = directory.path(file.source)
    if file.encoding is not None and not path.exists():
        encode(directory, file.asset.hashed_name, ENCODINGS[file.encoding])
    return path


def available_cores() -> int:
    """Return how many cores this process may use, which a container can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(job: EncodingJob, directory: BuildDirectory, table: list[Encoding]) -> EncodingJob:
    for encoding in table:
        first, *links = [name + encoding.suffix for name in job.names]
        if _is_intact(job, directory, encoding, first) or _reuse(job, directory, encoding, first):
            job.reused.add(encoding.name)
        elif encoding.name in job.remote_sizes:
            for name in filter(directory.exists, (first, *links)):
                directory.remove(name)
            job.sizes[encoding.name] = job.remote_sizes[encoding.name]
            job.reused.add(encoding.name)
            continue
        else:
            encode(directory, job.names[0], encoding)
        for name in links:
            if not directory.same_file(name, first):
                directory.link(first, name)
        job.sizes[encoding.name] = directory.path(first).stat().st_size
    return job


def _is_intact(job: EncodingJob, directory: BuildDirectory, encoding: Encoding, name: str) -> bool:
    if not directory.exists(name) or directory.is_symlink(name):
        return False
    return decodes_to(lambda: directory.path(name).open("rb"), encoding, job.digest)


def _reuse(job: EncodingJob, directory: BuildDirectory, encoding: Encoding, name: str) -> bool:
    """Copy an encoding that a bundler or the base build has; return False if there is none."""
    opener = job.prebuilt.get(encoding.name)
    if opener is None:
        opener = job.base.get(encoding.name)
        if opener is None or not decodes_to(opener, encoding, job.digest):
            return False
    with opener() as file:
        directory.write(name, chunks_of(file))
    return True


def _encoded(chunks: Iterable[bytes], encoding: Encoding) -> Iterator[bytes]:
    encoder = compressor(encoding.name)
    for chunk in chunks:
        yield encoder.compress(chunk)
    yield encoder.flush()
