"""What S3 has of a published build, held against the build's record."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from ..build.codecs import Decoding
from ..build.manifest import BuildFile, Manifest
from ..progress import track
from . import record
from .plan import headers
from .s3 import Found, Listed, S3Origin
from .threads import map_in_threads
from .verification import Fault, Verification, Wrong

#: Bytes that are read at once. A decoder can make much of them, so they are few.
CHUNK = 16 * 1024

# S3's parameters as HTTP calls them.
_HEADERS = {
    "ContentType": "Content-Type",
    "ContentEncoding": "Content-Encoding",
    "CacheControl": "Cache-Control",
}


@dataclass(frozen=True)
class Verifier:
    """Verifies builds of one site; ``prefix`` is the STATIC_URL path without its first slash.

    With ``deep`` each object is read, decoded and digested; else S3's word is taken for it.
    """

    origin: S3Origin
    prefix: str
    connections: int
    deep: bool = False

    def verify(self, build: str) -> Verification:
        """Hold every object of a published build against its record; nothing is changed.

        Raises `NotPublished`, `OriginError`.
        """
        started, asked = time.monotonic(), self.origin.requests
        manifest = self.published(build)
        below = f"{self.prefix}{build}/"
        files = {self.prefix + file.path: file for file in manifest.files()}
        listed = list(self.origin.list(below))
        there = {one.path for one in listed}
        unchecked, wrong = 0, []
        for found, fault in self.check_each(files.items(), there):
            unchecked += found is not None and not found.checked
            if fault is not None:
                wrong.append(fault)
        if wrong:
            # A prune that came in between is no fault.
            self.published(build)
        return Verification(
            build=build,
            place=self.origin.url(below),
            objects=len(files),
            size=sum(file.variant.size for file in files.values()),
            wrong=tuple(sorted(wrong, key=lambda one: one.path)),
            foreign=_foreign(listed, files.keys(), self.origin),
            unchecked=0 if self.deep else unchecked,
            deep=self.deep,
            requests=self.origin.requests - asked,
            seconds=time.monotonic() - started,
        )

    def published(self, build: str) -> Manifest:
        """What the record says that S3 has to have. Raises `NotPublished`, `OriginError`."""
        return record.read_published(self.origin, build)

    def check_each(
        self, files: Iterable[tuple[str, BuildFile]], there: Iterable[str] | None = None
    ) -> Iterator[tuple[Found | None, Wrong | None]]:
        """Look at objects, by their paths; ``there`` are those worth asking for, None is for all.

        Raises `OriginError`.
        """
        wanted = list(files)
        worth_asking = None if there is None else set(there)

        def check(one: tuple[str, BuildFile]) -> tuple[Found | None, Wrong | None]:
            path, file = one
            absent = worth_asking is not None and path not in worth_asking
            return self.check(path, file, None if absent else self.origin.find(path))

        found = map_in_threads(check, wanted, self.connections)
        yield from track(found, total=len(wanted), doing="Verifying", unit="objects")

    def check(
        self, path: str, file: BuildFile, found: Found | None
    ) -> tuple[Found | None, Wrong | None]:
        """Say what is wrong with an object of which S3 says ``found``; None where nothing is."""
        wrong = partial(Wrong, path=path, url=self.origin.url(path), file=file, found=found)
        if found is None:
            return None, wrong(faults=(_missing(file),))
        faults = [*_faults_of_content(found, file), *_faults_of_headers(found, file)]
        if self.deep and not any(one.of_content for one in faults):
            faults += self._faults_of_bytes(path, file)
        return found, wrong(faults=tuple(faults)) if faults else None

    def _faults_of_bytes(self, path: str, file: BuildFile) -> Iterator[Fault]:
        with self.origin.open(path) as body:
            if body is None:
                yield _missing(file)
                return
            sha256, decoding = hashlib.sha256(), Decoding(file.variant.encoding)
            while chunk := body.read(CHUNK):
                sha256.update(chunk)
                decoding.take(chunk)
        expected = str(file.variant.sha256)
        if sha256.hexdigest() != expected:
            yield Fault("sha256 of the bytes", sha256.hexdigest(), expected, of_content=True)
        if decoding.integrity != file.asset.integrity:
            found = decoding.integrity or f"bytes that do not decode as {file.variant.encoding}"
            what = "sha384 of the decoded bytes"
            yield Fault(what, found, file.asset.integrity, of_content=True)


def _missing(file: BuildFile) -> Fault:
    return Fault("object", "missing", f"{file.variant.size:,} bytes", of_content=True)


def _faults_of_content(found: Found, file: BuildFile) -> Iterator[Fault]:
    if found.size != file.variant.size:
        there, expected = f"{found.size:,} bytes", f"{file.variant.size:,}"
        yield Fault("size", there, expected, of_content=True)
    elif found.sha256 != file.variant.sha256:
        there, expected = found.sha256 or "not known", str(file.variant.sha256)
        yield Fault("sha256", there, expected, of_content=True)


def _faults_of_headers(found: Found, file: BuildFile) -> Iterator[Fault]:
    expected = headers(file)
    for parameter, name in _HEADERS.items():
        there, wanted = found.headers.get(parameter), expected.get(parameter)
        if there != wanted:
            yield Fault(name, there or "not set", wanted or "none")


def _foreign(
    listed: Iterable[Listed], ours: Iterable[str], origin: S3Origin
) -> tuple[tuple[str, int], ...]:
    own = set(ours)
    return tuple((origin.url(one.path), one.size) for one in listed if one.path not in own)
