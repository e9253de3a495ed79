"""A build from its sources: fingerprinted, compressed and recorded in a manifest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, TypeVar

from ..constants import ENCODINGS
from ..errors import VersionedStorageError
from ..progress import logger, track
from ..text import bytes_text, count_text
from .compression import EncodingJob, Opener, compress, decodes_to
from .directory import BuildDirectory, Digest
from .fingerprint import Fingerprinted, Fingerprinter
from .manifest import (
    Asset,
    BuildFile,
    Content,
    Differences,
    Manifest,
    content_digest,
    content_type,
    differences,
)
from .recipe import Recipe
from .source_errors import NameCollision, SharedNameTaken, WrongEncoding, stale_encodings_text
from .source_files import PassingFile, SourceLocation, open_source
from .transforms import Transformed

T = TypeVar("T")

#: The number of the rules that decide what is portable; part of the content digest.
SHARED_RULES = 1

#: The sizes of the encodings that S3 has.
RemoteEncodings = Mapping[Content, int]
#: The qualities of encodings, by the integrity of the content and the name of the encoding.
Qualities = Mapping[str, Mapping[str, int]]
#: The settings of each encoder, as in a manifest.
Encoders = Mapping[str, Mapping[str, int]]


class BuildIsComplete(VersionedStorageError):
    """Other content was collected into a complete build."""

    def __init__(self, build: str, place: str, differ: Differences) -> None:
        self.build = build
        self.place = place
        self.differences = differ
        super().__init__(
            f"Build {build} is complete in {place}, and the collected files have other content, "
            "or options that shape a build have changed since. Compared with the build they have\n"
            f"{differ}\nA build never changes: set a new BUILD_VERSION, or run collectstatic "
            "--clear if this one was never deployed. To publish it to S3 as it is, run 'python "
            f"manage.py staticbuilds publish {build}'."
        )


@dataclass(frozen=True)
class Base:
    """An earlier build on this disk, whose unchanged files are reused.

    Every file of it is read and compared before it is: a damaged one must not get into a new build.
    """

    manifest: Manifest
    directory: BuildDirectory

    def give(self, name: str, content: PassingFile, directory: BuildDirectory) -> bool:
        """Put the base's file of that name into a build if it has the bytes of ``content``."""
        asset = self.manifest.asset(name)
        if asset is None or not content.can_be_read_again():
            return False
        if not self.directory.holds(asset.hashed_name, asset.size, content.chunks()):
            return False
        # One that ends early has the bytes that the file begins with.
        if content.digest is None or content.digest.integrity != asset.integrity:
            return False
        directory.adopt(self.directory, asset.hashed_name, name)
        return True

    def encodings_by_content(self) -> dict[Content, str]:
        """Return the file of each encoding that can be reused, by its content.

        Only encodings that today's encoders with today's settings made.
        """
        reusable = {
            encoding
            for encoding, settings in self.manifest.encoders.items()
            if encoding in ENCODINGS and settings == ENCODINGS[encoding].settings
        }
        return {
            file.content: file.source
            for asset in self.manifest.assets.values()
            for file in asset.variants()
            if file.encoding in reusable
        }


@dataclass(frozen=True)
class Draft:
    """A build whose assets are in its directory, and whose encodings are not made yet.

    Its names, bytes and content digest are final. In its ``manifest`` the encodings have the size
    of their asset, because nothing else is known of them. ``finished`` has the jobs of `compress`
    by the integrity of their content.
    """

    fingerprinter: Fingerprinter
    directory: BuildDirectory
    base: Base | None
    fingerprinted: tuple[Fingerprinted, ...]
    manifest: Manifest
    jobs: tuple[EncodingJob, ...]
    started: float
    finished: Mapping[str, Future[EncodingJob]] = field(repr=False)

    def forecast(self, place: object) -> str:
        """Return the line of a dry run, which compresses nothing."""
        assets = self.manifest.assets.values()
        size = bytes_text(sum(asset.size for asset in assets))
        return (
            f"Would build: {_title(self.manifest)} in {place}: "
            f"{count_text(len(assets), 'asset')} ({size}), {self.written:,} to be written"
        )

    @property
    def written(self) -> int:
        """How many assets were not in the directory yet."""
        return sum(asset.is_written for asset in self.fingerprinted)

    def wait_for(self, file: BuildFile) -> None:
        """Wait until `compress`, in another thread, has made a file.

        Raises CancelledError if it fails before.
        """
        if file.encoding is not None:
            self.finished[file.asset.integrity].result()

    def compress(self) -> Built:
        """Make the encodings. Raises `CannotWrite`, and SourceError for a bundler's encodings."""
        recipe, base = self.fingerprinter.recipe, self.base.directory if self.base else None
        try:
            jobs = compress(self.jobs, self.directory, recipe.encodings, base=base)
            for job in track(jobs, total=len(self.jobs), doing="Compressing", unit="files"):
                self.finished[job.digest.integrity].set_result(job)
        finally:
            for future in self.finished.values():
                future.cancel()
        if recipe.keep_originals is not True:
            _remove_prebuilt(self.fingerprinter, self.fingerprinted, self.directory)
        assets = {
            name: replace(asset, encodings=dict(self.finished[asset.integrity].result().sizes))
            if asset.encodings
            else asset
            for name, asset in self.manifest.assets.items()
        }
        manifest = replace(self.manifest, assets=assets)
        return Built(self, manifest, time.monotonic() - self.started)


