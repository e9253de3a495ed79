"""Verification compares the objects of a published build with its record."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..build.codecs import Decoding
from ..build.manifest import BuildFile, Manifest
from ..errors import Fault
from ..progress import track
from ..text import SHOWN, bytes_text, count_text, names_text
from . import record
from .objects import StoredObject
from .plan import headers
from .s3 import S3Origin
from .shared_objects import HEADERS_OF, has_bytes_of
from .threads import map_in_threads

#: Bytes that are read at once. They can decode to many more, so they are few.
CHUNK = 16 * 1024

# S3's parameters and their HTTP names.
_HEADERS = {
    "ContentType": "Content-Type",
    "ContentEncoding": "Content-Encoding",
    "CacheControl": "Cache-Control",
}


@dataclass(frozen=True)
class FaultyObject:
    """An object that differs from the record; ``stored`` is None where it is missing.

    ``path`` is below the origin's location. ``has_its_bytes`` is True if only headers are wrong.
    """

    path: str
    url: str
    file: BuildFile
    stored: StoredObject | None
    faults: tuple[Fault, ...]
    has_its_bytes: bool


@dataclass(frozen=True)
class Repair:
    """What was done for a faulty object, or why it could not be repaired; for people."""

    url: str
    outcome: str
    repaired: bool


@dataclass(frozen=True)
class Verification:
    """The result. ``objects`` and ``size``, in bytes, are what the build has by its record.

    ``faulty`` are the objects that differ, after the ``repairs`` if there were any. ``foreign`` has
    the URLs and sizes of objects below the build's prefix that do not belong to it. ``unchecked``
    counts the objects of which S3 has no checksum of its own, only the one in their metadata.
    ``mended`` has the URLs of shared objects whose headers a later build has changed, and its name.
    """

    build: str
    place: str
    objects: int
    size: int
    faulty: tuple[FaultyObject, ...] = ()
    foreign: tuple[tuple[str, int], ...] = ()
    unchecked: int = 0
    mended: tuple[tuple[str, str], ...] = ()
    deep: bool = False
    repairs: tuple[Repair, ...] = ()
    requests: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Every object of the build is as the record says."""
        return not self.faulty

    def text(self) -> str:
        """The faulty objects, the repairs, and one line that sums them up."""
        how = "downloaded and checked" if self.deep else "checked"
        verdict = f"{len(self.faulty):,} faulty" if self.faulty else "all correct"
        summary = (
            f"Build {self.build} at {self.place}: {count_text(self.objects, 'object')} "
            f"({bytes_text(self.size)}) {how}, {verdict}, "
            f"{count_text(self.requests, 'request')}, {self.seconds:.1f} s"
        )
        repairs = [f"{repair.url} {repair.outcome}" for repair in self.repairs]
        faulty = [f"{item.url}: {'; '.join(map(str, item.faults))}" for item in self.faulty]
        return "\n".join([*_first_ten(repairs), *_first_ten(faulty), summary, *self._notes()])

    def data(self) -> dict[str, Any]:
        """Everything, for ``--json``."""
        return {
            "ok": self.ok,
            "build": self.build,
            "place": self.place,
            "objects": self.objects,
            "bytes": self.size,
            "deep": self.deep,
            "faults": [
                {
                    "url": item.url,
                    "what": fault.what,
                    "found": fault.found,
                    "expected": fault.expected,
                }
                for item in self.faulty
                for fault in item.faults
            ],
            "repairs": [
                {"url": repair.url, "said": repair.outcome, "done": repair.repaired}
                for repair in self.repairs
            ],
            "foreign": [{"url": url, "bytes": size} for url, size in self.foreign],
            "unchecked": self.unchecked,
            **(
                {"mended": [{"url": url, "by": by} for url, by in self.mended]}
                if self.mended
                else {}
            ),
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }

    def _notes(self) -> list[str]:
        notes = []
        if self.faulty and not self.repairs:
            notes.append(
                f"  -> 'python manage.py staticbuilds verify {self.build} --repair' restores "
                "faulty objects, on a machine that has the build directory"
            )
        if self.unchecked:
            notes.append(
                f"  S3 has no checksum of {count_text(self.unchecked, 'object')}, only the one "
                "that was stored with them: add --deep to download and check them"
            )
        if self.mended:
            builds = names_text(sorted({by for _, by in self.mended}))
            notes.append(
                f"  {count_text(len(self.mended), 'shared object')} got other headers from build "
                f"{builds}, which has the same bytes with other headers:"
            )
            notes += _first_ten([f"  {url}" for url, _ in self.mended])
        if self.foreign:
            size = bytes_text(sum(size for _, size in self.foreign))
            verb = "does" if len(self.foreign) == 1 else "do"
            notes.append(
                f"  The prefix of the build holds {count_text(len(self.foreign), 'object')} "
                f"({size}) that {verb} not belong to it; a prune of the build deletes them too:"
            )
            notes += _first_ten([f"  {url}" for url, _ in self.foreign])
        return notes


