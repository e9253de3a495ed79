"""What collectstatic asks of a storage: files taken in, a build made of them and published."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils import timezone

from .build.assemble import Base, Recipe, assemble
from .build.compression import encode_file
from .build.directory import BuildDirectory, CannotWrite, Digest, writing
from .build.fingerprint import Fingerprinted, Fingerprinter
from .build.lock import lock, unlock
from .build.manifest import BuildFile, Manifest, UnreadableManifest, names_of_encodings
from .build.references.scanning import Scanners
from .build.resolver import Resolver
from .build.source_errors import BuildIsComplete, BuildIsFrozen
from .build.source_files import DigestedFile, PassingFile, Sources
from .errors import MissingBuildVersion, OtherContent, SourceError
from .manifest_loader import ManifestOnDemand
from .progress import log_summary, logger
from .static_root import (
    base_build,
    check_outside_sources,
    check_sources_are_files,
    complete_builds,
)
from .static_url import StaticURL
from .text import names_text

if TYPE_CHECKING:
    # Imported where it is used: boto3 costs a process a quarter of a second and 20 MB, and a site
    # without an origin, or a worker that has its manifest on disk, never needs it.
    from .origin.publisher import Publisher


class CollectsBuilds(ManifestOnDemand):
    """Collects a build into its directory and publishes it.

    ``root`` is STATIC_ROOT, ``static_url`` the STATIC_URL without a build; each is None where the
    site has not set it.
    """

    root: str | None
    static_url: StaticURL | None

    def _begin_with_nothing_collected(self) -> None:
        self._collected: dict[str, Digest] = {}
        self._may_collect = False
        self._waited = False
        self._sources_are_files = False
        self._complete: Manifest | None = None

    @property
    def base_url(self) -> str:
        """The URL of the build, or of STATIC_URL in the neutral layout; ends with a slash."""
        if self.static_url is None:
            return ""
        if self.build_version is None:
            return self.static_url.plain()
        return self.static_url.of_build(self.build_version, self.options.cdn_domain)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """As Django's, for ``collectstatic --clear``.

        The manifest comes first, so that a build is no longer complete before it loses a file. In
        the neutral layout the builds beside it are left out: they are not its to clear.
        """
        try:
            directories, files = super().listdir(path)
        except NotADirectoryError as error:
            raise CannotWrite(error.filename or self.path(path), error) from error
        if Path(self.path(path)) == Path(self.location):
            files.sort(key=lambda name: name != self.manifest_name)
            if self.build_version is None:
                builds = self._builds()
                directories = [name for name in directories if name not in builds]
        return directories, files

    def exists(self, name: str) -> bool:
        """As Django's; what collectstatic asks first, before it opens a source.

        The first time it raises `UnusableFiles` for sources that cannot be opened.
        """
        if not self._sources_are_files:
            check_sources_are_files()
            self._sources_are_files = True
        return super().exists(name)

    def get_modified_time(self, name: str) -> datetime:
        """As Django's; in a complete build every file is as new as can be.

        collectstatic then leaves it alone. A complete build is immutable, and whether the sources
        still are what it was made of is for `post_process` to say, by their content.
        """
        if self._complete_manifest() or self._is_manifest(name):
            # Aware or naive as Django's are; also newer than a source from the future.
            return datetime.max.replace(tzinfo=timezone.now().tzinfo)
        return super().get_modified_time(name)

    def delete(self, name: str) -> None:
        """As Django's, but of a complete build only the manifest, which `--clear` deletes first.

        Raises `BuildIsFrozen` for all else of it, `CannotWrite` where the disk refuses.
        """
        self._begin_collecting()
        if name != self.manifest_name and self._complete_manifest() and self.exists(name):
            if self._waited:
                # Another process has completed the build since collectstatic decided to replace
                # the file. `post_process` says whether the content is the same.
                return
            raise BuildIsFrozen(str(self.build_version), name)
        with writing(self.path(name)):
            super().delete(name)

    def file_hash(self, name: str, content: File[Any] | None = None) -> Any:
        """The first 12 hex digits of the MD5 of ``content``, as Django's."""
        if isinstance(content, DigestedFile):
            return content.digest.md5[:12]
        return super().file_hash(name, content)

    def post_process(
        self, paths: dict[str, tuple[Storage, str]], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """Make the build of the collected files, and publish it where there is an origin.

        Yields ``(name, hashed name, processed)`` as collectstatic expects it. What is wrong with
        the sources is yielded in place of ``processed``, as Django does; what is wrong with the
        disk or the origin is raised.
        """
        self._begin_collecting(dry_run=dry_run)
        try:
            yield from self._make_build(paths, dry_run=dry_run)
        finally:
            unlock(self._directory())

    def _make_build(self, paths: dict[str, tuple[Storage, str]], *, dry_run: bool) -> Iterator[Any]:
        publisher = None if dry_run or not self.options.publish else self.publisher()
        preflight = publisher.preflight(str(self.build_version)) if publisher else None
        names = {self.clean_name(name): name for name in paths}
        self._leave_out_manifest(names, paths, dry_run=dry_run)
        sources = {clean: paths[name] for clean, name in names.items()}
        self._complete = None
        complete = self._complete_manifest()
        recipe = self._recipe()
        # Of this run alone: before the next one, the sources can change.
        collected, self._collected = self._collected, {}
        if not dry_run:
            self._directory().remove_partial_files()
        try:
            built = assemble(
                sources,
                self._directory(),
                recipe,
                partial(self._fingerprint, collected=collected),
                prehashed=self.options.prehashed,
                complete=complete,
                base=self._base(),
                elsewhere=preflight.remote_encodings(recipe.encoders) if preflight else None,
                dry_run=dry_run,
            )
        except SourceError as error:
            self._take_back(collected, complete)
            yield names_text(error.names, shown=3), None, error
            return
        except BuildIsComplete:
            self._take_back(collected, complete)
            raise
        if dry_run:
            log_summary(built.forecast(self.location))
            return
        self._manifest = built.manifest
        self.hashed_files = dict(built.manifest.paths)
        self.save_manifest()
        for one in built.done:
            yield names[one.name], one.hashed_name, one.written or self._counts_as_processed(one)
        log_summary(built.summary(self.location))
        self._warn_of_dotfiles(built.manifest)
        if publisher is not None:
            directory = Path(self.location)
            try:
                published = publisher.publish(self._manifest, directory, preflight, self.provide)
            except OtherContent:
                # The files here are not those of the build that pages get: without their manifest
                # nobody takes them for it.
                self.manifest_storage.delete(self.manifest_name)
                raise
            log_summary(str(published))
        elif self.options.origin is not None:
            log_summary(
                f"Build {self.build_version} is not published; run 'python manage.py staticbuilds "
                "publish' to publish it"
            )

    def _warn_of_dotfiles(self, manifest: Manifest) -> None:
        dotfiles = sorted(name for name in manifest.paths if "/." in f"/{name}")
        if self.build_version is not None and dotfiles:
            logger.warning(
                "Neither the CDN nor the middleware serves files or directories whose names begin "
                "with a dot: %s. collectstatic leaves them out without --no-default-ignore.",
                names_text(dotfiles),
            )

    def provide(self, file: BuildFile) -> None:
        """Make an encoding that this disk lacks, because S3 had it when the build was made."""
        encode_file(self._directory(), file)

    def _counts_as_processed(self, one: Fingerprinted) -> bool:
        # Django's storage counts what can have references, changed or not.
        globs = [glob for glob, _ in self.patterns]
        return self.build_version is None and matches_patterns(one.name, globs)

    def save(self, name: str | None, content: IO[Any], max_length: int | None = None) -> str:
        """As Django's, but for a source with the manifest's name, which `post_process` reports.

        A file of a build that another process has completed meanwhile stays as it is.
        """
        if name is not None:
            self._begin_collecting()
            completed_meanwhile = self._waited and self._complete_manifest() and self.exists(name)
            if self._is_manifest(name) or completed_meanwhile:
                return name
        saved: str = super().save(name, content, max_length)
        return saved

    def _save(self, name: str, content: File[Any]) -> str:
        self._begin_collecting()
        passing = PassingFile(content)
        with writing(self.path(name)):
            if getattr(self, "_allow_overwrite", False):
                # It may be the second name of a hashed file, which must not change with it.
                Path(self.path(name)).unlink(missing_ok=True)
            saved: str = super()._save(name, passing)  # type: ignore[misc]  # not in the stubs
        if passing.digest is not None:
            self._collected[self.clean_name(saved)] = passing.digest
        return saved

    def _fingerprint(
        self, sources: Sources, directory: BuildDirectory, *, collected: Mapping[str, Digest]
    ) -> Iterator[Fingerprinted]:
        fingerprinter = Fingerprinter(
            sources=sources,
            directory=directory,
            hashed_name=self.hashed_name,
            scanners=Scanners(self.patterns),
            resolver=self._resolver(sources),
            collected=collected,
            prehashed=self.options.prehashed,
            ignore_missing=self.options.ignore_missing,
            strict_source_maps=self.options.strict_source_maps,
            keep_originals=self.options.keep_originals,
            without_original=names_of_encodings(
                sources, self.options.encodings, self.options.skip_compress_extensions
            ),
        )
        yield from fingerprinter.run()
        for warning in fingerprinter.warnings:
            logger.warning("%s", warning)

    def _resolver(self, sources: Sources) -> Resolver:
        versioned = self.build_version is not None
        own_urls = set()
        if self.static_url is not None and versioned:
            own_urls = {self.base_url, self.static_url.plain()}
            if self.options.cdn_domain is not None:
                own_urls.add(self.options.cdn_domain + self.static_url.path)
        return Resolver(
            names=sources.keys(),
            static_path=self.static_url.path if self.static_url else "/",
            own_urls=tuple(sorted(own_urls, key=len, reverse=True)),
            versioned=versioned,
        )

    def _recipe(self) -> Recipe:
        return Recipe(
            build=self.build_version,
            encodings=self.options.encodings,
            skip_compress_extensions=self.options.skip_compress_extensions,
            keep_originals=self.options.keep_originals,
        )

    def publisher(self) -> Publisher | None:
        """What publishes the builds of this site; None where there is no origin."""
        if self.options.origin is None or self.static_url is None:
            return None
        from .origin.publisher import Publisher
        from .origin.s3 import S3Origin

        origin = S3Origin.from_options(self.options, self.static_url)
        return Publisher(origin, origin.prefix, origin.connections, self.options.base_build)

    def _base(self) -> Base | None:
        build = self.build_version
        return base_build(self.root, self.manifest_name, apart_from=build) if build else None

    def _complete_manifest(self) -> Manifest | None:
        """The manifest of the build directory if the build in it is complete."""
        if self.build_version is None or not self._has_manifest():
            self._complete = None
        elif self._complete is None:
            try:
                text = self.read_manifest() or ""
                manifest = Manifest.from_json(text, name=self.manifest_name)
            except UnreadableManifest:
                # Nobody can serve that build, so it is made again.
                return None
            # A manifest_storage of the site's own may still have another build's.
            self._complete = manifest if manifest.build == self.build_version else None
        return self._complete

    def _has_manifest(self) -> bool:
        if self.manifest_storage is not self or not self.location:
            return self.manifest_storage.exists(self.manifest_name)
        # Asked for each file that is collected, and much cheaper than Django's exists, which makes
        # sure each time that the name is below the location.
        return os.path.exists(os.path.join(self.location, self.manifest_name))  # noqa: PTH110, PTH118

    def _take_back(self, collected: Mapping[str, Digest], complete: Manifest | None) -> None:
        """Remove what was collected into a complete build and is none of it."""
        if complete is None:
            return
        own = complete.paths.keys() if complete.keep_originals else set(complete.paths.values())
        for name in collected.keys() - own:
            self._directory().remove(name)

    def _begin_collecting(self, *, dry_run: bool = False) -> None:
        """Raise what keeps this run from collecting, and keep other processes out.

        Raises `MissingBuildVersion` and `StaticRootAmongSources`.
        """
        if not self._may_collect:
            self.require_build()
            check_outside_sources(self.root)
            self._may_collect = True
        if self.build_version is not None and not dry_run and not self._complete_manifest():
            self._waited |= lock(self._directory())

    def _is_manifest(self, name: str) -> bool:
        return self.manifest_storage is self and self.clean_name(name) == self.manifest_name

    def _leave_out_manifest(
        self, names: dict[str, str], paths: Mapping[str, tuple[Storage, str]], *, dry_run: bool
    ) -> None:
        """Take a source that has the manifest's name out of ``names``, and warn."""
        name = names.pop(self.manifest_name, None) if self.manifest_storage is self else None
        if name is None:
            return
        if not dry_run and self._directory().is_symlink(self.manifest_name):
            # collectstatic --link puts it there without asking the storage.
            self._directory().remove(self.manifest_name)
        source, path = paths[name]
        try:
            place = source.path(path)
        except NotImplementedError:
            place = path
        logger.warning(
            "%s is left out: the manifest of a build has that name. Rename it, or leave it out "
            "with collectstatic --ignore %s.",
            place,
            self.manifest_name,
        )

    def require_build(self) -> None:
        """Raise `MissingBuildVersion` where a build version is needed and not set."""
        if self.build_version is None and self.options.wants_build:
            raise MissingBuildVersion(self._builds())

    def _builds(self) -> list[str]:
        return complete_builds(self.root, self.manifest_name)
