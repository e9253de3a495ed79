"""What can be wrong with the sources of a build, and what of it stops a build."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import SourceError, VersionedStorageError
from .manifest import Differences


@dataclass(frozen=True)
class BrokenReference:
    """A reference to something that is not there."""

    file: str
    line: int
    reference: str
    meant: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.meant.startswith("../"):
            why = "leads out of the static files"
        else:
            why = f"there is no '{self.meant}'"
        hint = f" (did you mean {' or '.join(self.near)}?)" if self.near else ""
        return f"{self.file}:{self.line}: {self.reference}: {why}{hint}"


class BrokenReferences(SourceError, ValueError):
    """All the references of a run that lead nowhere, in the order of files and lines."""

    def __init__(self, references: Iterable[BrokenReference]) -> None:
        self.references = tuple(references)
        first = self.references[0]
        many = len(self.references) > 1
        listed = "\n".join(f"  {reference}" for reference in self.references)
        super().__init__(
            sorted({reference.file for reference in self.references}),
            f"{len(self.references)} reference{'s lead' if many else ' leads'} nowhere:\n{listed}\n"
            "Correct the reference, or put the file into a directory that collectstatic finds. "
            "What is meant to be missing is listed in the option ignore_missing, for example "
            f"ignore_missing=['{first.file}:{first.reference}'].",
        )


class NotUTF8(SourceError, UnicodeDecodeError):
    """A file that has to be read for references is not UTF-8."""

    def __init__(self, name: str, error: UnicodeDecodeError) -> None:
        self.line = error.object.count(b"\n", 0, error.start) + 1
        super().__init__([name], *error.args)

    def __str__(self) -> str:
        (name,) = self.names
        byte = self.object[self.start]
        return (
            f"{name} is not UTF-8: line {self.line} has the byte 0x{byte:02x}. Style sheets and "
            "scripts are served as UTF-8: convert the file, or leave it out with "
            f"collectstatic --ignore '{name}'."
        )


class UnreadableSource(SourceError):
    """A source file cannot be opened; most often a symbolic link to what is gone."""

    def __init__(self, name: str, error: OSError) -> None:
        self.error = error
        path = error.filename or name
        why = error.strerror or str(error)
        if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - str paths
            why = f"it is a symbolic link to {os.readlink(path)}, which is not there"  # noqa: PTH115
        super().__init__(
            [name],
            f"Cannot read {name} ({path}): {why}. Put the file there, or leave it out with "
            f"collectstatic --ignore '{name}'.",
        )


class BuildIsComplete(VersionedStorageError):
    """Other content was collected into a build that is complete."""

    def __init__(self, build: str, place: str, differ: Differences) -> None:
        self.build = build
        self.place = place
        self.differences = differ
        super().__init__(
            f"Build {build} is complete in {place}, and what was collected now is another build. "
            f"Against the one that is there it has\n{differ}\nA build never changes: set a new "
            "BUILD_VERSION, or run collectstatic --clear if this one was never deployed."
        )


class BuildIsFrozen(VersionedStorageError):
    """A file of a complete build was to be deleted."""

    def __init__(self, build: str, name: str) -> None:
        self.build = build
        self.name = name
        super().__init__(
            f"Build {build} is complete and never changes, so {name} stays. To collect it in "
            "another way, with --link or without, set a new BUILD_VERSION, or run collectstatic "
            "--clear if this one was never deployed."
        )


class WrongEncoding(SourceError):
    """A bundler's encoded copy of a file is not a copy of that file."""

    def __init__(self, name: str, encoded: str) -> None:
        self.name = name
        self.encoded = encoded
        super().__init__(
            [encoded],
            f"{encoded} does not decode to {name}: one of the two is stale or damaged. Run the "
            f"bundler again, or leave its copy out with collectstatic --ignore '{encoded}'.",
        )
