"""Errors of the source files of a build."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from glob import escape

from ..errors import SourceError
from ..text import count_text, lines_text


@dataclass(frozen=True)
class BrokenReference:
    """A reference to a file that does not exist."""

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
        return f"{self.file}:{self.line}: {self.reference}: {why}{self._hint()}"

    def _hint(self) -> str:
        if not self.near:
            return ""
        if unicodedata.normalize("NFC", self.near[0]) == unicodedata.normalize("NFC", self.meant):
            escaped = self.near[0].encode("ascii", "backslashreplace").decode()
            return f" (did you mean {escaped}, which has the same letters in another Unicode form?)"
        return f" (did you mean {' or '.join(self.near)}?)"


class BrokenReferences(SourceError, ValueError):
    """All broken references of a run, in the order of files and lines."""

    def __init__(self, references: Iterable[BrokenReference]) -> None:
        self.references = tuple(references)
        many = len(self.references) > 1
        entry = ignore_missing_entry(self.references)
        files = sorted({reference.file for reference in self.references})
        super().__init__(
            files,
            f"{len(self.references):,} reference{'s lead' if many else ' leads'} nowhere:\n"
            f"{lines_text(self.references)}\n"
            "Correct the reference, or put the file into a directory that collectstatic finds. "
            "What is meant to be missing is listed in the option ignore_missing, for example "
            f"ignore_missing=[{entry!r}]. Files of a package that no page loads are left out with "
            f"collectstatic --ignore {_ignore_pattern(files)!r}.",
        )


def ignore_missing_entry(references: Sequence[BrokenReference]) -> str:
    """Return one entry of ``ignore_missing`` that covers most of these references."""
    first = references[0]
    if len(references) == 1:
        return f"{_file_glob(first.file)}:{escape(first.reference)}"
    files = {reference.file for reference in references}
    if len(files) == 1:
        return f"{_file_glob(first.file)}:*"
    directory = _directory_of(sorted(files))
    if directory:
        return f"{_file_glob(directory)}/*:*"
    extensions = {posixpath.splitext(file)[1] for file in files}
    return f"*{_file_glob(extensions.pop())}:*" if len(extensions) == 1 else "*:*"


def _directory_of(files: Sequence[str]) -> str:
    """Return the deepest common directory, or the top directory with the most files, or ""."""
    directory = posixpath.commonpath([posixpath.dirname(file) for file in files])
    if directory:
        return directory
    tops = Counter(file.partition("/")[0] if "/" in file else "" for file in files)
    return tops.most_common(1)[0][0]


def _file_glob(name: str) -> str:
    # A colon would end it.
    return escape(name).replace(":", "?")


def _ignore_pattern(files: Sequence[str]) -> str:
    directory = _directory_of(files) if len(files) > 1 else ""
    return f"{escape(directory)}/*" if directory else escape(files[0])


@dataclass(frozen=True)
class NotDecoded:
    """A file that is not UTF-8: the line and the value of the first byte that is wrong."""

    file: str
    line: int
    byte: int
    error: UnicodeDecodeError = field(compare=False, repr=False)

    @classmethod
    def of(cls, file: str, error: UnicodeDecodeError) -> NotDecoded:
        line = error.object.count(b"\n", 0, error.start) + 1
        return cls(file, line, error.object[error.start], error)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: the byte 0x{self.byte:02x}"


class NotUTF8(SourceError, UnicodeDecodeError):
    """Files whose references have to be rewritten are not UTF-8."""

    def __init__(self, files: Sequence[NotDecoded]) -> None:
        self.files = tuple(files)
        # Django raises UnicodeDecodeError; its arguments are those of the first file.
        super().__init__([file.file for file in self.files], *self.files[0].error.args)

    def message(self) -> str:
        are = "are" if len(self.files) > 1 else "is"
        return (
            f"{count_text(len(self.files), 'file')} with references {are} not UTF-8:\n"
            f"{lines_text(self.files)}\nStyle sheets and scripts are served as UTF-8. Convert each "
            "file, for example with iconv -f latin1 -t utf-8."
        )


class NameTooLong(SourceError):
    """A name has no room for a hash and the suffix of an encoding."""

    def __init__(self, name: str, hashed_name: str, longest: int) -> None:
        self.name = name
        self.hashed_name = hashed_name
        self.longest = longest
        super().__init__(
            [name],
            f"The name of {name} is too long: with its hash, and .br or .gz after it, it has "
            f"more than the {longest} bytes that a file system takes. Rename the file, or leave "
            f"it out with collectstatic --ignore {escape(name)!r}.",
        )


class NameNotUTF8(SourceError):
    """A name that no URL can have, because its bytes are not UTF-8."""

    def __init__(self, name: str) -> None:
        self.name = name
        shown = os.fsencode(name).decode("ascii", "backslashreplace")
        super().__init__(
            [shown],
            f"The name of the file {shown} is not UTF-8, so no URL can have it. Rename the file, "
            "for example with convmv -f latin1 -t utf-8 --notest.",
        )


class TooMuchToParse(SourceError):
    """The parser of ES modules gave up on a script."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            [name],
            f"{name} needs more work to be parsed as an ES module than any normal script. Exempt "
            f"it with the option prehashed, for example prehashed=r'^{re.escape(name)}$', which "
            "leaves the file and its name unchanged, or set js_modules=False.",
        )


