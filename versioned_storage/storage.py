"""VersionedStaticFilesStorage: what collectstatic and {% static %} talk to."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage
from django.utils import timezone
from django.utils.encoding import filepath_to_uri

from . import options as site
from . import static_url
from .apps import say_if_not_installed
from .build.assembly import Base, Recipe, assemble
from .build.compression import encode_file
from .build.directory import BuildDirectory, CannotWrite, Digest, writing
from .build.files import DigestedFile, PassingFile
from .build.fingerprint import Fingerprinted, Fingerprinter
from .build.manifest import BuildFile, Manifest, UnreadableManifest
from .build.problems import BuildIsComplete, BuildIsFrozen
from .build.references.scanning import Scanners
from .build.sources import Sources
from .build.targets import Targets
from .builds import base_build, complete_builds
from .errors import MissingBuildVersion, MissingEntry, MissingManifest, OtherContent, SourceError
from .on_demand import ManifestOnDemand
from .options import Options
from .progress import logger, say
from .static_url import StaticURL

if TYPE_CHECKING:
    # Imported where it is used: boto3 costs a process a quarter of a second and 20 MB, and a site
    # without an origin, or a worker that has its manifest on disk, never needs it.
    from .origin.publish import Publisher

_DJANGOS_ARGUMENTS = inspect.signature(FileSystemStorage.__init__).parameters.keys() - {"self"}


class VersionedStaticFilesStorage(ManifestOnDemand):
    """Collects a build into ``STATIC_ROOT/<build version>/`` and publishes it.

    Takes the arguments of Django's ManifestStaticFilesStorage and every option of `Options`.
    Without a build version it is that storage, with compression. Raises ImproperlyConfigured for
    an option that cannot be; what is only not configured yet is no error before it is needed.
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        base_url: str | None = None,
        *args: Any,
        manifest_storage: Storage | None = None,
        **kwargs: Any,
    ) -> None:
        given = {name: kwargs.pop(name) for name in Options.names() & kwargs.keys()}
        for name in sorted(kwargs.keys() - _DJANGOS_ARGUMENTS):
            known = Options.names() | _DJANGOS_ARGUMENTS | {"manifest_storage"}
            raise site.UnknownOption(site.STORAGE_OPTIONS, name, known)
        self.options = Options.load(given)
        if self.options.manifest_strict is not None:
            self.manifest_strict = self.options.manifest_strict
        if self.options.js_modules is not None:
            self.support_js_module_import_aggregation = self.options.js_modules
        self.static_url = StaticURL.parse(base_url) if base_url else static_url.current()
        self.root = os.fspath(location) if location else site.static_root()
        directory = self.root
        if self.build_version is not None and self.static_url is not None:
            self.static_url.check_holds_builds(self.options.cdn_domain)
        if self.build_version is not None and self.root is not None:
            directory = str(Path(self.root, self.build_version))
        # Not ManifestFilesMixin's own __init__, which would read the manifest here.
        super(ManifestFilesMixin, self).__init__(
            directory, self.static_url.plain() if self.static_url else None, *args, **kwargs
        )
        self.manifest_storage: Storage = manifest_storage or self
        self._begin_without_manifest()
        self._collected: dict[str, Digest] = {}
        self._complete: Manifest | None = None
        say_if_not_installed()

    @property
    def base_url(self) -> str:
        """The URL of the build, or of STATIC_URL in the neutral layout; ends with a slash."""
        if self.static_url is None:
            return ""
        if self.build_version is None:
            return self.static_url.plain()
        return self.static_url.of_build(self.build_version, self.options.cdn_domain)

    # What a page asks

    def url(self, name: str | None, force: bool = False) -> str:
        """The URL of a file: of its hashed name in the build, or with DEBUG the plain one.

        Raises ImproperlyConfigured where a build version is needed and missing, ValueError for a
        file that the manifest does not have, unless ``manifest_strict`` is off.
        """
        name = name or ""
        if site.debug() and not force:
            return self._plain_url(name)
        if self.build_version is None and self.options.wants_build:
            if self.manifest_strict:
                raise MissingBuildVersion(self._builds())
            return self._plain_url(name)
        if name in self.hashed_files:
            return _join(self.base_url, self.stored_name(name))
        path, tail = _split(name)
        if path and not path.endswith("/"):
            path = self.stored_name(path)
        return _join(self.base_url, path) + tail

    def stored_name(self, name: str) -> str:
        """The hashed name of a file. Raises ValueError for an unknown one if manifest_strict."""
        hashed_name = self.hashed_files.get(name)
        if hashed_name is not None:
            return hashed_name
        clean_name = urlsplit(unquote(name)).path.strip()
        # Django's way where the file is known, and in the neutral layout without strictness, where
        # it is the hash of the file that is there now.
        by_hash = self.build_version is None and not self.manifest_strict and self.hashed_files
        if by_hash or self.hash_key(clean_name) in self.hashed_files:
            return super().stored_name(name)
        if not self.manifest_strict:
            return unquote(name)
        if not self.hashed_files:
            raise MissingManifest(clean_name, self.manifest_places())
        raise MissingEntry(clean_name, self.hashed_files)

    def _plain_url(self, name: str) -> str:
        path, tail = _split(name)
        return _join(self.static_url.plain() if self.static_url else "", unquote(path)) + tail

    # What collectstatic asks

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

    def get_modified_time(self, name: str) -> datetime:
        """As Django's; in a complete build every file is as new as can be.

        collectstatic then leaves it alone. A complete build is immutable, and whether the sources
        still are what it was made of is for `post_process` to say, by their content.
        """
        return timezone.now() if self._complete_manifest() else super().get_modified_time(name)

    def delete(self, name: str) -> None:
        """As Django's, but of a complete build only the manifest, which `--clear` deletes first.

        Raises `BuildIsFrozen` for all else of it, `CannotWrite` where the disk refuses.
        """
        self.require_build()
        if name != self.manifest_name and self._complete_manifest() and self.exists(name):
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
        self.require_build()
        publisher = None if dry_run or not self.options.publish else self.publisher()
        begun = publisher.begin(str(self.build_version)) if publisher else None
        names = {self.clean_name(name): name for name in paths}
        sources = {clean: paths[name] for clean, name in names.items()}
        self._complete = None
        complete = self._complete_manifest()
        recipe = self._recipe()
        # Of this run alone: before the next one, the sources can change.
        collected, self._collected = self._collected, {}
        try:
            built = assemble(
                sources,
                self._directory(),
                recipe,
                partial(self._fingerprint, collected=collected),
                complete=complete,
                base=self._base(),
                elsewhere=begun.encoded(recipe.encoders) if begun else None,
                dry_run=dry_run,
            )
        except SourceError as error:
            self._take_back(collected, complete)
            yield ", ".join(error.names), None, error
            return
        except BuildIsComplete:
            self._take_back(collected, complete)
            raise
        if dry_run:
            say(built.forecast(self.location))
            return
        self._manifest = built.manifest
        self.hashed_files = dict(built.manifest.paths)
        self.save_manifest()
        for one in built.done:
            yield names[one.name], one.hashed_name, one.written or self._counts_as_processed(one)
        say(built.summary(self.location))
        if publisher is not None:
            directory = Path(self.location)
            try:
                published = publisher.publish(self._manifest, directory, begun, self.provide)
            except OtherContent:
                # The files here are not those of the build that pages get: without their manifest
                # nobody takes them for it.
                self.manifest_storage.delete(self.manifest_name)
                raise
            say(str(published))

    def provide(self, file: BuildFile) -> None:
        """Make an encoding that this disk lacks, because S3 had it when the build was made."""
        encode_file(self._directory(), file)

    def _counts_as_processed(self, one: Fingerprinted) -> bool:
        # Django's storage counts what can have references, changed or not.
        globs = [glob for glob, _ in self.patterns]
        return self.build_version is None and matches_patterns(one.name, globs)

    def _save(self, name: str, content: File[Any]) -> str:
        self.require_build()
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
            targets=self._targets(sources),
            collected=collected,
            prehashed=self.options.prehashed,
            ignore_missing=self.options.ignore_missing,
            strict_source_maps=self.options.strict_source_maps,
            keep_originals=self.options.keep_originals,
        )
        yield from fingerprinter.run()
        if fingerprinter.missing_source_maps:
            listed = "; ".join(map(str, fingerprinter.missing_source_maps))
            logger.warning("Source maps that are not there, left as they are: %s", listed)

    def _targets(self, sources: Sources) -> Targets:
        versioned = self.build_version is not None
        own_urls = set()
        if self.static_url is not None and versioned:
            own_urls = {self.base_url, self.static_url.plain()}
            if self.options.cdn_domain is not None:
                own_urls.add(self.options.cdn_domain + self.static_url.path)
        return Targets(
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
        from .origin.publish import Publisher
        from .origin.s3 import S3Origin

        options = self.options
        origin = S3Origin(
            self.options.origin,
            connections=options.connections,
            conditional=options.conditional_writes,
        )
        prefix = self.static_url.path.lstrip("/")
        return Publisher(origin, prefix, options.connections, options.base_build)

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

    def require_build(self) -> None:
        """Raise `MissingBuildVersion` where a build version is needed and not set."""
        if self.build_version is None and self.options.wants_build:
            raise MissingBuildVersion(self._builds())

    def _builds(self) -> list[str]:
        return complete_builds(self.root, self.manifest_name)


def _split(name: str) -> tuple[str, str]:
    """A name as a URL has it: the path, and the query and the fragment after it."""
    ends = [end for end in (name.find("?"), name.find("#")) if end >= 0]
    end = min(ends, default=len(name))
    return name[:end], name[end:]


def _join(base_url: str, path: str) -> str:
    return urljoin(base_url, (filepath_to_uri(path) or "").lstrip("/"))