@dataclass(frozen=True)
class Verifier:
    """Verifies the builds of one site.

    With ``deep`` each object is downloaded, decoded and digested; otherwise the checksum that S3
    has of it is compared.
    """

    origin: S3Origin
    deep: bool = False

    def verify(self, build: str) -> Verification:
        """Compare every object of a published build with its record; nothing is changed.

        Raises `NotPublished`, `OriginError`.
        """
        started, requests = time.monotonic(), self.origin.requests
        manifest = self.manifest(build)
        prefix = f"{self.origin.prefix}{build}/"
        files = {self.origin.prefix + file.path: file for file in manifest.files()}
        listed = {item.path: item.size for item in self.origin.list(prefix)}
        # Shared objects are not below the prefix, so no listing shows which are missing.
        own = {path for path in files if path.startswith(prefix)}
        missing = own - listed.keys()
        unchecked, faulty, mended = 0, [], []
        for path, stored, faulty_object in self.check_each(files.items(), missing):
            if stored is not None:
                unchecked += not stored.has_checksum
                if by := _mended_by(stored, files[path], build):
                    mended.append((self.origin.url(path), by))
            if faulty_object is not None:
                faulty.append(faulty_object)
        if faulty:
            # A prune in the meantime is no fault.
            self.manifest(build)
        return Verification(
            build=build,
            place=self.origin.url(prefix),
            objects=len(files),
            size=sum(file.size for file in files.values()),
            faulty=tuple(sorted(faulty, key=lambda item: item.path)),
            foreign=tuple(
                (self.origin.url(path), size) for path, size in listed.items() if path not in files
            ),
            unchecked=0 if self.deep else unchecked,
            mended=tuple(sorted(mended)),
            deep=self.deep,
            requests=self.origin.requests - requests,
            seconds=time.monotonic() - started,
        )

    def manifest(self, build: str) -> Manifest:
        """Return the manifest in the record of a build. Raises `NotPublished`, `OriginError`."""
        return record.read_published(self.origin, build)

    def check_each(
        self, files: Iterable[tuple[str, BuildFile]], missing: Collection[str] = ()
    ) -> Iterator[tuple[str, StoredObject | None, FaultyObject | None]]:
        """Yield each path, its object and the result of `check`, without requests for ``missing``.

        Raises `OriginError`.
        """
        items = list(files)

        def check(
            item: tuple[str, BuildFile],
        ) -> tuple[str, StoredObject | None, FaultyObject | None]:
            path, file = item
            stored = None if path in missing else self.origin.find(path)
            return path, stored, self.check(path, file, stored)

        results = map_in_threads(check, items, self.origin.connections)
        yield from track(results, total=len(items), doing="Verifying", unit="objects")

    def check(self, path: str, file: BuildFile, stored: StoredObject | None) -> FaultyObject | None:
        """Return the object at a path with its faults; None if it has none."""
        if stored is None:
            byte_faults, header_faults = [_missing(file)], []
        else:
            byte_faults = list(_byte_faults(stored, file))
            mended = _mended_by(stored, file, str(file.asset.build))
            header_faults = [] if mended else list(_header_faults(stored, file))
            if self.deep and not byte_faults:
                byte_faults = list(self._downloaded_faults(path, file))
        if not byte_faults and not header_faults:
            return None
        return FaultyObject(
            path=path,
            url=self.origin.url(path),
            file=file,
            stored=stored,
            faults=(*byte_faults, *header_faults),
            has_its_bytes=not byte_faults,
        )

    def _downloaded_faults(self, path: str, file: BuildFile) -> Iterator[Fault]:
        with self.origin.open(path) as body:
            if body is None:
                yield _missing(file)
                return
            sha256, decoding = hashlib.sha256(), Decoding(file.encoding)
            while chunk := body.read(CHUNK):
                sha256.update(chunk)
                decoding.take(chunk)
        expected = str(file.sha256)
        if sha256.hexdigest() != expected and not file.may_be_of_another_encoder:
            yield Fault("sha256 of the bytes", sha256.hexdigest(), expected)
        if decoding.integrity != file.asset.integrity:
            decoded = decoding.integrity or f"bytes that do not decode as {file.encoding}"
            yield Fault("sha384 of the decoded bytes", decoded, file.asset.integrity)


def _missing(file: BuildFile) -> Fault:
    return Fault("object", "missing", f"{file.size:,} bytes")


def _mended_by(stored: StoredObject, file: BuildFile, build: str) -> str | None:
    """Return the other build that gave a shared object its own headers, if they differ."""
    if not file.is_shared or stored.headers == headers(file):
        return None
    by = stored.metadata.get(HEADERS_OF)
    return by if by != build else None


def _byte_faults(stored: StoredObject, file: BuildFile) -> Iterator[Fault]:
    if file.may_be_of_another_encoder and has_bytes_of(file, stored, lambda: file.sha256):
        return
    if stored.size != file.size:
        yield Fault("size", f"{stored.size:,} bytes", f"{file.size:,}")
    elif stored.sha256 != file.sha256:
        yield Fault("sha256", stored.sha256 or "not known", str(file.sha256))


def _header_faults(stored: StoredObject, file: BuildFile) -> Iterator[Fault]:
    expected = headers(file)
    for parameter, name in _HEADERS.items():
        value, expected_value = stored.headers.get(parameter), expected.get(parameter)
        if value != expected_value:
            yield Fault(name, value or "not set", expected_value or "none")


def _first_ten(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - SHOWN:,} more objects; --json has them all"]
    return lines[:SHOWN] + (more if len(lines) > SHOWN else [])