class UnreadableSource(SourceError):
    """A source file cannot be opened, usually for lack of permission."""

    def __init__(self, name: str, error: OSError) -> None:
        self.error = error
        path = error.filename or name
        why = error.strerror or str(error)
        if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - str paths
            why = f"it is a symbolic link to {os.readlink(path)}, which does not exist"  # noqa: PTH115
        super().__init__(
            [name],
            f"Cannot read {name} ({path}): {why}. Restore the file, or leave it out with "
            f"collectstatic --ignore '{name}'.",
        )


class NameCollision(SourceError):
    """Two assets would be the same file of the build, with different bytes.

    ``collisions`` has the names of both and the name of the file.
    """

    def __init__(self, collisions: Sequence[tuple[str, str, str]]) -> None:
        self.collisions = tuple(collisions)
        lines = [
            f"{first} and {second} would both be {path}" for first, second, path in self.collisions
        ]
        names = [name for first, second, path in collisions for name in (first, second)]
        collected = [path for *_, path in collisions if path in names]
        ignored = collected[0] if collected else names[1]
        super().__init__(
            list(dict.fromkeys(names)),
            f"{count_text(len(lines), 'file')} would have two contents:\n{lines_text(lines)}\n"
            "Most often an earlier collectstatic wrote hashed copies into a source directory. "
            "Delete them there, or leave them out, for example with collectstatic --ignore "
            f"{escape(ignored)!r}.",
        )


class SharedNameTaken(SourceError):
    """A shared asset has the hashed name of one in another build, and other bytes."""

    def __init__(self, names: Sequence[str], build: str) -> None:
        self.build = build
        many = len(names) > 1
        super().__init__(
            names,
            f"{count_text(len(names), 'shared asset')} {'have' if many else 'has'} the same hashed "
            f"name in build {build}, with other bytes:\n{lines_text(names)}\nOne URL cannot have "
            "both, because caches keep what they have. Give each content a name of its own, or "
            f'take the file out of the shared assets with the glob "!{names[0]}" in the option '
            "shared_assets.",
        )


def stale_encodings_text(names: Sequence[str]) -> str:
    """Return the warning about encodings that do not decode to the file beside them."""
    return (
        "Files named as an encoding of the file beside them that do not decode to it; each is "
        f"served by its hashed name only:\n{lines_text(sorted(names))}"
    )


@dataclass(frozen=True)
class UnusableFile:
    """A path in a source directory that collectstatic cannot collect, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class UnusableFiles(SourceError):
    """The source directories have something that collectstatic cannot collect."""

    def __init__(self, files: Sequence[UnusableFile]) -> None:
        self.files = tuple(files)
        super().__init__(
            [file.path for file in self.files],
            f"{count_text(len(self.files), 'path')} cannot be collected:\n"
            f"{lines_text(self.files)}\n"
            "Delete or move it, or leave it out with collectstatic --ignore. It collects regular "
            "files and the targets of links.",
        )


class WrongEncoding(SourceError):
    """A bundler's encoding does not decode to its file, and has no other name."""

    def __init__(self, name: str, encoded: str) -> None:
        self.name = name
        self.encoded = encoded
        super().__init__(
            [encoded],
            f"{encoded} does not decode to {name}: one of the two is stale or damaged. Run the "
            f"bundler again, or leave its copy out with collectstatic --ignore '{encoded}'.",
        )