@dataclass(frozen=True)
class Built:
    """A build with its encodings."""

    draft: Draft
    manifest: Manifest
    seconds: float

    def summary(self, place: object) -> str:
        """Return one line for whoever runs the deploy."""
        assets = self.manifest.assets.values()
        sizes = [bytes_text(sum(asset.size for asset in assets))]
        for name in self.manifest.encoders:
            encoded = sum(asset.encodings.get(name, 0) for asset in assets)
            sizes.append(f"{name} {bytes_text(encoded)}")
        if self.manifest.shared_prefix:
            shared = sum(asset.size for asset in assets if asset.is_shared)
            sizes.append(f"{bytes_text(shared)} shared")
        reused = sum(len(job.reused) for job in self.draft.jobs)
        compressed = sum(len(job.sizes) for job in self.draft.jobs) - reused
        return (
            f"{_title(self.manifest)} in {place}: {count_text(len(assets), 'asset')} "
            f"({', '.join(sizes)}), {self.draft.written:,} written, "
            f"{count_text(compressed, 'encoding')} compressed, {reused:,} reused, "
            f"{self.seconds:.1f} s"
        )


def _title(manifest: Manifest) -> str:
    return f"Build {manifest.build}" if manifest.build else "Static files"


def assemble(
    fingerprinter: Fingerprinter,
    directory: BuildDirectory,
    *,
    previous: Manifest | None = None,
    base: Base | None = None,
    remote_encodings: RemoteEncodings | None = None,
    dry_run: bool = False,
) -> Draft:
    """Make the build of the fingerprinter's sources, but for its encodings and its manifest.

    ``previous`` is the manifest that ``directory`` has. With a build version the build in it is
    complete: for other content this raises `BuildIsComplete` and changes nothing. Encodings that
    ``base`` has of the same content will be copied, those in ``remote_encodings`` not even made.
    Raises SourceError for faults of the sources, `CannotWrite` for faults of the disk.
    """
    started = time.monotonic()
    recipe = fingerprinter.recipe
    complete = previous if recipe.build is not None else None
    fingerprinted: tuple[Fingerprinted, ...] = ()
    if dry_run or complete is not None:
        fingerprinted = _fingerprint(fingerprinter, directory.untouched())
    if complete is not None:
        _check_same_content(complete, fingerprinted, fingerprinter, directory)
    if not dry_run and (complete is None or any(asset.is_written for asset in fingerprinted)):
        fingerprinted = _fingerprint(fingerprinter, directory)
    if base is not None:
        _check_shared_names(fingerprinted, recipe, base.manifest)
    for warning in fingerprinter.warnings:
        logger.warning("%s", warning)
    qualities = _qualities(fingerprinted, recipe, complete)
    manifest = make_manifest(fingerprinter, fingerprinted, qualities)
    if complete is not None:
        manifest = replace(manifest, encoders=complete.encoders)
    jobs = encoding_jobs(
        fingerprinter,
        fingerprinted,
        directory,
        qualities=qualities,
        encoders=manifest.encoders,
        previous=previous,
        base=base,
        remote_encodings=remote_encodings,
    )
    finished = {job.digest.integrity: Future[EncodingJob]() for job in jobs}
    return Draft(
        fingerprinter, directory, base, fingerprinted, manifest, tuple(jobs), started, finished
    )


def _fingerprint(
    fingerprinter: Fingerprinter, directory: BuildDirectory
) -> tuple[Fingerprinted, ...]:
    assets = fingerprinter.run(directory)
    total = len(fingerprinter.sources)
    fingerprinted = tuple(track(assets, total=total, doing="Fingerprinting", unit="files"))
    check_names(fingerprinted, fingerprinter.recipe)
    return fingerprinted


def _check_same_content(
    complete: Manifest,
    fingerprinted: Iterable[Fingerprinted],
    fingerprinter: Fingerprinter,
    directory: BuildDirectory,
) -> None:
    manifest = make_manifest(fingerprinter, fingerprinted)
    if manifest.content != complete.content:
        changes = differences(complete, manifest)
        raise BuildIsComplete(str(manifest.build), str(directory.root), changes)


