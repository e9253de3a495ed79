"""What a verification of a build on S3 found, and what a repair did: for people, for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..build.manifest import BuildFile
from ..text import bytes_text, count_text
from .s3 import Found

#: How many objects people get to read of; ``--json`` has all of them.
SHOWN = 10


@dataclass(frozen=True)
class Fault:
    """One thing that an object has wrong; all for people.

    ``of_content`` says that it has not got the bytes that it has to have.
    """

    what: str
    found: str
    expected: str
    of_content: bool = False

    def __str__(self) -> str:
        return f"{self.what} is {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class Wrong:
    """An object that is not what the record says; ``found`` is None where it is missing.

    ``path`` is below the origin's location.
    """

    path: str
    url: str
    file: BuildFile
    found: Found | None
    faults: tuple[Fault, ...]

    @property
    def has_its_bytes(self) -> bool:
        return not any(fault.of_content for fault in self.faults)


@dataclass(frozen=True)
class Repair:
    """What was done for an object that was wrong, or why nothing could be; for people."""

    url: str
    said: str
    done: bool


@dataclass(frozen=True)
class Verification:
    """The end of it. ``objects`` and ``size``, in bytes, are what the build has to have.

    ``wrong`` is what is not as it has to be, after the ``repairs`` if there were any. ``foreign``
    has the URLs and sizes of what is below the build's prefix and not of the build. ``unchecked``
    counts the objects that S3 keeps no checksum of its own of, so that its word was worth less.
    """

    build: str
    place: str
    objects: int
    size: int
    wrong: tuple[Wrong, ...] = ()
    foreign: tuple[tuple[str, int], ...] = ()
    unchecked: int = 0
    deep: bool = False
    repairs: tuple[Repair, ...] = ()
    requests: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Every object of the build is there and right."""
        return not self.wrong

    def text(self) -> str:
        """What is wrong, what was done, and one line that sums it up."""
        how = "read and digested" if self.deep else "asked for"
        verdict = f"{len(self.wrong):,} wrong" if self.wrong else "all well"
        summary = (
            f"Build {self.build} at {self.place}: {count_text(self.objects, 'object')} "
            f"({bytes_text(self.size)}) {how}, {verdict}, "
            f"{count_text(self.requests, 'request')}, {self.seconds:.1f} s"
        )
        return "\n".join([*self._repair_lines(), *self._wrong_lines(), summary, *self._notes()])

    def data(self) -> dict[str, Any]:
        """Everything."""
        return {
            "ok": self.ok,
            "build": self.build,
            "place": self.place,
            "objects": self.objects,
            "bytes": self.size,
            "deep": self.deep,
            "faults": [
                {
                    "url": one.url,
                    "what": fault.what,
                    "found": fault.found,
                    "expected": fault.expected,
                }
                for one in self.wrong
                for fault in one.faults
            ],
            "repairs": [
                {"url": one.url, "said": one.said, "done": one.done} for one in self.repairs
            ],
            "foreign": [{"url": url, "bytes": size} for url, size in self.foreign],
            "unchecked": self.unchecked,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }

    def _repair_lines(self) -> list[str]:
        return _first([f"{one.url} {one.said}" for one in self.repairs], "objects")

    def _wrong_lines(self) -> list[str]:
        lines = [f"{one.url}: {'; '.join(map(str, one.faults))}" for one in self.wrong]
        return _first(lines, "objects")

    def _notes(self) -> list[str]:
        notes = []
        if self.wrong and not self.repairs:
            notes.append(
                f"  -> 'python manage.py staticbuilds verify {self.build} --repair' puts back what "
                "is wrong, where the build directory is"
            )
        if self.unchecked:
            notes.append(
                f"  Of {count_text(self.unchecked, 'object')} S3 keeps no checksum of its own, "
                "only what was said when they were stored: --deep reads them"
            )
        if self.foreign:
            size = bytes_text(sum(size for _, size in self.foreign))
            notes.append(
                f"  {count_text(len(self.foreign), 'object')} ({size}) below it not of this "
                "build; a prune of the build deletes them too:"
            )
            notes += _first([f"  {url}" for url, _ in self.foreign], "objects")
        return notes


def _first(lines: list[str], noun: str) -> list[str]:
    more = [f"and {len(lines) - SHOWN:,} more {noun}; --json has them all"]
    return lines[:SHOWN] + (more if len(lines) > SHOWN else [])
