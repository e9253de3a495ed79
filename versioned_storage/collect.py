"""One run of collectstatic: files are collected, a build is made of them and published."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import Storage

from . import startup
from .build.assemble import Base, BuildIsComplete, Built, assemble
from .build.directory import BuildDirectory, Digest
from .build.fingerprint import Fingerprinter
from .build.lock import lock, unlock
from .build.manifest import Manifest, UnreadableManifest, keeps_original
from .build.portability import bound_text
from .build.recipe import Recipe
from .build.references.scanning import Scanners
from .build.resolver import Resolver
from .build.source_files import PassingFile, Sources
from .build.transforms import transformed
from .errors import OtherContent, SourceError
from .progress import log_summary, logger
from .static_root import check_outside_sources, check_sources_are_files
from .text import names_text

if TYPE_CHECKING:
    from .origin.publisher import Preflight, Publisher
    from .storage import VersionedStaticFilesStorage

# Seconds after which no run still writes to a partial file.
_ABANDONED_AFTER = 3600
#: What collectstatic expects of each file: its name, its hashed name, and whether it was processed
#: or the error.
PostProcessed = tuple[str, str | None, bool | Exception]


class Collector:
    """Collects files into the build directory of ``storage``, and makes a build of them."""

    def __init__(self, storage: VersionedStaticFilesStorage) -> None:
        self._storage = storage
        # Of one run: the files can change before the next one.
        self._digests: dict[str, Digest] = {}
        self._base: tuple[Base | None, BuildDirectory] | None = None
        self._complete: Manifest | None = None
        self._is_allowed = False
        self._has_waited = False
        self._is_locked = False
        self._has_checked_sources = False

    def begin(self, *, dry_run: bool = False) -> None:
        """Keep other processes out of the build directory before it is changed.

        Raises `MissingBuildVersion` and `StaticRootAmongSources`.
        """
        if not self._is_allowed:
            self._storage.require_build()
            check_outside_sources(self._storage.root)
            self._is_allowed = True
        if self._storage.build_version is None or dry_run or self._is_locked:
            return
        if not self.complete_manifest():
            self._has_waited |= lock(self._storage.build_directory())
            self._is_locked = True

    def check_sources(self) -> None:
        """Raise `UnusableFiles`, once, for sources that are not files: opening a pipe blocks.

        Only collectstatic opens sources, so other callers read nothing.
        """
        if self._has_checked_sources:
            return
        options = startup.collectstatic_options()
        if options is not None:
            check_sources_are_files(options.get("ignore_patterns", ()))
            self._has_checked_sources = True

    def add_digest(self, name: str, digest: Digest) -> None:
        """Note the digest of an original that was written to the build directory."""
        self._digests[self._storage.clean_name(name)] = digest

    def took_from_base(self, name: str, content: PassingFile) -> bool:
        """Return True after putting a file with these bytes from the base build under ``name``."""
        if self._base is None:
            self._base = self._find_base(), self._storage.build_directory()
        base, directory = self._base
        return base is not None and base.give(self._storage.clean_name(name), content, directory)

    def is_manifest(self, name: str) -> bool:
        """Return True for a file that would take the manifest's place."""
        storage = self._storage
        return (
            storage.manifest_storage is storage
            and storage.clean_name(name) == storage.manifest_name
        )

    def was_completed_meanwhile(self, name: str) -> bool:
        """Return True if another process completed the build while this one waited for the lock.

        collectstatic judged the file before that, so it stays.
        """
        if not self._has_waited or self.complete_manifest() is None:
            return False
        return self._storage.exists(name)

    def complete_manifest(self) -> Manifest | None:
        """Return the manifest of the build directory; None if the build in it is not complete."""
        storage = self._storage
        if storage.build_version is None or not self._has_manifest():
            self._complete = None
        elif self._complete is None:
            try:
                text = storage.read_manifest() or ""
                manifest = Manifest.from_json(text, name=storage.manifest_name)
            except UnreadableManifest:
                # No process can serve that build, so it is made again.
                return None
            # A manifest_storage of the site may still have the manifest of another build.
            self._complete = manifest if manifest.build == storage.build_version else None
        return self._complete

    def run(
        self, paths: Mapping[str, tuple[Storage, str]], *, dry_run: bool
    ) -> Iterator[PostProcessed]:
        """Make the build of the collected files, and publish it if there is an origin."""
        self.begin(dry_run=dry_run)
        try:
            yield from self._make_and_publish(paths, dry_run=dry_run)
        finally:
            unlock(self._storage.build_directory())
            self._is_locked = False

    def _make_and_publish(
        self, paths: Mapping[str, tuple[Storage, str]], *, dry_run: bool
    ) -> Iterator[PostProcessed]:
        storage = self._storage
        publisher = None if dry_run else self._publisher()
        preflight = publisher.preflight(str(storage.build_version)) if publisher else None
        names = {storage.clean_name(name): name for name in paths}
        self._leave_out_manifest(names, paths, dry_run=dry_run)
        try:
            built = self._make(
                {clean_name: paths[name] for clean_name, name in names.items()},
                preflight,
                dry_run=dry_run,
            )
        except SourceError as error:
            yield names_text(error.names, shown=3), None, error
            return
        if dry_run:
            log_summary(built.forecast(storage.location))
            return
        storage.set_manifest(built.manifest)
        storage.save_manifest()
        for asset in built.fingerprinted:
            is_processed = asset.is_written or self._may_have_references(asset.name)
            yield names[asset.name], asset.hashed_name, is_processed
        log_summary(built.summary(storage.location))
        self._list_bound_assets(built.manifest)
        self._warn_of_dotfiles(built.manifest)
        if publisher is not None:
            self._publish(publisher, preflight)
        elif storage.options.origin is not None:
            log_summary(
                f"Build {storage.build_version} was not published by this run; run 'python "
                "manage.py staticbuilds publish' to publish it"
            )

    def _make(self, sources: Sources, preflight: Preflight | None, *, dry_run: bool) -> Built:
        storage, options = self._storage, self._storage.options
        self._complete = None
        complete = self.complete_manifest()
        digests, self._digests = self._digests, {}
        base = self._base[0] if self._base else self._find_base()
        self._base = None
        directory = storage.build_directory()
        copied = digests
        # In the neutral layout an original stays as its source is, so there are no others.
        if storage.build_version is not None and options.transforms:
            collected, sources = sources, transformed(sources, options.transforms)
            copied = {
                name: digest for name, digest in digests.items() if sources[name] == collected[name]
            }
        if not dry_run:
            # The neutral layout is not locked, and other runs may write to builds in it.
            seconds = 0 if storage.build_version is not None else _ABANDONED_AFTER
            directory.remove_partial_files(older_than=seconds)
        recipe = Recipe(
            build=storage.build_version,
            encodings=options.encodings,
            skip_compress_extensions=options.skip_compress_extensions,
            keep_originals=options.keep_originals,
            prehashed=options.prehashed,
            # Without a build version there is one layout, in which every asset keeps its URL.
            shared_prefix=options.shared_prefix
            if options.shares_assets and storage.build_version is not None
            else "",
            shared_globs=options.shared_globs,
        )
        fingerprinter = Fingerprinter(
            sources=sources,
            recipe=recipe,
            name_hook=storage.hashed_name,
            scanners=Scanners(storage.patterns),
            resolver=self._resolver(sources),
            digests=copied,
            ignore_missing=options.ignore_missing,
            strict_source_maps=options.strict_source_maps,
        )
        try:
            return assemble(
                fingerprinter,
                directory,
                complete=complete,
                base=base,
                remote_encodings=preflight.remote_encodings(recipe.encoders) if preflight else None,
                dry_run=dry_run,
            )
        except (SourceError, BuildIsComplete):
            if complete is not None:
                _remove_additions(directory, digests, complete)
            raise

    def _find_base(self) -> Base | None:
        """Return the build that was completed last, whose files a new build can reuse."""
        storage = self._storage
        if storage.root is None or storage.build_version is None:
            return None
        manifests = [
            path
            for path in Path(storage.root).glob(f"*/{storage.manifest_name}")
            if path.parent.name != storage.build_version
        ]
        for path in sorted(manifests, key=lambda path: path.stat().st_mtime, reverse=True):
            try:
                manifest = Manifest.read(path)
            except (OSError, UnreadableManifest) as error:
                logger.warning("Nothing of %s is reused: %s", path.parent, error)
                return None
            if manifest.build == path.parent.name:
                return Base(manifest, BuildDirectory(path.parent))
        return None

    def _resolver(self, sources: Sources) -> Resolver:
        storage, static_url = self._storage, self._storage.static_url
        versioned = storage.build_version is not None
        site_urls = set()
        if static_url is not None and versioned:
            site_urls = {storage.base_url, static_url.plain()}
            if storage.options.cdn_domain is not None:
                site_urls.add(storage.options.cdn_domain + static_url.path)
        return Resolver(
            names=sources.keys(),
            static_path=static_url.path if static_url else "/",
            site_urls=tuple(sorted(site_urls, key=len, reverse=True)),
            versioned=versioned,
        )

    def _may_have_references(self, name: str) -> bool:
        # In the neutral layout, Django's storage counts those as processed, changed or not.
        globs = [glob for glob, _ in self._storage.patterns]
        return self._storage.build_version is None and matches_patterns(name, globs)

    def _publisher(self) -> Publisher | None:
        options, static_url = self._storage.options, self._storage.static_url
        if not options.publish or options.origin is None or static_url is None:
            return None
        # boto3 costs a quarter of a second and 20 MB, and many sites have no origin.
        from .origin.publisher import Publisher
        from .origin.s3 import S3Origin

        origin = S3Origin.from_options(options, static_url)
        return Publisher(origin, options.base_build)

    def _publish(self, publisher: Publisher, preflight: Preflight | None) -> None:
        storage = self._storage
        manifest = storage.manifest
        assert manifest is not None  # it was saved a moment ago
        try:
            published = publisher.publish(manifest, storage.build_directory(), preflight)
        except OtherContent:
            # Pages get the other build. Without a manifest no process takes these files for it.
            storage.manifest_storage.delete(storage.manifest_name)
            raise
        log_summary(str(published))

    def _list_bound_assets(self, manifest: Manifest) -> None:
        """With ``collectstatic -v 2``, say which assets are not shared, and why."""
        options = startup.collectstatic_options() or {}
        bound = bound_text(manifest.assets.values())
        if bound and options.get("verbosity", 1) >= 2:
            log_summary(f"Not shared, because of:\n{bound}")

    def _warn_of_dotfiles(self, manifest: Manifest) -> None:
        dotfiles = sorted(name for name in manifest.paths if "/." in f"/{name}")
        if self._storage.build_version is not None and dotfiles:
            logger.warning(
                "Neither the CDN nor the middleware serves files or directories whose names begin "
                "with a dot: %s. collectstatic leaves them out without --no-default-ignore.",
                names_text(dotfiles),
            )

    def _leave_out_manifest(
        self,
        names: dict[str, str],
        paths: Mapping[str, tuple[Storage, str]],
        *,
        dry_run: bool,
    ) -> None:
        """Take a source that has the manifest's name out of ``names``, and warn."""
        storage = self._storage
        if storage.manifest_storage is not storage or storage.manifest_name not in names:
            return
        source, path = paths[names.pop(storage.manifest_name)]
        directory = storage.build_directory()
        if not dry_run and directory.is_symlink(storage.manifest_name):
            # collectstatic --link puts it there without asking the storage.
            directory.remove(storage.manifest_name)
        try:
            place = source.path(path)
        except NotImplementedError:
            place = path
        logger.warning(
            "%s is left out: the manifest of a build has that name. Rename it, or leave it out "
            "with collectstatic --ignore %s.",
            place,
            storage.manifest_name,
        )

    def _has_manifest(self) -> bool:
        storage = self._storage
        if storage.manifest_storage is not storage or not storage.location:
            return storage.manifest_storage.exists(storage.manifest_name)
        # Called for each collected file. Django's exists() also checks each time that the name is
        # below the location, which takes far longer.
        path = os.path.join(storage.location, storage.manifest_name)  # noqa: PTH118
        return os.path.exists(path)  # noqa: PTH110


def _remove_additions(
    directory: BuildDirectory, digests: Mapping[str, Digest], complete: Manifest
) -> None:
    """Remove what was collected into a complete build and does not belong to it."""
    names = {*complete.paths.values()} | {
        name for name in complete.paths if keeps_original(complete.keep_originals, name)
    }
    for name in digests.keys() - names:
        directory.remove(name)
