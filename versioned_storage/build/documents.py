"""Style sheets, scripts and web app manifests with their references, and what is wrong in them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase

from ..text import lines_text
from .directory import Digest
from .manifest import Reason
from .portability import Portability
from .references import Reference, Syntax, line_of
from .references.modules import TooMuchWork
from .references.scanning import Scanners
from .resolver import Resolver, Target
from .source_errors import (
    BrokenReference,
    BrokenReferences,
    NotDecoded,
    NotUTF8,
    TooMuchToParse,
)
from .source_files import SourceFile

# Names like a broken reference's are searched among all names, so only for this many.
_HINTS = 50


class Notice(Enum):
    """What does not stop a build and is logged, with the places where it is."""

    SOURCE_MAP = "Source maps that do not exist, left as they are:"
    NOT_LOADED = (
        "References to missing files that browsers ignore (an @import after a rule, what follows "
        "//), left as they are:"
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
class SourceLine:
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass
class Document:
    """A file with references to assets; ``digest`` is that of the source.

    ``prehashed`` is the file itself if its bytes are final. ``variables`` are the custom properties
    that a style sheet uses, ``by_variables`` the assets that other style sheets refer to in them.
    """

    name: str
    text: str
    references: list[tuple[Reference, Target]]
    digest: Digest
    prehashed: SourceFile | None = None
    variables: frozenset[str] = frozenset()
    by_variables: frozenset[str] = frozenset()

    def depends_on(self) -> set[str]:
        """Return the assets that are decided and hashed before this one."""
        return {target.name for _, target in self.references} | self.by_variables


class DocumentReader:
    """Reads documents, and collects what is wrong in them until all have been read.

    ``ignore_missing`` holds ``"file-glob:reference-glob"`` entries.
    """

    def __init__(
        self,
        scanners: Scanners,
        resolver: Resolver,
        portability: Portability,
        *,
        ignore_missing: Iterable[str] = (),
        strict_source_maps: bool = False,
    ) -> None:
        self._scanners = scanners
        self._resolver = resolver
        self._portability = portability
        self._ignore_missing = [entry.partition(":") for entry in ignore_missing]
        self._strict_source_maps = strict_source_maps
        self._broken: list[BrokenReference] = []
        self._not_utf8: list[NotDecoded] = []
        self._notices: dict[Notice, list[BrokenReference | NotDecoded | SourceLine]] = {}

    @property
    def warnings(self) -> list[str]:
        """A message for each kind of notice, with its first ten places."""
        messages = []
        for notice in Notice:
            places = self._notices.get(notice, [])
            if places:
                title = notice.value.format(STATIC_URL=self._resolver.static_path)
                places = sorted(places, key=lambda place: (place.file, place.line))
                messages.append(f"{title}\n{lines_text(places)}")
        return messages

    def raise_errors(self) -> None:
        """Raise `NotUTF8` or `BrokenReferences` for all documents that were read."""
        if self._not_utf8:
            raise NotUTF8(self._not_utf8)
        if self._broken:
            raise BrokenReferences(self._broken)

    def may_compute_paths(self, name: str) -> bool:
        """Return True for scripts of a build, whether they are scanned or not."""
        return self._resolver.versioned and name.endswith((".js", ".mjs"))

    def note_computed_paths(self, source: SourceFile) -> None:
        """Note a script that joins STATIC_URL and a path, as Vite's ``base: "/static/"`` does."""
        root = self._resolver.static_path.encode()
        data = source.data or b""
        if root not in data:
            return
        literal = re.search(rb"""(["'`])%b(?:\1|\$\{)""" % re.escape(root), data)
        if literal:
            line = data.count(b"\n", 0, literal.start()) + 1
            self._note(Notice.COMPUTED_PATH, SourceLine(source.name, line))

    def parse(self, source: SourceFile) -> Document | None:
        """Return the document, or None if it has no references that change. Raises SourceError."""
        name, data = source.name, source.data or b""
        not_decoded: NotDecoded | None = None
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            not_decoded = NotDecoded.of(name, error)
            # References in ASCII are at the same place in any other encoding.
            text = data.decode("latin-1")
        references = self._scan(name, text)
        self._portability.judge(name, None if not_decoded else text, references)
        resolved = self._resolve(name, text, references)
        if not_decoded is not None:
            if resolved:
                self._not_utf8.append(not_decoded)
            else:
                self._note(Notice.NOT_UTF8, not_decoded)
            return None
        variables = self._portability.trace_variables(name, text, resolved)
        if not resolved and not variables:
            return None
        return Document(name, text, resolved, source.digest(), variables=variables)

    def judge(self, source: SourceFile) -> None:
        """Judge a file that has no references, and whose text decides whether it is portable."""
        self._portability.judge(source.name, _decoded(source.data or b""))

    def parse_prehashed(
        self, source: SourceFile, is_prehashed: Callable[[str], bool]
    ) -> Document | None:
        """Return a document whose references stay as they are, or None if it has none.

        Those lead to the same assets from a build and from the shared assets if the names of the
        other assets stay too; if not, the asset is bound.
        """
        name, text = source.name, _decoded(source.data or b"") or ""
        references, in_variables = [], []
        for reference in self._scan(name, text):
            target = self._resolver.find(name, reference.url)
            if target is None or target.name not in self._resolver.names:
                continue
            # In another style sheet too its URLs lead somewhere only if they do so here.
            in_variables.append((reference, replace(target, name=name)))
            if target.rooted or not is_prehashed(target.name):
                self._portability.bind_always(name, Reason.URL, reference.url)
            else:
                references.append((reference, target))
        variables = self._portability.trace_variables(name, text, in_variables)
        if not references and not variables:
            return None
        return Document(name, text, references, source.digest(), source, variables)

    def _scan(self, name: str, text: str) -> list[Reference]:
        try:
            return self._scanners.references(name, text)
        except TooMuchWork as error:
            raise TooMuchToParse(name) from error

    def _resolve(
        self, name: str, text: str, references: Iterable[Reference]
    ) -> list[tuple[Reference, Target]]:
        resolved = []
        for reference in references:
            if reference.syntax is Syntax.UNREAD:
                continue
            if reference.syntax is Syntax.UNPARSED:
                self._note(Notice.UNPARSED, SourceLine(name, line_of(text, reference.start)))
                continue
            target = self._resolver.find(name, reference.url)
            if target is None:
                if not self._resolver.leads_elsewhere(reference.url):
                    self._portability.bind_unless_vouched(name, Reason.URL, reference.url)
                self._note_directory(name, text, reference)
            elif target.name in self._resolver.names:
                resolved.append((reference, target))
            else:
                self._note_missing(name, text, reference, target)
        return resolved

    def _note(self, notice: Notice, place: BrokenReference | NotDecoded | SourceLine) -> None:
        self._notices.setdefault(notice, []).append(place)

    def _note_directory(self, name: str, text: str, reference: Reference) -> None:
        """Note an import of a directory, for which bundlers take its index.js."""
        if not reference.is_of_module or not reference.url.startswith("."):
            return
        target = self._resolver.find(name, f"{reference.url}/index.js")
        if target is not None and target.name in self._resolver.names:
            line = line_of(text, reference.start)
            directory = posixpath.dirname(target.name)
            broken = BrokenReference(name, line, reference.url, directory, (target.name,))
            self._note(Notice.FOR_A_BUNDLER, broken)

    def _note_missing(self, name: str, text: str, reference: Reference, target: Target) -> None:
        if not reference.is_source_map:
            self._portability.bind_unless_vouched(name, Reason.URL, reference.url)
        for file_glob, _, reference_glob in self._ignore_missing:
            if fnmatchcase(name, file_glob) and fnmatchcase(reference.url, reference_glob):
                return
        line = line_of(text, reference.start)
        broken = BrokenReference(name, line, reference.url, target.name)
        if reference.is_source_map and not self._strict_source_maps:
            self._note(Notice.SOURCE_MAP, broken)
        elif not reference.is_loaded:
            self._note(Notice.NOT_LOADED, broken)
        elif reference.is_of_module and (module := self._resolver.module_meant(target.name)):
            self._note(Notice.FOR_A_BUNDLER, replace(broken, near=(module,)))
        else:
            if not target.leads_out and len(self._broken) < _HINTS:
                broken = replace(broken, near=self._resolver.near(target.name, name))
            self._broken.append(broken)


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
