"""A whole build from its sources: fingerprinted, compressed, recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from django.core.files.storage import Storage

from ..constants import ENCODINGS, is_eligible
from ..progress import logger, track
from ..text import bytes_text, count_text
from .compression import Compressed, Opener, Work, compress, decodes_to
from .directory import BuildDirectory, Digest
from .fingerprint import Fingerprinted
from .manifest import (
    Asset,
    Manifest,
    content_digest,
    content_type,
    differences,
    names_of_encodings,
)
from .source_errors import BuildIsComplete, NameCollision, WrongEncoding, stale_encodings_text
from .source_files import Sources

#: The sizes of encodings that S3 has, by the integrity of their asset and their name.
Elsewhere = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Recipe:
    """What decides, beside the sources, which files a build has."""

    build: str | None
    encodings: tuple[str, ...]
    skip_compress_extensions: tuple[str, ...]
    keep_originals: bool

    @property
    def encoders(self) -> dict[str, dict[str, int]]:
        """How each encoding is made; recorded in the manifest."""
        return {name: dict(ENCODINGS[name].settings) for name in self.encodings}

    def eligible(self, name: str) -> bool:
        return is_eligible(name, self.skip_compress_extensions)


@dataclass(frozen=True)
class Collected:
    """The sources of a build, and what a bundler encoded of them.

    ``prebuilt`` has, by the name of an asset and the name of an encoding, the source that may be
    that asset in that encoding. It is an asset of its own too, except where its name is prehashed:
    then it has no other name than that of the encoding, and is listed in ``encodings_only``.
    """

    assets: Sources
    prebuilt: Mapping[str, Mapping[str, tuple[Storage, str]]] = field(default_factory=dict)
    encodings_only: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, sources: Sources, recipe: Recipe, prehashed: Callable[[str], bool] = lambda _: False
    ) -> Collected:
        prebuilt: dict[str, dict[str, tuple[Storage, str]]] = {}
        encodings_only = set()
        for encoding in recipe.encodings:
            suffix = ENCODINGS[encoding].suffix
            for name, source in sources.items():
                encoded = name.removesuffix(suffix)
                if encoded != name and encoded in sources and recipe.eligible(encoded):
                    prebuilt.setdefault(encoded, {})[encoding] = source
                    if prehashed(name):
                        encodings_only.add(name)
        assets = {name: sources[name] for name in sources if name not in encodings_only}
        return cls(assets, prebuilt, frozenset(encodings_only))


@dataclass(frozen=True)
class Base:
    """An earlier build on this disk, whose encodings need not be made again."""

    manifest: Manifest
    directory: BuildDirectory

    def encodings_by_content(self) -> dict[str, dict[str, Opener]]:
        """What opens each encoding, by the integrity of its asset, if it was made as we make it."""
        alike = [
            encoding
            for encoding, made in self.manifest.encoders.items()
            if encoding in ENCODINGS and made == ENCODINGS[encoding].settings
        ]
        return {
            asset.integrity: {
                encoding: _opener(
                    self.directory.path(asset.hashed_name + ENCODINGS[encoding].suffix)
                )
                for encoding in alike
                if encoding in asset.encodings
            }
            for asset in self.manifest.assets.values()
        }


@dataclass(frozen=True)
class Built:
    """What a run made: each asset, what was compressed, and the manifest of it all."""

    done: tuple[Fingerprinted, ...]
    manifest: Manifest
    compressed: tuple[Compressed, ...]
    seconds: float

    def summary(self, place: object) -> str:
        """One line for whoever runs the deploy."""
        manifest = self.manifest
        assets = manifest.assets.values()
        sizes = [bytes_text(sum(asset.size for asset in assets))]
        for name in manifest.encoders:
            encoded = sum(asset.encodings.get(name, 0) for asset in assets)
            sizes.append(f"{name} {bytes_text(encoded)}")
        reused = sum(len(one.reused) for one in self.compressed)
        made = sum(len(one.sizes) for one in self.compressed) - reused
        return (
            f"{self._which} in {place}: {count_text(len(assets), 'asset')} ({', '.join(sizes)}), "
            f"{self._written:,} written, {count_text(made, 'encoding')} compressed, "
            f"{reused:,} reused, "
            f"{self.seconds:.1f} s"
        )

    def forecast(self, place: object) -> str:
        """The same for a dry run, which compresses nothing and so knows no sizes of encodings."""
        assets = self.manifest.assets.values()
        size = bytes_text(sum(asset.size for asset in assets))
        return (
            f"Would build: {self._which} in {place}: {count_text(len(assets), 'asset')} ({size}), "
            f"{self._written:,} to be written"
        )

    @property
    def _which(self) -> str:
        return f"Build {self.manifest.build}" if self.manifest.build else "Static files"

    @property
    def _written(self) -> int:
        return sum(one.written for one in self.done)


def assemble(
    sources: Sources,
    directory: BuildDirectory,
    recipe: Recipe,
    fingerprint: Callable[[Sources, BuildDirectory], Iterator[Fingerprinted]],
    *,
    prehashed: Callable[[str], bool] = lambda _: False,
    complete: Manifest | None = None,
    base: Base | None = None,
    elsewhere: Elsewhere | None = None,
    dry_run: bool = False,
) -> Built:
    """Make the build of ``sources``; the manifest that records it is left to the caller to write.

    ``complete`` is the manifest of a build that is in ``directory`` already and must not change:
    with other sources this raises `BuildIsComplete` before anything is touched. What ``base`` has
    encoded of the same content is copied instead of compressed again, and what is ``elsewhere`` is
    not even that: the sizes of encodings, by the integrity of their asset. Raises SourceError
    for what is wrong with the sources, `CannotWrite` for what is wrong with the disk.
    """
    started = time.monotonic()
    collected = Collected.of(sources, recipe, prehashed)

    def fingerprinted(where: BuildDirectory) -> tuple[Fingerprinted, ...]:
        one_by_one = fingerprint(collected.assets, where)
        total = len(collected.assets)
        done = tuple(track(one_by_one, total=total, doing="Fingerprinting", unit="files"))
        check_names(done, recipe)
        return done

    if dry_run or complete is not None:
        done = fingerprinted(directory.untouched())
        manifest = record(done, recipe, collected)
        if complete is not None and manifest.content != complete.content:
            differ = differences(complete, manifest)
            raise BuildIsComplete(str(recipe.build), str(directory.root), differ)
    if not dry_run and (complete is None or any(one.written for one in done)):
        done = fingerprinted(directory)
        manifest = record(done, recipe, collected)
    found = works(done, collected, directory, recipe, base, elsewhere)
    compressed: list[Compressed] = []
    if not dry_run:
        one_by_one = compress(found, directory, recipe.encodings)
        compressed.extend(track(one_by_one, total=len(found), doing="Compressing", unit="files"))
        if not recipe.keep_originals:
            _remove_prebuilt(collected, directory)
    manifest = with_encodings(manifest, compressed)
    return Built(done, manifest, tuple(compressed), time.monotonic() - started)


def check_names(done: Iterable[Fingerprinted], recipe: Recipe) -> None:
    """Raise `NameCollision` where two assets would be the same file with different bytes."""
    done = tuple(done)
    encoded = names_of_encodings(
        (one.name for one in done), recipe.encodings, recipe.skip_compress_extensions
    )
    owners: dict[str, tuple[str | None, Digest, str]] = {}
    collisions: dict[tuple[str, str], str] = {}
    for one in done:
        original = one.source if recipe.build is None else one.digest
        names = {one.hashed_name: one.digest}
        if recipe.keep_originals:
            names.setdefault(one.name, original)
        encodings = recipe.encodings if recipe.eligible(one.name) else ()
        for name, digest in names.items():
            for encoding in (None, *encodings):
                if encoding is None and name == one.name != one.hashed_name and name in encoded:
                    continue
                path = name + (ENCODINGS[encoding].suffix if encoding else "")
                owner = owners.setdefault(path, (encoding, digest, one.name))
                if owner[:2] != (encoding, digest):
                    collisions.setdefault((owner[2], one.name), path)
    if collisions:
        raise NameCollision([(*names, path) for names, path in collisions.items()])


def record(
    done: Iterable[Fingerprinted], recipe: Recipe, collected: Collected | None = None
) -> Manifest:
    """The manifest of what was fingerprinted, without its encodings yet."""
    encodings_only = collected.encodings_only if collected else frozenset()
    assets = [
        Asset(
            name=one.name,
            hashed_name=one.hashed_name,
            build=recipe.build,
            size=one.digest.size,
            integrity=one.digest.integrity,
            content_type=content_type(one.name),
        )
        for one in sorted(done, key=lambda one: one.name)
    ]
    shaped_by = {
        "encodings": recipe.encodings,
        "keep_originals": recipe.keep_originals,
        "skip_compress_extensions": recipe.skip_compress_extensions,
    }
    return Manifest(
        paths={
            **{asset.name: asset.hashed_name for asset in assets},
            **{name: name for name in encodings_only},
        },
        build=recipe.build,
        content=content_digest(assets, shaped_by),
        encoders=recipe.encoders,
        skip_compress_extensions=recipe.skip_compress_extensions,
        keep_originals=recipe.keep_originals,
        assets={asset.hashed_name: asset for asset in assets},
    )


def works(
    done: Iterable[Fingerprinted],
    collected: Collected,
    directory: BuildDirectory,
    recipe: Recipe,
    base: Base | None = None,
    elsewhere: Elsewhere | None = None,
) -> list[Work]:
    """What there is to compress, each content once. Raises `WrongEncoding`."""
    found: dict[Digest, tuple[dict[str, None], dict[str, Opener]]] = {}
    encoded = names_of_encodings(
        collected.assets, recipe.encodings, recipe.skip_compress_extensions
    )
    stale: list[str] = []
    for one in done:
        if not recipe.encodings or not recipe.eligible(one.name):
            continue
        prebuilt = _prebuilt(one, collected, stale)
        files = {one.hashed_name: one.digest}
        is_kept = recipe.keep_originals and one.name not in encoded
        if is_kept and not directory.path(one.name).is_symlink():
            # In the neutral layout an original is as its source is, references and all.
            files.setdefault(one.name, one.source if recipe.build is None else one.digest)
        for name, digest in files.items():
            names, openers = found.setdefault(digest, ({}, {}))
            names[name] = None
            if digest == one.source:
                openers.update(prebuilt)
    if stale:
        logger.warning("%s", stale_encodings_text(stale))
    of_base = base.encodings_by_content() if base else {}
    return [
        Work(
            tuple(names),
            digest,
            prebuilt,
            of_base.get(digest.integrity, {}),
            (elsewhere or {}).get(digest.integrity, {}),
        )
        for digest, (names, prebuilt) in found.items()
    ]


def _prebuilt(one: Fingerprinted, collected: Collected, stale: list[str]) -> dict[str, Opener]:
    """What opens the encodings that a bundler made of this asset's source.

    Those that are not of it are added to ``stale``. Raises `WrongEncoding` for one that has no
    other name.
    """
    prebuilt: dict[str, Opener] = {}
    for name, source in collected.prebuilt.get(one.name, {}).items():
        encoding = ENCODINGS[name]
        opener = partial(_open, source)
        if decodes_to(opener, encoding, one.source):
            prebuilt[name] = opener
        elif one.name + encoding.suffix in collected.encodings_only:
            raise WrongEncoding(one.name, one.name + encoding.suffix)
        else:
            stale.append(one.name + encoding.suffix)
    return prebuilt


def _remove_prebuilt(collected: Collected, directory: BuildDirectory) -> None:
    """Take away what collectstatic copied of a bundler's encodings, under their original names."""
    for name, encodings in collected.prebuilt.items():
        for encoding in encodings:
            copied = name + ENCODINGS[encoding].suffix
            if copied not in collected.encodings_only and not directory.is_symlink(copied):
                directory.remove(copied)


def with_encodings(manifest: Manifest, compressed: Iterable[Compressed]) -> Manifest:
    """The manifest with the sizes of the encodings that were made."""
    sizes = {name: one.sizes for one in compressed for name in one.work.names}
    assets = {
        hashed_name: replace(asset, encodings=dict(sizes[hashed_name]))
        if hashed_name in sizes
        else asset
        for hashed_name, asset in manifest.assets.items()
    }
    return replace(manifest, assets=assets)


def _opener(path: Path) -> Opener:
    return lambda: path.open("rb")


def _open(source: tuple[Storage, str]) -> AbstractContextManager[BinaryIO]:
    storage, path = source
    return storage.open(path)
