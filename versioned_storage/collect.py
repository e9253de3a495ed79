"""One run of collectstatic: files are collected, a build is made of them and published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import Storage

from .build.assemble import Base, BuildIsComplete, Draft, assemble
from .build.directory import BuildDirectory, Digest
from .build.fingerprint import Fingerprinter
from .build.lock import lock, unlock
from .build.manifest import Manifest, UnreadableManifest, keeps_original
from .build.recipe import Recipe
from .build.references.scanning import Scanners
from .build.resolver import Resolver
from .build.source_files import Sources
from .build.transforms import apply, transformed
from .conf import Options
from .errors import OtherContent, SourceError
from .progress import log_summary, logger
from .static_root import check_outside_sources
from .text import names_text

if TYPE_CHECKING:
    from .origin.publisher import Preflight, Publisher, Publishing
    from .storage import VersionedStaticFilesStorage

# Seconds after which no run still writes to a partial file.
_ABANDONED_AFTER = 3600
#: What collectstatic expects of each file: its name, its hashed name, and whether it was processed
#: or the error.
PostProcessed = tuple[str, str | None, bool | Exception]


class CollectstaticRun:
    """One run of collectstatic into one directory: its lock, and what it collected until now.

    ``build`` is None in the neutral layout, which has no lock and is never complete. ``root`` is
    STATIC_ROOT. ``read_manifest`` returns the manifest that the directory has; None without one.
    """

    def __init__(
        self,
        directory: BuildDirectory,
        build: str | None,
        root: str | None,
        manifest_name: str,
        read_manifest: Callable[[], Manifest | None],
    ) -> None:
        self.directory = directory
        #: The digests of the originals that this run has written, by their names.
        self.digests: dict[str, Digest] = {}
        self._build = build
        self._root = root
        self._manifest_name = manifest_name
        self._read_manifest = read_manifest
        self._has_checked_root = False
        self._is_locked = False
        self._has_waited = False

    def begin(self, *, dry_run: bool = False) -> None:
        """Keep other processes out of the directory before it is changed.

        Raises `StaticRootAmongSources`, and `CannotWrite` if the directory cannot be made.
        """
        if not self._has_checked_root:
            check_outside_sources(self._root)
            self._has_checked_root = True
        if self._build is None or dry_run or self._is_locked or self.complete:
            return
        self._has_waited |= lock(self.directory)
        self._is_locked = True
        self.forget_manifest()

    def end(self) -> None:
        """Let other processes write to the directory again."""
        unlock(self.directory)

    @property
    def complete(self) -> Manifest | None:
        """The manifest of the build that is complete in the directory; None if none is."""
        return self.previous if self._build is not None else None

    @cached_property
    def previous(self) -> Manifest | None:
        """The manifest that the directory has; None if it has none, or that of another build."""
        try:
            manifest = self._read_manifest()
        except UnreadableManifest:
            # No process can serve that build, so it is made again.
            return None
        # A manifest_storage of the site may still have the manifest of another build.
        return manifest if manifest is not None and manifest.build == self._build else None

    def forget_manifest(self) -> None:
        """Read the manifest again when it is needed next, because it may be another one."""
        self.__dict__.pop("previous", None)

    @property
    def was_completed_meanwhile(self) -> bool:
        """True if another process completed the build while this one waited for the lock.

        collectstatic judged the files before that, so they stay.
        """
        return self._has_waited and self.complete is not None

    @cached_property
    def base(self) -> Base | None:
        """The build that was completed last, whose files a new build can reuse."""
        if self._root is None or self._build is None:
            return None
        manifests = [
            path
            for path in Path(self._root).glob(f"*/{self._manifest_name}")
            if path.parent.name != self._build
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


def collect(
    storage: VersionedStaticFilesStorage,
    run: CollectstaticRun,
    paths: Mapping[str, tuple[Storage, str]],
    *,
    dry_run: bool,
) -> Iterator[PostProcessed]:
    """Make the build of the collected files, and publish it if there is an origin."""
    publisher = None if dry_run else _publisher(storage)
    preflight = publisher.preflight(str(storage.build_version)) if publisher else None
    names = {storage.clean_name(name): name for name in paths}
    _leave_out_manifest(storage, run.directory, names, paths, dry_run=dry_run)
    sources = {clean_name: paths[name] for clean_name, name in names.items()}
    try:
        draft = _draft(storage, run, sources, preflight, dry_run=dry_run)
        if dry_run:
            log_summary(draft.forecast(storage.location))
        elif publisher is not None and preflight is not None:
            publishing = publisher.publishing(
                draft.manifest, run.directory, draft.wait_for, preflight
            )
            yield from _complete_and_publish(storage, draft, names, publishing)
        else:
            yield from _complete(storage, draft, names)
            if storage.options.origin is not None:
                log_summary(
                    f"Build {storage.build_version} was not published by this run; run 'python "
                    "manage.py staticbuilds publish' to publish it"
                )
    except (BuildIsComplete, SourceError) as error:
        if run.complete is not None:
            _remove_additions(run.directory, run.digests, run.complete)
        if isinstance(error, BuildIsComplete):
            raise
        yield names_text(error.names, shown=3), None, error


def _complete_and_publish(
    storage: VersionedStaticFilesStorage,
    draft: Draft,
    names: Mapping[str, str],
    publishing: AbstractContextManager[Publishing],
) -> Iterator[PostProcessed]:
    """Compress the files, and upload each once it is made."""
    try:
        with publishing as publish:
            yield from _complete(storage, draft, names)
            manifest = storage.manifest
            assert manifest is not None  # it was saved a moment ago
            published = publish.finish(manifest)
    except OtherContent:
        # Pages get the other build. Without a manifest no process takes these files for it.
        storage.manifest_storage.delete(storage.manifest_name)
        raise
    log_summary(published.text())


def _complete(
    storage: VersionedStaticFilesStorage, draft: Draft, names: Mapping[str, str]
) -> Iterator[PostProcessed]:
    """Compress the files, and write the manifest of the complete build."""
    built = draft.compress()
    storage.set_manifest(built.manifest)
    storage.save_manifest()
    # In the neutral layout, Django's storage counts those as processed, changed or not.
    globs = [] if storage.build_version else [glob for glob, _ in storage.patterns]
    for asset in draft.fingerprinted:
        is_processed = asset.is_written or matches_patterns(asset.name, globs)
        yield names[asset.name], asset.hashed_name, is_processed
    log_summary(built.summary(storage.location))
    if storage.build_version is not None:
        _warn_of_dotfiles(built.manifest)


def _draft(
    storage: VersionedStaticFilesStorage,
    run: CollectstaticRun,
    sources: Sources,
    preflight: Preflight | None,
    *,
    dry_run: bool,
) -> Draft:
    options = storage.options
    run.forget_manifest()
    copied = run.digests
    # In the neutral layout an original stays as its source is, so there are no others.
    if storage.build_version is not None and options.transforms:
        collected, sources = sources, transformed(sources, options.transforms)
        builds = [(run.complete, run.directory)] if run.complete else []
        if run.base is not None:
            builds.append((run.base.manifest, run.base.directory))
        apply(sources, builds)
        copied = {
            name: digest for name, digest in copied.items() if sources[name] == collected[name]
        }
    if not dry_run:
        # The neutral layout is not locked, and other runs may write to builds in it.
        seconds = 0 if storage.build_version is not None else _ABANDONED_AFTER
        run.directory.remove_partial_files(older_than=seconds)
    recipe = recipe_of(options)
    fingerprinter = Fingerprinter(
        sources=sources,
        recipe=recipe,
        name_hook=storage.hashed_name,
        scanners=Scanners(storage.patterns),
        resolver=_resolver(storage, sources),
        digests=copied,
        ignore_missing=options.ignore_missing,
        strict_source_maps=options.strict_source_maps,
    )
    return assemble(
        fingerprinter,
        run.directory,
        previous=run.previous,
        base=run.base,
        remote_encodings=preflight.remote_encodings(recipe.encoders) if preflight else None,
        dry_run=dry_run,
    )


def recipe_of(options: Options) -> Recipe:
    """Return the options that shape a build."""
    # Without a build version there is one layout, in which every asset keeps its URL.
    shares = options.shares_assets and options.build_version is not None
    return Recipe(
        build=options.build_version,
        encodings=options.encodings,
        skip_compress_extensions=options.skip_compress_extensions,
        keep_originals=options.keep_originals,
        prehashed=options.prehashed,
        shared_prefix=options.shared_prefix if shares else "",
        shared_globs=options.shared_globs,
    )


def _resolver(storage: VersionedStaticFilesStorage, sources: Sources) -> Resolver:
    static_url, versioned = storage.static_url, storage.build_version is not None
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


def _publisher(storage: VersionedStaticFilesStorage) -> Publisher | None:
    options = storage.options
    origin = storage.s3_origin() if options.publish and storage.static_url is not None else None
    if origin is None:
        return None
    from .origin.publisher import Publisher

    return Publisher(origin, options.base_build)


def _warn_of_dotfiles(manifest: Manifest) -> None:
    dotfiles = sorted(name for name in manifest.paths if "/." in f"/{name}")
    if dotfiles:
        logger.warning(
            "Neither the CDN nor the middleware serves files or directories whose names begin "
            "with a dot: %s. collectstatic leaves them out without --no-default-ignore.",
            names_text(dotfiles),
        )


def _leave_out_manifest(
    storage: VersionedStaticFilesStorage,
    directory: BuildDirectory,
    names: dict[str, str],
    paths: Mapping[str, tuple[Storage, str]],
    *,
    dry_run: bool,
) -> None:
    """Take a source that has the manifest's name out of ``names``, and warn."""
    if storage.manifest_storage is not storage or storage.manifest_name not in names:
        return
    source, path = paths[names.pop(storage.manifest_name)]
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


def _remove_additions(
    directory: BuildDirectory, digests: Mapping[str, Digest], complete: Manifest
) -> None:
    """Remove what was collected into a complete build and does not belong to it."""
    names = {*complete.paths.values()} | {
        name for name in complete.paths if keeps_original(complete.keep_originals, name)
    }
    for name in digests.keys() - names:
        directory.remove(name)