def _check_shared_names(
    fingerprinted: Iterable[Fingerprinted], recipe: Recipe, base: Manifest
) -> None:
    """Raise `SharedNameTaken` if a shared asset has the URL of other content in ``base``."""
    if not recipe.shared_prefix or base.shared_prefix != recipe.shared_prefix:
        return
    names = [
        asset.name
        for asset in fingerprinted
        if asset.bound is None
        and (other := base.assets.get(asset.hashed_name)) is not None
        and other.is_shared
        and other.integrity != asset.digest.integrity
    ]
    if names:
        raise SharedNameTaken(sorted(names), str(base.build))


def check_names(fingerprinted: Iterable[Fingerprinted], recipe: Recipe) -> None:
    """Raise `NameCollision` if two assets would be one file with different bytes."""
    fingerprinted = tuple(fingerprinted)
    names_of_encodings = recipe.names_of_encodings(asset.name for asset in fingerprinted)
    owners: dict[str, tuple[str | None, Digest, str]] = {}
    collisions: dict[tuple[str, str], str] = {}
    for asset in fingerprinted:
        encodings = recipe.encodings if recipe.is_eligible(asset.name) else ()
        for name, digest in _names_of(asset, recipe).items():
            paths: dict[str, str | None] = {}
            if name == asset.hashed_name or name not in names_of_encodings:
                paths[name] = None
            paths |= {name + ENCODINGS[encoding].suffix: encoding for encoding in encodings}
            for path, encoding in paths.items():
                owner = owners.setdefault(path, (encoding, digest, asset.name))
                if owner[:2] != (encoding, digest):
                    collisions.setdefault((owner[2], asset.name), path)
    if collisions:
        raise NameCollision([(*names, path) for names, path in collisions.items()])


def _names_of(asset: Fingerprinted, recipe: Recipe) -> dict[str, Digest]:
    """Return the asset's names on disk and the digest of the bytes of each."""
    names = {asset.hashed_name: asset.digest}
    if recipe.keeps_original(asset.name):
        # In the neutral layout an original is as its source is, references included.
        is_source = recipe.build is None
        names.setdefault(asset.name, asset.source_digest if is_source else asset.digest)
    return names


def make_manifest(
    fingerprinter: Fingerprinter,
    fingerprinted: Iterable[Fingerprinted],
    qualities: Qualities | None = None,
) -> Manifest:
    """Return the manifest of these assets, with the size of its asset for each encoding."""
    recipe = fingerprinter.recipe
    assets = [
        Asset(
            name=asset.name,
            hashed_name=asset.hashed_name,
            build=recipe.build,
            size=asset.digest.size,
            integrity=asset.digest.integrity,
            content_type=content_type(asset.name),
            encodings=dict.fromkeys(
                recipe.encodings if recipe.is_eligible(asset.name) else (), asset.digest.size
            ),
            shared_prefix="" if asset.bound else recipe.shared_prefix,
            bound=asset.bound,
            quality=(qualities or {}).get(asset.digest.integrity, {})
            if recipe.is_eligible(asset.name)
            else {},
            made_of=_made_of(asset, fingerprinter),
        )
        for asset in sorted(fingerprinted, key=lambda asset: asset.name)
    ]
    options: dict[str, object] = {
        "encodings": tuple(recipe.encodings),
        "keep_originals": recipe.keep_originals,
        "skip_compress_extensions": recipe.skip_compress_extensions,
    }
    if recipe.shared_prefix:
        options["shared_assets"] = [recipe.shared_prefix, SHARED_RULES]
    encodings_only = fingerprinter.encodings_only
    return Manifest(
        paths={asset.name: asset.hashed_name for asset in assets}
        | {name: name for name in encodings_only},
        build=recipe.build,
        content=content_digest(assets, options),
        encoders=recipe.encoders,
        skip_compress_extensions=recipe.skip_compress_extensions,
        keep_originals=recipe.keep_originals,
        shared_prefix=recipe.shared_prefix,
        shared_rules=SHARED_RULES if recipe.shared_prefix else 0,
        assets={asset.hashed_name: asset for asset in assets},
    )


