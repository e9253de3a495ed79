"""A hashed name for each asset, and every reference to it rewritten.

Files are settled in the order of their references, so each is hashed when all that it refers to
has its final name: one pass, whatever the depth. Files that refer to each other in a cycle share
one hash over the whole cycle.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from io import BytesIO

from django.core.files.base import File

from ..text import lines_text
from .directory import BuildDirectory, Digest, digest_of
from .graph import groups
from .references import Reference, Syntax, line_of, rewrite
from .references.modules import TooMuchWork
from .references.scanning import Scanners
from .resolver import Resolver, Target
from .source_errors import (
    BrokenReference,
    BrokenReferences,
    NameNotUTF8,
    NameTooLong,
    NotDecoded,
    NotUTF8,
    TooMuchToParse,
)
from .source_files import DigestedFile, Source, Sources, chunks_of_bytes, read_all

_HINTS = 50
# What the file systems of Linux and macOS take, less the suffix of an encoding, in bytes.
_LONGEST_NAME = 255
_LONGEST_SUFFIX = 3


class Notice(Enum):
    """What is in the sources that does not stop a build, as the log says it."""

    SOURCE_MAP = "Source maps that are not there, left as they are:"
    NOT_LOADED = (
        "References to what is not there, in places that browsers drop (an @import after a rule, "
        "what two slashes begin), left as they are:"
    )
    FOR_A_BUNDLER = (
        "Imports that only a bundler completes, left as they are. No browser can load these "
        "modules; if no page does, leave them out with collectstatic --ignore:"
    )
    UNPARSED = "What looks like an import of an ES module and cannot be parsed, left as it is:"
    NOT_UTF8 = (
        "Files that are not UTF-8, left as they are because they refer to no other file. They are "
        "served as UTF-8:"
    )
    COMPUTED_PATH = (
        'Scripts that put "{STATIC_URL}" before paths of their own, which then lead out of every '
        'build. With Vite set base: "./", with webpack publicPath: "auto":'
    )


@dataclass(frozen=True)
class Place:
    """A line in a file of the sources."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


Line = BrokenReference | NotDecoded | Place


@dataclass(frozen=True)
class Fingerprinted:
    """An asset's names and what its bytes are known by.

    ``source`` is the digest before references were rewritten, ``written`` says that its files were
    not there yet.
    """

    name: str
    hashed_name: str
    digest: Digest
    source: Digest
    written: bool


@dataclass
class _Document:
    """A file that waits for its references to be settled."""

    name: str
    text: str
    references: list[tuple[Reference, Target]]
    source: Digest

    def depends_on(self) -> set[str]:
        return {target.name for _, target in self.references}


