"""Each eligible file in every encoding, beside it, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import BinaryIO

from ..constants import ENCODINGS, Encoding
from .codecs import DECODING_ERRORS, compressor, decompressor
from .directory import BuildDirectory, Digest, Digester, chunks_of
from .manifest import BuildFile

Opener = Callable[[], AbstractContextManager[BinaryIO]]

# A batch of jobs has as many bytes or files.
_BATCH_BYTES = 256 * 1024
_BATCH_JOBS = 64


@dataclass
class EncodingJob:
    """One content that is needed in each encoding.

    ``names`` are the files of the build directory that have this content. ``quality`` has the
    quality of the encodings for which the site has set one. ``prebuilt`` opens, by encoding, a
    bundler's copies, which are known to decode to the content. ``kept`` are the encodings that the
    directory may have already, ``base_files`` has, by encoding, the files of an earlier build:
    those can be reused unless they are damaged. ``remote_sizes`` has the sizes of the encodings
    that S3 has and this disk does not need. `compress` fills in ``sizes`` in bytes and the
    encodings that were ``reused`` instead of made.
    """

    names: tuple[str, ...]
    digest: Digest
    quality: Mapping[str, int] = field(default_factory=dict)
    prebuilt: Mapping[str, Opener] = field(default_factory=dict)
    kept: Collection[str] = ()
    base_files: Mapping[str, str] = field(default_factory=dict)
    remote_sizes: Mapping[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)


def compress(
    jobs: Iterable[EncodingJob],
    directory: BuildDirectory,
    encodings: Iterable[str],
    *,
    base: BuildDirectory | None = None,
    workers: int | None = None,
) -> Iterator[EncodingJob]:
    """Do all jobs, and yield each when it is finished, in no fixed order.

    ``base`` is the directory of the earlier build. Brotli and zlib release the GIL, so threads use
    all cores.
    """
    task = _Compression(directory, base, [ENCODINGS[name] for name in encodings])
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        futures = [pool.submit(task.run, batch) for batch in _batches(jobs)]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            # Reached early after a failure, or when the caller stops: do not start the rest, nor
            # finish what runs, which takes ten seconds for some files.
            task.stopped.set()
            for future in futures:
                future.cancel()


def decodes_to(open_file: Opener, encoding: Encoding, digest: Digest) -> bool:
    """Return True if a file exists, is complete and decodes to the bytes of ``digest``.

    Decoding stops after the size in ``digest``, so a decompression bomb costs nothing.
    """
    digester = Digester()

    def digest_piece(piece: bytes) -> bool:
        digester.update(piece)
        return digester.size <= digest.size

    return _decodes(open_file, encoding, digest_piece) and digester.digest() == digest


def encode(
    directory: BuildDirectory, name: str, encoding: Encoding, stopped: Event | None = None
) -> None:
    """Encode a file of the build, beside it. Raises `CannotWrite`, OSError.

    Raises CancelledError once ``stopped`` is set.
    """
    with directory.path(name).open("rb") as file:
        chunks = _until(stopped, chunks_of(file)) if stopped else chunks_of(file)
        directory.write(name + encoding.suffix, _encoded(chunks, encoding))


def ensure(directory: BuildDirectory, file: BuildFile) -> Path:
    """Return the path of a file of the build, after encoding it if an encoding is missing.

    Encodings that the base build has on S3 are not made when a build is.
    """
    path = directory.path(file.source)
    if file.encoding is not None and not path.exists():
        encoding = ENCODINGS[file.encoding].with_quality(file.quality)
        encode(directory, file.asset.hashed_name, encoding)
    return path


def available_cores() -> int:
    """Return how many cores this process may use, which a container can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class _Compression:
    directory: BuildDirectory
    base: BuildDirectory | None
    encodings: list[Encoding]
    stopped: Event = field(default_factory=Event)

    def run(self, jobs: list[EncodingJob]) -> list[EncodingJob]:
        for job in jobs:
            with self.directory.open(job.names[0]) as content:
                for encoding in self.encodings:
                    self._run(job, encoding, content)
        return jobs

    def _run(self, job: EncodingJob, encoding: Encoding, content: BinaryIO) -> None:
        directory = self.directory
        first, *links = [name + encoding.suffix for name in job.names]
        is_kept = encoding.name in job.kept and self._is_intact(encoding, first, content)
        if is_kept or self._reuse(job, encoding, first, content):
            job.reused.add(encoding.name)
        elif encoding.name in job.remote_sizes:
            for name in filter(directory.exists, (first, *links)):
                directory.remove(name)
            job.sizes[encoding.name] = job.remote_sizes[encoding.name]
            job.reused.add(encoding.name)
            return
        else:
            quality = job.quality.get(encoding.name)
            encode(directory, job.names[0], encoding.with_quality(quality), self.stopped)
        for name in links:
            directory.link(first, name)
        job.sizes[encoding.name] = directory.size(first)

    def _is_intact(self, encoding: Encoding, name: str, content: BinaryIO) -> bool:
        directory = self.directory
        return directory.is_file(name) and _decodes_to_file(directory, name, encoding, content)

    def _reuse(self, job: EncodingJob, encoding: Encoding, name: str, content: BinaryIO) -> bool:
        """Take an encoding that a bundler or the base build has; return False if there is none."""
        if encoding.name in job.prebuilt:
            with job.prebuilt[encoding.name]() as file:
                self.directory.write(name, chunks_of(file))
            return True
        base_name = job.base_files.get(encoding.name)
        if self.base is None or base_name is None:
            return False
        if not _decodes_to_file(self.base, base_name, encoding, content):
            return False
        self.directory.adopt(self.base, base_name, name)
        return True


def _batches(jobs: Iterable[EncodingJob]) -> Iterator[list[EncodingJob]]:
    """Split jobs into batches, because handing a small file to a thread costs more than the work.

    The largest come first, so that none is left over for a single core at the end.
    """
    batch: list[EncodingJob] = []
    size = 0
    for job in sorted(jobs, key=lambda job: job.digest.size, reverse=True):
        batch.append(job)
        size += job.digest.size
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_JOBS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _decodes_to_file(
    directory: BuildDirectory, name: str, encoding: Encoding, content: BinaryIO
) -> bool:
    """Return True if a file decodes to all of ``content``.

    Comparing takes a tenth of the time of a digest.
    """
    content.seek(0)
    is_prefix = _decodes(
        partial(directory.open, name), encoding, lambda piece: content.read(len(piece)) == piece
    )
    return is_prefix and not content.read(1)


def _decodes(open_file: Opener, encoding: Encoding, accept: Callable[[bytes], bool]) -> bool:
    """Return True if a file decodes completely and ``accept`` returns True for each piece."""
    decoder = decompressor(encoding.name)
    try:
        with open_file() as file:
            for chunk in chunks_of(file):
                if not all(map(accept, decoder.decompress(chunk))):
                    return False
    except (FileNotFoundError, NotADirectoryError, *DECODING_ERRORS):
        return False
    return decoder.finished()


def _until(stopped: Event, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stopped.is_set():
            raise CancelledError
        yield chunk


def _encoded(chunks: Iterable[bytes], encoding: Encoding) -> Iterator[bytes]:
    encoder = compressor(encoding)
    for chunk in chunks:
        yield encoder.compress(chunk)
    yield encoder.flush()
