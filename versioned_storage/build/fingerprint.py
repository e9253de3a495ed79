"""A hashed name for each asset, and every reference to it rewritten.

Files are settled in the order of their references, so each is hashed when all that it refers to
has its final name: one pass, whatever the depth. Files that refer to each other in a cycle share
one hash over the whole cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from io import BytesIO

from django.core.files.base import File

from .directory import BuildDirectory, Digest, digest_of
from .files import DigestedFile
from .graph import groups
from .problems import BrokenReference, BrokenReferences, NotUTF8
from .references import Reference, line_of, rewrite
from .references.scanning import Scanners
from .sources import Source, Sources, chunks_of_bytes, read_all
from .targets import Target, Targets

_HINTS = 50


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
    carry a hash already. ``ignore_missing`` holds ``"file-glob:reference-glob"`` entries.
    """

    sources: Sources
    directory: BuildDirectory
    hashed_name: Callable[[str, File[bytes]], str]
    scanners: Scanners
    targets: Targets
    collected: Mapping[str, Digest] = field(default_factory=dict)
    prehashed: Callable[[str], bool] = lambda _: False
    ignore_missing: tuple[str, ...] = ()
    strict_source_maps: bool = False
    keep_originals: bool = True

    def __post_init__(self) -> None:
        self.missing_source_maps: list[BrokenReference] = []
        self._broken: list[BrokenReference] = []
        self._settled: dict[str, str] = {}

    def run(self) -> Iterator[Fingerprinted]:
        """Fingerprint everything. Raises `BrokenReferences` once all files are read."""
        waiting: dict[str, _Document] = {}
        scanned = {name for name in self.sources if self._is_scanned(name)}
        # Leaves first: most of what has references then has no need to wait, nor to be kept.
        names = sorted(self.sources, key=lambda name: (name in scanned, name))
        with closing(read_all(self.sources, names, whole=scanned, known=self.collected)) as read:
            for source in read:
                document = self._document(source) if source.name in scanned else None
                if document is None:
                    yield self._settle_as_it_is(source)
                elif document.depends_on() <= self._settled.keys():
                    yield self._settle(document, self._rewritten(document, self._settled))
                else:
                    waiting[source.name] = document
        if self._broken:
            raise BrokenReferences(self._broken)
        for group in groups({name: waiting[name].depends_on() for name in waiting}):
            yield from self._settle_group([waiting.pop(name) for name in group])

    def _is_scanned(self, name: str) -> bool:
        return self.scanners.read(name) and not self.prehashed(name)

    def _document(self, source: Source) -> _Document | None:
        """The file and its references; None where it has none."""
        name = source.name
        try:
            text = (source.data or b"").decode()
        except UnicodeDecodeError as error:
            raise NotUTF8(name, error) from error
        references = []
        for reference in self.scanners.references(name, text):
            target = self.targets.find(name, reference.url)
            if target is None:
                continue
            if target.name in self.targets.names:
                references.append((reference, target))
            else:
                self._note_missing(name, text, reference, target)
        return _Document(name, text, references, source.digest()) if references else None

    def _note_missing(self, name: str, text: str, reference: Reference, target: Target) -> None:
        for entry in self.ignore_missing:
            file_glob, _, reference_glob = entry.partition(":")
            if fnmatchcase(name, file_glob) and fnmatchcase(reference.url, reference_glob):
                return
        line = line_of(text, reference.start)
        missing = BrokenReference(name, line, reference.url, target.name)
        if reference.is_source_map and not self.strict_source_maps:
            self.missing_source_maps.append(missing)
            return
        # The search for near names goes over all names, which a tree of broken ones cannot afford.
        if not target.leads_out and len(self._broken) < _HINTS:
            missing = replace(missing, near=self.targets.near(target.name))
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
                self.targets.spell(document.name, target, names[target.name]),
            )
            for reference, target in document.references
        )
        return rewrite(document.text, replacements).encode()

    def _hashed_name(self, name: str, content: File[bytes]) -> str:
        if _READ_AS_URL.isdisjoint(name):
            return self.hashed_name(name, content).replace("\\", "/")
        hashed_name = self.hashed_name(name.translate(_STAND_INS), content)
        return hashed_name.translate(_STOOD_FOR).replace("\\", "/")

    def _place(
        self,
        name: str,
        hashed_name: str,
        digest: Digest,
        chunks: Callable[[], Iterator[bytes]],
    ) -> bool:
        """Bring the files of an asset about; False when they were there."""
        directory, versioned = self.directory, self.targets.versioned
        self._settled[name] = hashed_name
        missing = not directory.holds(hashed_name, digest.size, chunks())
        if missing:
            if name != hashed_name and self.collected.get(name) == digest:
                # We wrote and digested the original a moment ago. In the neutral layout it stays
                # a file of its own, because the next collectstatic may write into it.
                (directory.link if versioned else directory.copy)(name, hashed_name)
            else:
                directory.write(hashed_name, chunks())
        if name == hashed_name:
            stale = False
        elif not self.keep_originals:
            stale = directory.exists(name) and not directory.is_symlink(name)
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


# Django reads a name as a URL before it puts the hash in: a "#" in the name of a file would begin
# a fragment. Characters of the private use area stand in for those until it is done.
_READ_AS_URL = frozenset("%#?")
_STAND_INS = {ord(character): 0xE000 + ord(character) for character in _READ_AS_URL}
_STOOD_FOR = {stand_in: original for original, stand_in in _STAND_INS.items()}