@dataclass
class Fingerprinter:
    """Fingerprints the sources of one run into a build directory.

    ``hashed_name`` is the storage's hook of that name. ``collected`` holds the digests of the
    originals that this very run has copied into the directory. ``prehashed`` says which names
    carry a hash already. ``without_original`` are the names that belong to an encoding of another
    file, so that nothing is put there. ``ignore_missing`` holds ``"file-glob:reference-glob"``
    entries.
    """

    sources: Sources
    directory: BuildDirectory
    hashed_name: Callable[[str, File[bytes]], str]
    scanners: Scanners
    resolver: Resolver
    collected: Mapping[str, Digest] = field(default_factory=dict)
    prehashed: Callable[[str], bool] = lambda _: False
    ignore_missing: tuple[str, ...] = ()
    strict_source_maps: bool = False
    keep_originals: bool = True
    without_original: Collection[str] = frozenset()

    def __post_init__(self) -> None:
        self._broken: list[BrokenReference] = []
        self._not_utf8: list[NotDecoded] = []
        self._settled: dict[str, str] = {}
        self._noticed: dict[Notice, list[Line]] = {}

    @property
    def warnings(self) -> list[str]:
        """What the run saw in the sources that does not stop a build, a sentence for each kind."""
        warnings = []
        for notice in Notice:
            lines = self._noticed.get(notice, [])
            if lines:
                kind = notice.value.format(STATIC_URL=self.resolver.static_path)
                lines = sorted(lines, key=lambda line: (line.file, line.line))
                warnings.append(f"{kind}\n{lines_text(lines)}")
        return warnings

    def run(self) -> Iterator[Fingerprinted]:
        """Fingerprint everything.

        Raises `NotUTF8` and `BrokenReferences` once all files are read, other errors of the
        sources at the first one.
        """
        waiting: dict[str, _Document] = {}
        scanned = {name for name in self.sources if self._is_scanned(name)}
        looked_at = scanned | set(filter(self._may_compute_paths, self.sources))
        # Leaves first: most of what has references then has no need to wait, nor to be kept.
        names = sorted(self.sources, key=lambda name: (name in scanned, name))
        _check_utf8(names)
        with closing(read_all(self.sources, names, whole=looked_at, known=self.collected)) as read:
            for source in read:
                if source.name in looked_at:
                    self._note_computed_paths(source)
                document = self._document(source) if source.name in scanned else None
                if document is None:
                    yield self._settle_as_it_is(source)
                elif document.depends_on() <= self._settled.keys():
                    yield self._settle(document, self._rewritten(document, self._settled))
                else:
                    waiting[source.name] = document
        if self._not_utf8:
            raise NotUTF8(self._not_utf8)
        if self._broken:
            raise BrokenReferences(self._broken)
        for group in groups({name: waiting[name].depends_on() for name in waiting}):
            yield from self._settle_group([waiting.pop(name) for name in group])

    def _is_scanned(self, name: str) -> bool:
        return self.scanners.read(name) and not self.prehashed(name)

    def _may_compute_paths(self, name: str) -> bool:
        return self.resolver.versioned and name.endswith((".js", ".mjs"))

    def _note_computed_paths(self, source: Source) -> None:
        root = self.resolver.static_path.encode()
        data = source.data or b""
        if root in data and self._may_compute_paths(source.name):
            literal = re.search(rb"""(["'`])%b(?:\1|\$\{)""" % re.escape(root), data)
            if literal:
                line = data.count(b"\n", 0, literal.start()) + 1
                self._notice(Notice.COMPUTED_PATH, Place(source.name, line))

    def _notice(self, notice: Notice, line: Line) -> None:
        self._noticed.setdefault(notice, []).append(line)

    def _document(self, source: Source) -> _Document | None:
        """The file and its references; None where it has none."""
        name, data = source.name, source.data or b""
        undecoded: NotDecoded | None = None
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            undecoded = NotDecoded.of(name, error)
            # References in ASCII are where they would be in any other encoding.
            text = data.decode("latin-1")
        try:
            in_text = self.scanners.references(name, text)
        except TooMuchWork as error:
            raise TooMuchToParse(name) from error
        references = []
        for reference in in_text:
            if reference.syntax is Syntax.UNPARSED:
                self._notice(Notice.UNPARSED, Place(name, line_of(text, reference.start)))
                continue
            target = self.resolver.find(name, reference.url)
            if target is None:
                self._note_directory(name, text, reference)
            elif target.name in self.resolver.names:
                references.append((reference, target))
            else:
                self._note_missing(name, text, reference, target)
        if undecoded is not None:
            if references:
                self._not_utf8.append(undecoded)
            else:
                self._notice(Notice.NOT_UTF8, undecoded)
            return None
        return _Document(name, text, references, source.digest()) if references else None

    def _note_directory(self, name: str, text: str, reference: Reference) -> None:
        """Note a module that means the index of a directory, as only bundlers do."""
        if not reference.is_of_module or not reference.url.startswith("."):
            return
        target = self.resolver.find(name, f"{reference.url}/index.js")
        if target is not None and target.name in self.resolver.names:
            meant = posixpath.dirname(target.name)
            line = line_of(text, reference.start)
            missing = BrokenReference(name, line, reference.url, meant, (target.name,))
            self._notice(Notice.FOR_A_BUNDLER, missing)

    def _note_missing(self, name: str, text: str, reference: Reference, target: Target) -> None:
        for entry in self.ignore_missing:
            file_glob, _, reference_glob = entry.partition(":")
            if fnmatchcase(name, file_glob) and fnmatchcase(reference.url, reference_glob):
                return
        line = line_of(text, reference.start)
        missing = BrokenReference(name, line, reference.url, target.name)
        if reference.is_source_map and not self.strict_source_maps:
            self._notice(Notice.SOURCE_MAP, missing)
        elif not reference.is_loaded:
            self._notice(Notice.NOT_LOADED, missing)
        elif reference.is_of_module and (module := self.resolver.module_meant(target.name)):
            self._notice(Notice.FOR_A_BUNDLER, replace(missing, near=(module,)))
        else:
            # The search for near names goes over all names, which a tree of broken ones cannot
            # afford.
            if not target.leads_out and len(self._broken) < _HINTS:
                missing = replace(missing, near=self.resolver.near(target.name, name))
            self._broken.append(missing)

    def _settle_as_it_is(self, source: Source) -> Fingerprinted:
        """A file whose bytes are final, however large: it is streamed."""
        name, digest = source.name, source.digest()
        hashed_name = name
        if not self.prehashed(name):
            with DigestedFile(name, digest, source.open) as content:
                hashed_name = self._hashed_name(name, content)
        written = self._place(name, hashed_name, digest, source.chunks)
        return Fingerprinted(name, hashed_name, digest, digest, written)

    def _settle(
        self, document: _Document, data: bytes, hashed_name: str | None = None
    ) -> Fingerprinted:
        name, digest = document.name, digest_of((data,))
        if hashed_name is None:
            content = DigestedFile(name, digest, lambda: BytesIO(data))
            hashed_name = self._hashed_name(name, content)
        written = self._place(name, hashed_name, digest, lambda: chunks_of_bytes(data))
        return Fingerprinted(name, hashed_name, digest, document.source, written)

    def _settle_group(self, group: list[_Document]) -> Iterator[Fingerprinted]:
        cyclic = len(group) > 1 or group[0].name in group[0].depends_on()
        if not cyclic:
            (document,) = group
            yield self._settle(document, self._rewritten(document, self._settled))
            return
        # Nobody in a cycle can have a final name first, so all of them are named by one content:
        # that of the whole cycle, in which the references inside it have their original names.
        names = self._settled | {document.name: document.name for document in group}
        whole = b"".join(
            document.name.encode() + b"\0" + self._rewritten(document, names) + b"\0"
            for document in group
        )
        content = DigestedFile(group[0].name, digest_of((whole,)), lambda: BytesIO(whole))
        hashed_names = {doc.name: self._hashed_name(doc.name, content) for doc in group}
        names = self._settled | hashed_names
        for document in group:
            data = self._rewritten(document, names)
            yield self._settle(document, data, hashed_names[document.name])

    def _rewritten(self, document: _Document, names: Mapping[str, str]) -> bytes:
        replacements = (
            (
                reference,
                self.resolver.spell(document.name, target, names[target.name]),
            )
            for reference, target in document.references
        )
        return rewrite(document.text, replacements).encode()

    def _hashed_name(self, name: str, content: File[bytes]) -> str:
        if _READ_AS_URL.isdisjoint(name):
            hashed_name = self.hashed_name(name, content)
        else:
            stood_for = self.hashed_name(name.translate(_STAND_INS), content)
            hashed_name = stood_for.translate(_STOOD_FOR)
        hashed_name = hashed_name.replace("\\", "/")
        longest = max(map(len, hashed_name.encode().split(b"/")))
        if longest + _LONGEST_SUFFIX > _LONGEST_NAME:
            raise NameTooLong(name, hashed_name, _LONGEST_NAME)
        return hashed_name

    def _is_hashed_copy(self, name: str, digest: Digest) -> bool:
        """Whether another source with the same bytes has this as its hashed name."""
        stem, extension = posixpath.splitext(name)
        original = posixpath.splitext(stem)[0] + extension
        if original == name or original not in self.sources:
            return False
        content = DigestedFile(original, digest, BytesIO)
        return self._hashed_name(original, content) == name

    def _place(
        self,
        name: str,
        hashed_name: str,
        digest: Digest,
        chunks: Callable[[], Iterator[bytes]],
    ) -> bool:
        """Bring the files of an asset about; False when they were there."""
        directory, versioned = self.directory, self.resolver.versioned
        self._settled[name] = hashed_name
        missing = not directory.holds(hashed_name, digest.size, chunks())
        if missing:
            if name != hashed_name and self.collected.get(name) == digest:
                # We wrote and digested the original a moment ago. In the neutral layout it stays
                # a file of its own, because the next collectstatic may write into it.
                (directory.link if versioned else directory.copy)(name, hashed_name)
            else:
                directory.write(hashed_name, chunks())
        if name == hashed_name or name in self.without_original:
            stale = False
        elif not self.keep_originals:
            stale = (
                directory.exists(name)
                and not directory.is_symlink(name)
                and not self._is_hashed_copy(name, digest)
            )
            if stale:
                directory.remove(name)
        else:
            # collectstatic --link: the original stays what the user asked for.
            stale = (
                versioned
                and not directory.same_file(name, hashed_name)
                and not directory.is_symlink(name)
            )
            if stale:
                directory.link(hashed_name, name)
        return missing or stale


# What Python puts for the bytes of a name that are not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

# Django reads a name as a URL before it puts the hash in: a "#" in the name of a file would begin
# a fragment. Characters of the private use area stand in for those until it is done.
_READ_AS_URL = frozenset("%#?")
_STAND_INS = {ord(character): 0xE000 + ord(character) for character in _READ_AS_URL}
_STOOD_FOR = {stand_in: original for original, stand_in in _STAND_INS.items()}


def _check_utf8(names: Iterable[str]) -> None:
    for name in names:
        if _SURROGATE.search(name):
            raise NameNotUTF8(name)
