"""A hashed name for each asset, and every reference to it rewritten.

A file is hashed after all files that it refers to, so each is hashed once, at any depth. Files that
refer to each other in a cycle share one hash over the whole cycle.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO

from django.core.files.base import File

from .directory import BuildDirectory, Digest, digest_of
from .documents import Document, DocumentReader
from .graph import groups
from .manifest import Bound, Reason
from .portability import Portability
from .recipe import Recipe
from .references import rewrite
from .references.scanning import Scanners
from .resolver import Resolver, Target
from .source_errors import NameNotUTF8, NameTooLong
from .source_files import DigestedFile, SourceFile, Sources, chunks_of_bytes, read_all

# What the file systems of Linux and macOS allow, in bytes, and the suffix of an encoding.
_LONGEST_NAME = 255
_LONGEST_SUFFIX = 3

# What Python has in a name for bytes that are not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

# Django reads a name as a URL before it inserts the hash: a "#" in the name of a file would begin
# a fragment. Characters of the private use area replace those meanwhile.
_READ_AS_URL = frozenset("%#?")
_STAND_INS = {ord(character): 0xE000 + ord(character) for character in _READ_AS_URL}
_ORIGINALS = {stand_in: character for character, stand_in in _STAND_INS.items()}


@dataclass(frozen=True)
class Fingerprinted:
    """An asset's names and the digest of its bytes.

    ``source_digest`` is the digest before references were rewritten. ``is_written`` is True if a
    file of the asset was missing or different on disk. ``bound`` says why the asset is not shared,
    in a build with shared assets.
    """

    name: str
    hashed_name: str
    digest: Digest
    source_digest: Digest
    is_written: bool
    bound: Bound | None = None


@dataclass
class Fingerprinter:
    """Fingerprints sources into a build directory.

    ``name_hook`` is the method ``hashed_name`` of the storage. ``digests`` has those of originals
    that this run of collectstatic copied into the directory. ``ignore_missing`` holds
    ``"file-glob:reference-glob"`` entries.
    """

    sources: Sources
    recipe: Recipe
    name_hook: Callable[[str, File[bytes]], str]
    scanners: Scanners
    resolver: Resolver
    digests: Mapping[str, Digest] = field(default_factory=dict)
    ignore_missing: tuple[str, ...] = ()
    strict_source_maps: bool = False

    def __post_init__(self) -> None:
        self.prebuilt = self.recipe.prebuilt(self.sources)
        self.encodings_only = self.recipe.encodings_only(self.sources)
        self.warnings: list[str] = []

    def run(self, directory: BuildDirectory) -> Iterator[Fingerprinted]:
        """Fingerprint everything and set ``warnings``.

        Raises `NotUTF8` and `BrokenReferences` once all files are read, other SourceErrors at the
        first one.
        """
        return _Run(self, directory).fingerprint()


class _Run:
    """One run of a `Fingerprinter`, with what it has decided so far."""

    def __init__(self, fingerprinter: Fingerprinter, directory: BuildDirectory) -> None:
        self._fingerprinter = fingerprinter
        self._recipe = fingerprinter.recipe
        self._resolver = fingerprinter.resolver
        self._directory = directory
        self._portability = Portability(
            self._recipe, fingerprinter.scanners, fingerprinter.resolver
        )
        self._documents = DocumentReader(
            fingerprinter.scanners,
            fingerprinter.resolver,
            self._portability,
            ignore_missing=fingerprinter.ignore_missing,
            strict_source_maps=fingerprinter.strict_source_maps,
        )
        self._names_of_encodings = self._recipe.names_of_encodings(fingerprinter.sources)
        self._hashed_names = {name: name for name in fingerprinter.encodings_only}
        for name in fingerprinter.encodings_only:
            self._portability.bind_always(name, Reason.UNHASHED, name)

    def fingerprint(self) -> Iterator[Fingerprinted]:
        waiting: dict[str, Document] = {}
        sources = self._fingerprinter.sources
        names = [name for name in sources if name not in self._fingerprinter.encodings_only]
        _check_utf8(names)
        judged = set(filter(self._portability.needs_text, names))
        scanned = {name for name in names if self._is_scanned(name)}
        scripts = set(filter(self._documents.may_compute_paths, names))
        # Files without references first: then most documents need not wait for anything.
        names.sort(key=lambda name: (name in scanned, name))
        digests = self._fingerprinter.digests
        files = read_all(
            sources,
            names,
            in_memory=scanned | scripts | judged,
            digests=digests,
            directory=self._directory,
        )
        with closing(files):
            for source in files:
                if source.name in scripts:
                    self._documents.note_computed_paths(source)
                document = None
                if source.name in scanned:
                    document = self._documents.parse(source)
                elif source.name in judged and self._recipe.prehashed(source.name):
                    document = self._documents.parse_prehashed(source, self._recipe.prehashed)
                elif source.name in judged:
                    self._documents.judge(source)
                if document is None:
                    self._portability.decide([source.name])
                    yield self._finish_unchanged(source)
                elif not document.variables and document.depends_on() <= self._hashed_names.keys():
                    yield from self._finish_group([document])
                else:
                    waiting[source.name] = document
        self._fingerprinter.warnings = self._documents.warnings
        self._documents.raise_errors()
        for document in waiting.values():
            document.by_variables = self._portability.targets_of(document.variables)
        for group in groups({name: waiting[name].depends_on() for name in waiting}):
            yield from self._finish_group([waiting.pop(name) for name in group])

    def _is_scanned(self, name: str) -> bool:
        return self._fingerprinter.scanners.is_scanned(name) and not self._recipe.prehashed(name)

    def _finish_unchanged(self, source: SourceFile) -> Fingerprinted:
        """Write a file whose bytes are final; it is streamed, however large."""
        name, digest = source.name, source.digest()
        hashed_name = name
        if not self._recipe.prehashed(name):
            with DigestedFile(name, digest, source.open) as content:
                hashed_name = self._hashed_name(name, content)
        is_written = self._write(name, hashed_name, digest, source.chunks)
        return self._fingerprinted(name, hashed_name, digest, digest, is_written)

    def _finish(
        self, document: Document, data: bytes, hashed_name: str | None = None
    ) -> Fingerprinted:
        name, digest = document.name, digest_of((data,))
        if hashed_name is None:
            content = DigestedFile(name, digest, lambda: BytesIO(data))
            hashed_name = self._hashed_name(name, content)
        is_written = self._write(name, hashed_name, digest, lambda: chunks_of_bytes(data))
        return self._fingerprinted(name, hashed_name, digest, document.digest, is_written)

    def _fingerprinted(
        self, name: str, hashed_name: str, digest: Digest, source_digest: Digest, is_written: bool
    ) -> Fingerprinted:
        if not self._has_hash(name, hashed_name):
            self._portability.bind_always(name, Reason.UNHASHED, hashed_name)
        bound = self._portability.bound.get(name)
        return Fingerprinted(name, hashed_name, digest, source_digest, is_written, bound)

    def _has_hash(self, name: str, hashed_name: str) -> bool:
        return name != hashed_name or self._recipe.prehashed(name)

    def _finish_group(self, group: list[Document]) -> Iterator[Fingerprinted]:
        names = [document.name for document in group]
        targets = [target.name for document in group for _, target in document.references]
        targets += sorted(frozenset().union(*(document.by_variables for document in group)))
        self._portability.decide(names, targets)
        for document in group:
            if document.prehashed:
                yield self._finish_unchanged(document.prehashed)
        group = [document for document in group if not document.prehashed]
        if not group:
            return
        if len(group) == 1 and group[0].name not in group[0].depends_on():
            yield self._finish(group[0], self._rewritten(group[0], self._hashed_names))
            return
        hashed_names = self._hashed_names_of_cycle(group)
        unhashed = [name for name in hashed_names if not self._has_hash(name, hashed_names[name])]
        if unhashed:
            # That binds the whole cycle, whose files then spell their references differently.
            self._portability.bind_always(unhashed[0], Reason.UNHASHED, unhashed[0])
            self._portability.decide(hashed_names)
            hashed_names = self._hashed_names_of_cycle(group)
        all_names = self._hashed_names | hashed_names
        for document in group:
            data = self._rewritten(document, all_names)
            yield self._finish(document, data, hashed_names[document.name])

    def _hashed_names_of_cycle(self, group: list[Document]) -> dict[str, str]:
        # No file of a cycle can have its hashed name first, so all are named by the content of the
        # whole cycle, in which the references inside it have their original names.
        names = self._hashed_names | {document.name: document.name for document in group}
        cycle = b"".join(
            document.name.encode() + b"\0" + self._rewritten(document, names) + b"\0"
            for document in group
        )
        content = DigestedFile(group[0].name, digest_of((cycle,)), lambda: BytesIO(cycle))
        return {document.name: self._hashed_name(document.name, content) for document in group}

    def _rewritten(self, document: Document, names: Mapping[str, str]) -> bytes:
        def spelled(target: Target) -> str:
            prefix = self._portability.prefix_of(target.name)
            return self._resolver.spell(document.name, target, names[target.name], prefix)

        replacements = ((reference, spelled(target)) for reference, target in document.references)
        return rewrite(document.text, replacements).encode()

    def _hashed_name(self, name: str, content: File[bytes]) -> str:
        hook = self._fingerprinter.name_hook
        if _READ_AS_URL.isdisjoint(name):
            hashed_name = hook(name, content)
        else:
            hashed_name = hook(name.translate(_STAND_INS), content).translate(_ORIGINALS)
        hashed_name = hashed_name.replace("\\", "/")
        longest = max(map(len, hashed_name.encode().split(b"/")))
        if longest + _LONGEST_SUFFIX > _LONGEST_NAME:
            raise NameTooLong(name, hashed_name, _LONGEST_NAME)
        return hashed_name

    def _write(
        self,
        name: str,
        hashed_name: str,
        digest: Digest,
        chunks: Callable[[], Iterator[bytes]],
    ) -> bool:
        """Write the files of an asset; return False if nothing had to change."""
        directory = self._directory
        self._hashed_names[name] = hashed_name
        is_missing = not directory.holds(hashed_name, digest.size, chunks())
        if is_missing and (name != hashed_name and self._fingerprinter.digests.get(name) == digest):
            # collectstatic has just written the original, and we have its digest. In the neutral
            # layout it stays a file of its own, because the next collectstatic may write into it.
            is_versioned = self._recipe.build is not None
            (directory.link if is_versioned else directory.copy)(name, hashed_name)
            if is_versioned and self._recipe.keeps_original(name):
                return True
        elif is_missing:
            directory.write(hashed_name, chunks())
        return self._write_original(name, hashed_name, digest) or is_missing

    def _write_original(self, name: str, hashed_name: str, digest: Digest) -> bool:
        """Link or remove the file of the original name; return False if nothing had to change.

        Links that ``collectstatic --link`` made stay as they are.
        """
        directory = self._directory
        if name == hashed_name or name in self._names_of_encodings or directory.is_symlink(name):
            return False
        if not self._recipe.keeps_original(name):
            is_stale = directory.exists(name) and not self._is_hashed_copy(name, digest)
            if is_stale:
                directory.remove(name)
            return is_stale
        if self._recipe.build is None or directory.same_file(name, hashed_name):
            return False
        directory.link(hashed_name, name)
        return True

    def _is_hashed_copy(self, name: str, digest: Digest) -> bool:
        """Return True if this is the hashed name of another source with the same bytes."""
        stem, extension = posixpath.splitext(name)
        original = posixpath.splitext(stem)[0] + extension
        if original == name or original not in self._fingerprinter.sources:
            return False
        return self._hashed_name(original, DigestedFile(original, digest, BytesIO)) == name


def _check_utf8(names: Iterable[str]) -> None:
    for name in names:
        if _SURROGATE.search(name):
            raise NameNotUTF8(name)
