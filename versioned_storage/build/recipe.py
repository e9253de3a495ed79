"""The options that decide which files a build has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..constants import ENCODINGS, is_eligible
from .manifest import keeps_original, matches_globs, names_of_encodings
from .source_files import SourceLocation, Sources


@dataclass(frozen=True)
class Recipe:
    """The options that, with the sources, decide which files a build has.

    ``build`` is None in the neutral layout. ``prehashed`` returns True for names that already
    contain a hash. ``shared_prefix`` is empty without shared assets; ``shared_globs`` are those of
    the option ``shared_assets``. ``encodings`` has the qualities that the site has set, by
    encoding and glob.
    """

    build: str | None
    encodings: Mapping[str, Mapping[str, int]]
    skip_compress_extensions: tuple[str, ...]
    keep_originals: bool | tuple[str, ...]
    prehashed: Callable[[str], bool] = lambda _: False
    shared_prefix: str = ""
    shared_globs: tuple[str, ...] = ()

    @property
    def encoders(self) -> dict[str, dict[str, int]]:
        """The settings of each encoder, as the manifest records them."""
        return {name: dict(ENCODINGS[name].settings) for name in self.encodings}

    def is_eligible(self, name: str) -> bool:
        """Return True if a file of this name is encoded."""
        return bool(self.encodings) and is_eligible(name, self.skip_compress_extensions)

    def quality(self, name: str) -> dict[str, int]:
        """Return the quality of each encoding of a file of this name.

        Of several globs that match, the last one counts.
        """
        return {encoding: ENCODINGS[encoding].quality for encoding in self.encodings} | {
            encoding: quality
            for encoding, globs in self.encodings.items()
            for glob, quality in globs.items()
            if fnmatchcase(name, glob)
        }

    def keeps_original(self, name: str) -> bool:
        """Return True if the build serves the file under its original name too."""
        return keeps_original(self.keep_originals, name)

    def vouches_for(self, name: str) -> bool:
        """Return True if a glob of ``shared_assets`` names the file."""
        return bool(self.shared_globs) and matches_globs(name, self.shared_globs)

    def excluded_by(self, name: str) -> str | None:
        """Return the ``"!glob"`` of ``shared_assets`` that takes the file out, or None."""
        for glob in self.shared_globs:
            if glob.startswith("!") and fnmatchcase(name, glob[1:]):
                return glob
        return None

    def names_of_encodings(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of the encodings of files of these names."""
        return names_of_encodings(names, self.encodings, self.skip_compress_extensions)

    def prebuilt(self, sources: Sources) -> dict[str, dict[str, SourceLocation]]:
        """Return what a bundler may have encoded, by the name of the asset and the encoding."""
        prebuilt: dict[str, dict[str, SourceLocation]] = {}
        for encoding in self.encodings:
            suffix = ENCODINGS[encoding].suffix
            for name, location in sources.items():
                asset_name = name.removesuffix(suffix)
                if asset_name != name and asset_name in sources and self.is_eligible(asset_name):
                    prebuilt.setdefault(asset_name, {})[encoding] = location
        return prebuilt

    def encodings_only(self, sources: Sources) -> frozenset[str]:
        """Return the sources that are an encoding of another one and have no name of their own.

        Those are the prehashed ones: their hashed name is the path of the encoding.
        """
        return frozenset(filter(self.prehashed, self.names_of_encodings(sources) & sources.keys()))