def encoding_jobs(
    fingerprinter: Fingerprinter,
    fingerprinted: Iterable[Fingerprinted],
    directory: BuildDirectory,
    *,
    qualities: Qualities,
    encoders: Encoders,
    previous: Manifest | None = None,
    base: Base | None = None,
    remote_encodings: RemoteEncodings | None = None,
) -> list[EncodingJob]:
    """Return a job for each content that is encoded. Raises `WrongEncoding`."""
    recipe = fingerprinter.recipe
    names_of_encodings = recipe.names_of_encodings(fingerprinter.sources)
    names: dict[Digest, dict[str, None]] = {}
    prebuilt: dict[Digest, dict[str, Opener]] = {}
    stale: list[str] = []
    for asset in fingerprinted:
        if not recipe.is_eligible(asset.name):
            continue
        for name, digest in _names_of(asset, recipe).items():
            is_original = name != asset.hashed_name
            if is_original and (name in names_of_encodings or directory.is_symlink(name)):
                continue
            names.setdefault(digest, {})[name] = None
        openers = _open_prebuilt(asset, fingerprinter, stale)
        prebuilt.setdefault(asset.source_digest, {}).update(openers)
    if stale:
        logger.warning("%s", stale_encodings_text(stale))
    base_files = base.encodings_by_content() if base else {}
    jobs = []
    for digest, names_of_content in names.items():
        quality = qualities.get(digest.integrity, {})
        contents = {name: (digest.integrity, name, quality.get(name)) for name in recipe.encodings}
        first, *_ = names_of_content
        jobs.append(
            EncodingJob(
                tuple(names_of_content),
                digest,
                quality=quality,
                prebuilt=prebuilt.get(digest, {}),
                kept=_made_alike(previous, first, quality, encoders) if previous else (),
                base_files=_chosen(contents, base_files),
                remote_sizes=_chosen(contents, remote_encodings or {}),
            )
        )
    return jobs


def _qualities(
    fingerprinted: Iterable[Fingerprinted], recipe: Recipe, complete: Manifest | None
) -> Qualities:
    """Return the qualities that the site has set, by the integrity of the content.

    Of several files with the same bytes the best counts: they have one encoding. In a complete
    build it stays as it is.
    """
    if complete is not None:
        return {asset.integrity: asset.quality for asset in complete.assets.values()}
    best: dict[str, dict[str, int]] = {}
    for asset in fingerprinted:
        if any(recipe.encodings.values()) and recipe.is_eligible(asset.name):
            quality = recipe.quality(asset.name)
            for digest in _names_of(asset, recipe).values():
                other = best.get(digest.integrity, quality)
                best[digest.integrity] = {name: max(quality[name], other[name]) for name in quality}
    return {
        integrity: {
            name: number for name, number in quality.items() if number != ENCODINGS[name].quality
        }
        for integrity, quality in best.items()
    }


def _made_alike(
    previous: Manifest, name: str, quality: Mapping[str, int], encoders: Encoders
) -> set[str]:
    """Return the encodings that the manifest before says were made of that file in this way."""
    asset = previous.assets.get(name) or previous.asset(name)
    if asset is None:
        return set()
    return {
        encoding
        for encoding, settings in encoders.items()
        if previous.encoders.get(encoding) == settings
        and asset.quality.get(encoding) == quality.get(encoding)
    }


def _made_of(asset: Fingerprinted, fingerprinter: Fingerprinter) -> str:
    """Return what a transform made the asset of; empty if references were rewritten since."""
    storage, *_ = fingerprinter.sources.get(asset.name, (None,))
    if isinstance(storage, Transformed) and asset.digest == asset.source_digest:
        return storage.made_of
    return ""


def _chosen(contents: Mapping[str, Content], values: Mapping[Content, T]) -> dict[str, T]:
    return {name: values[content] for name, content in contents.items() if content in values}


def _open_prebuilt(
    asset: Fingerprinted, fingerprinter: Fingerprinter, stale: list[str]
) -> dict[str, Opener]:
    """Return what opens the encodings that a bundler made of this asset's source.

    Adds to ``stale`` those that do not decode to it. Raises `WrongEncoding` for one of those that
    has no other name.
    """
    openers: dict[str, Opener] = {}
    for encoding, location in fingerprinter.prebuilt.get(asset.name, {}).items():
        name = asset.name + ENCODINGS[encoding].suffix
        opener = partial(_open, name, location)
        if decodes_to(opener, ENCODINGS[encoding], asset.source_digest):
            openers[encoding] = opener
        elif name in fingerprinter.encodings_only:
            raise WrongEncoding(asset.name, name)
        else:
            stale.append(name)
    return openers


def _open(name: str, location: SourceLocation) -> BinaryIO:
    return open_source(name, *location)


def _remove_prebuilt(
    fingerprinter: Fingerprinter, fingerprinted: Iterable[Fingerprinted], directory: BuildDirectory
) -> None:
    """Remove a bundler's encodings that collectstatic copied under their original names."""
    # A prehashed asset keeps its name, so its encodings are at those names too.
    hashed_names = {asset.hashed_name for asset in fingerprinted}
    for asset_name, encodings in fingerprinter.prebuilt.items():
        if asset_name in hashed_names or fingerprinter.recipe.keeps_original(asset_name):
            continue
        for encoding in encodings:
            name = asset_name + ENCODINGS[encoding].suffix
            if name not in fingerprinter.encodings_only and not directory.is_symlink(name):
                directory.remove(name)
