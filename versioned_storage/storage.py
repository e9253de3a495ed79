"""VersionedStaticFilesStorage: what collectstatic and {% static %} talk to."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import FileSystemStorage, Storage
from django.utils.encoding import filepath_to_uri

from . import conf, startup, static_url
from .build.manifest import UnreadableManifest
from .collect import CollectsBuilds
from .conf import Options
from .errors import MissingBuildVersion, MissingEntry, MissingManifest, VersionedStorageError
from .progress import logger
from .static_url import StaticURL

_DJANGOS_ARGUMENTS = inspect.signature(FileSystemStorage.__init__).parameters.keys() - {"self"}


class VersionedStaticFilesStorage(CollectsBuilds):
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
            raise conf.UnknownOption(conf.STORAGE_OPTIONS, name, known)
        self.options = Options.load(given)
        if self.options.manifest_strict is not None:
            self.manifest_strict = self.options.manifest_strict
        if self.options.js_modules is not None:
            self.support_js_module_import_aggregation = self.options.js_modules
        self.static_url = StaticURL.parse(base_url) if base_url else static_url.current()
        self.root = os.fspath(location) if location else conf.static_root()
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
        self._begin_with_nothing_collected()
        startup.warn_if_not_installed()

    # What a page asks

    @property
    def gives_plain_urls(self) -> bool:
        """Return True where pages need no build: with DEBUG, and in a test environment.

        There an explicit ``manifest_strict=True`` asks for the URLs of a build all the same, and
        the neutral layout with a manifest behaves as Django's storage.
        """
        if conf.debug():
            return True
        if self.options.manifest_strict is True or not self._is_tested():
            return False
        neutral = self.build_version is None and not self.options.wants_build
        return not (neutral and self.hashed_files)

    def url(self, name: str | None, force: bool = False) -> str:
        """Return the URL of a file: of its hashed name in the build, or the plain one.

        Raises ImproperlyConfigured where a build version is needed and missing, ValueError for a
        file that the manifest does not have, unless ``manifest_strict`` is off. Both are logged
        once pages are served, because Django's own LOGGING shows no error of a page.
        """
        name = name or ""
        if self.gives_plain_urls and not force:
            return self._plain_url(name)
        try:
            return self._build_url(name)
        except (OSError, VersionedStorageError) as error:
            url = self._url_without_manifest(name, error)
            if url is not None:
                return url
            if startup.may_serve_pages() and not isinstance(error, MissingEntry):
                logger.error("{%% static %r %%} failed: %s", name, " ".join(str(error).split()))
            raise

    def _url_without_manifest(self, name: str, error: Exception) -> str | None:
        """Return the URL below the build for code that asks before any page is served.

        A module that calls ``static()`` while it is imported must not stop the commands that make
        the build. None where the error stands: the origin did not answer, for example.
        """
        if startup.may_serve_pages():
            return None
        reason = _reason_without_manifest(error)
        if reason is None:
            return None
        path, tail = _split(name)
        url = _join(self.base_url, unquote(path)) + tail
        if startup.warns_first():
            leads = ""
            if not self.options.keep_originals:
                leads = " It leads nowhere, because keep_originals is off."
            logger.warning(
                "%s asks for the URL of %r before any page is served, and %s: it keeps "
                "%s, the URL of the original name.%s Call static() where the URL is used instead. "
                "Further calls like it are not reported.",
                startup.caller(),
                name,
                reason,
                url,
                leads,
            )
        return url

    def _build_url(self, name: str) -> str:
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
        if self.manifest is None and not self.hashed_files:
            raise MissingManifest(clean_name, self.manifest_places())
        raise MissingEntry(clean_name, self.hashed_files)

    @staticmethod
    def _is_tested() -> bool:
        # Modules are imported before the test environment is set up.
        before = conf.is_test_run() and not startup.may_serve_pages() and startup.is_importing()
        return before or conf.in_test_environment()

    def _plain_url(self, name: str) -> str:
        path, tail = _split(name)
        return _join(self.static_url.plain() if self.static_url else "", unquote(path)) + tail


def _reason_without_manifest(error: Exception) -> str | None:
    """Say why code that asks before any page is served gets a URL anyway; None if it does not."""
    if isinstance(error, MissingManifest):
        return "there is no manifest yet"
    if isinstance(error, MissingBuildVersion) and startup.is_importing():
        return "there is no build version"
    # The command that would mend it must not stop at it.
    if startup.is_collectstatic() and isinstance(error, (MissingEntry, UnreadableManifest)):
        return "the manifest does not have it yet"
    return None


def _split(name: str) -> tuple[str, str]:
    """A name as a URL has it: the path, and the query and the fragment after it."""
    ends = [end for end in (name.find("?"), name.find("#")) if end >= 0]
    end = min(ends, default=len(name))
    return name[:end], name[end:]


def _join(base_url: str, path: str) -> str:
    return urljoin(base_url, (filepath_to_uri(path) or "").lstrip("/"))
