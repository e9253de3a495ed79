"""VersionedWhiteNoiseMiddleware: the origin that CloudFront pulls from."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from wsgiref.headers import Headers

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.encoding import filepath_to_uri
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import IsDirectoryError, MissingFileError

from . import conf
from .build.manifest import Asset, with_charset
from .constants import CACHE_CONTROL, ENCODINGS, IDENTITY, MANIFEST_NAME
from .errors import MissingMarks, VersionedStorageError
from .progress import logger
from .serving.build_index import (
    LRU,
    BuildIndex,
    ServedBuild,
    SharedFile,
    etag_of,
    is_hidden,
    may_be_shared_prefix,
    set_default,
)
from .serving.django_responses import django_response, in_thread
from .serving.regular_files import regular_files, status_of
from .serving.static_file import FileOnDisk, StaticFile
from .serving.static_response import FixedResponder, StaticResponse, not_found, redirect
from .site import configured_storage

#: How many files of builds are kept with their headers ready; a few kB each.
READY_FILES = 1024
#: Destinations of requests (https://fetch.spec.whatwg.org/#concept-request-destination) for which a
#: browser takes no script of another origin.
WORKERS = frozenset({"worker", "sharedworker"})
#: Takes no redirect either.
SERVICE_WORKER = "serviceworker"
SEC_FETCH_DEST = "Sec-Fetch-Dest"


class VersionedWhiteNoiseMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # ships no types
    """WhiteNoise for builds: serves ``/static/<build>/...`` of every build in STATIC_ROOT.

    A container that also holds the last build answers for the pages of the last deploy. Every
    setting and hook of WhiteNoise works. Manifests and dotfiles are not served. Runs under WSGI and
    under ASGI.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any = None, settings: Any = None) -> None:
        self._storage = configured_storage()
        options = self._storage.options if self._storage else conf.Options.load()
        self._response_headers = options.response_headers
        self._prehashed = options.prehashed
        self._shares_assets = options.shares_assets
        self._shared_prefix = options.shared_prefix
        self._builds = BuildIndex(self._storage.manifest_name if self._storage else MANIFEST_NAME)
        self._ready: LRU[StaticFile] = LRU(READY_FILES)
        self._reported: set[str] = set()
        super().__init__(get_response, settings or conf.settings_as_written())
        # Not where WhiteNoise serves developers, who may have a view below the prefix.
        self._owns_prefix = (
            bool(self.static_root) and self.static_prefix != "/" and not self.autorefresh
        )
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Serve a static file, or leave the request to the rest of the site."""
        if self._is_async:
            return self._call_async(request)
        response = None
        static_file = self._lookup(request.path_info)
        if static_file is not None or self._owns(request.path_info):
            response = self._serve(static_file, request)
        return self.get_response(request) if response is None else response

    async def _call_async(self, request: HttpRequest) -> Any:
        path = request.path_info
        if self.autorefresh:
            static_file = await asyncio.to_thread(self._lookup, path)
        else:
            static_file = self._lookup(path)
        response = None
        # The first time, the path is resolved on disk, in a thread; later the kernel has it cached.
        if isinstance(static_file, StaticFile) and static_file.was_opened_for(request.META):
            response = self._serve_unless_missing(static_file, request)
        if response is None and (static_file is not None or self._owns(path)):
            response = await in_thread(self._serve, static_file, request)
        return await self.get_response(request) if response is None else response

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponseBase:
        """Return the response of a static file. Raises `MissingFileError`."""
        response = static_file.get_response(request.method, request.META)
        if not isinstance(response, StaticResponse):
            # WhiteNoise's own: a redirect to an index file.
            response = StaticResponse(response.status, tuple(response.headers), response.file)
        return django_response(response, request)

    def _lookup(self, path: str) -> Any:
        """What is served at a path; the disk is not read, unless WHITENOISE_AUTOREFRESH is on."""
        if self.autorefresh:
            return self.find_file(path)
        static_file = self.files.get(path) or self._ready.get(path)
        if static_file is None and path.startswith(self.static_prefix):
            static_file = self._file_of_build(path)
        return static_file

    def _serve(self, static_file: Any, request: HttpRequest) -> HttpResponseBase | None:
        path = request.path_info
        response = self._serve_unless_missing(static_file, request)
        if response is None:
            self._refresh(path)
            response = self._serve_unless_missing(self._lookup(path), request)
        if response is None and self._owns(path):
            responder = self._responder_to_miss(request, path[len(self.static_prefix) :])
            response = self._serve_unless_missing(responder, request)
            if response is None:
                response = self.serve(not_found(self._common_headers()), request)
        return response

    def _serve_unless_missing(
        self, static_file: Any, request: HttpRequest
    ) -> HttpResponseBase | None:
        try:
            return None if static_file is None else self.serve(static_file, request)
        except MissingFileError:
            return None

    def _owns(self, path: str) -> bool:
        """Return True if this middleware answers a miss at that path with 404 or a redirect."""
        return self._owns_prefix and path.startswith(self.static_prefix)

    def _refresh(self, path: str) -> None:
        """Read again from disk what is at that path."""
        static_file = self.files.get(path)
        if isinstance(static_file, StaticFile):
            try:
                self.files[path] = self.get_static_file(static_file.path, path)
            except MissingFileError:
                self.files.pop(path, None)
        elif new_file := self.find_file(path):
            self.files[path] = new_file
        elif path.startswith(self.static_prefix):
            version, _, name = self._below_static(path).partition("/")
            self._ready.remove(path)
            if may_be_shared_prefix(version):
                if self._may_get_shared_assets(version):
                    self._builds.refresh_all()
            elif name:
                self._builds.refresh(version)

    def _may_get_shared_assets(self, prefix: str) -> bool:
        """Return True if a build that has arrived may have shared assets below that prefix.

        The build may be of a rolling deploy that switches shared assets on or changes their prefix.
        """
        is_expected = self._shares_assets or prefix == self._shared_prefix
        return is_expected or self._builds.has_shared_prefix(prefix)

    def _file_of_build(self, url: str) -> StaticFile | None:
        """The static file at a URL of a build or of a shared asset; None if no build has it."""
        shared_file = self._shared_file(url)
        if shared_file is not None:
            static_file = shared_file.static_file(self._headers(shared_file.path, url))
            self._ready.put(url, static_file)
            return static_file
        version, _, name = self._below_static(url).partition("/")
        build = self._builds.get(version)
        match = build.lookup(name) if build else None
        if build is None or match is None:
            return None
        asset, encoding = match
        headers = self._headers(build.path(asset), url)
        static_file = build.static_file(asset, headers, forced=encoding)
        self._ready.put(url, static_file)
        return static_file

    def _shared_file(self, url: str) -> SharedFile | None:
        """The shared asset at a URL, in the builds that have it."""
        prefix, _, name = self._below_static(url).partition("/")
        if not may_be_shared_prefix(prefix):
            return None
        own = self._storage.build_version if self._storage else None
        return self._builds.shared_file(prefix, name, own)

    def _responder_to_miss(self, request: HttpRequest, name: str) -> FixedResponder | StaticFile:
        """Answer a name below STATIC_URL that is in no build: redirect to the current one, or 404.

        Links without a build are in mails, in pages that were cached before the move to builds, and
        in code that does not use {% static %}. So are those of a script that computes the URL of a
        neighbour from the URL of a shared asset.
        """
        hashed_name = self._hashed_name_of_miss(request, name)
        headers = self._common_headers()
        if self._storage is None or hashed_name is None:
            return not_found(headers)
        build, static_url = self._current_build(), self._storage.static_url
        asset = build.assets.get(hashed_name) if build else None
        destination = request.META.get("HTTP_SEC_FETCH_DEST")
        if build is not None and asset is not None and destination == SERVICE_WORKER:
            return self._file_in_place(self.static_prefix + name, build, asset)
        if asset is not None and static_url is not None and destination in WORKERS:
            # At its own URL the references in it lead to the build, and to the shared assets.
            below = static_url.plain().removeprefix(static_url.host)
            url = below + filepath_to_uri(asset.path)
        else:
            try:
                url = self._storage.stored_url(hashed_name)
            except MissingMarks as error:
                # The pages report it.
                logger.warning("No redirect for %s: %s", name, error)
                return not_found(headers)
        if unquote(urlsplit(url).path).endswith(self.static_prefix + name):
            # A shared asset that has kept its name, and whose file is gone.
            return not_found(headers)
        headers["Vary"] = SEC_FETCH_DEST
        return redirect(url, headers)

    def _hashed_name_of_miss(self, request: HttpRequest, name: str) -> str | None:
        """Return the hashed name in the current build, also of a name below the shared prefix."""
        hashed_name = self._current_hashed_name(name)
        if hashed_name is None and (original := self._below_shared(name)):
            hashed_name = self._current_hashed_name(original, hashed=False)
            if hashed_name is not None:
                self._report_computed_url(name, request)
        return hashed_name

    def _file_in_place(self, url: str, build: ServedBuild, asset: Asset) -> StaticFile:
        """The file of an asset at a URL without a build."""
        headers = self._headers(build.path(asset), url)
        headers["Vary"] = ", ".join(filter(None, (headers["Vary"], SEC_FETCH_DEST)))
        return build.static_file(asset, headers)

    def _below_shared(self, name: str) -> str:
        """What comes after the prefix of shared assets in a name; empty for other names."""
        prefix, _, below = name.partition("/")
        return below if self._builds.has_shared_prefix(prefix) else ""

    def _report_computed_url(self, name: str, request: HttpRequest) -> None:
        """Log once that an original name was requested below the prefix of shared assets."""
        if name in self._reported:
            return
        self._reported.add(name)
        logger.warning(
            "%s%s was requested, which is an original name below the prefix of shared assets. It "
            "is redirected to the current build here, and missing on S3. Something computes it "
            "from the URL of a shared asset: look in the page or the script %s",
            self.static_prefix,
            name,
            request.META.get("HTTP_REFERER", "(the request has no Referer)"),
        )

    def _current_hashed_name(self, name: str, *, hashed: bool = True) -> str | None:
        """The hashed name of an original name in the current build, if it has it.

        With ``hashed`` the name may be a hashed one.
        """
        storage = self._storage
        if storage is None or storage.build_version is None or conf.debug():
            return None
        if self._is_private(self.static_prefix + name):
            return None
        try:
            hashed_name = storage.hashed_files.get(name)
        except (OSError, VersionedStorageError) as error:
            logger.warning("No redirect for %s: %s", name, error)
            return None
        build = self._current_build()
        if hashed and hashed_name is None and build is not None and name in build.assets:
            return name
        return hashed_name

    def _current_build(self) -> ServedBuild | None:
        version = self._storage.build_version if self._storage else None
        return self._builds.get(version) if version else None

    def _is_of_build(self, url: str) -> bool:
        """Return True for what is below a build, and for a shared asset."""
        version, _, name = self._below_static(url).partition("/")
        if not name:
            return False
        build = self._builds.refresh(version) if self.autorefresh else self._builds.get(version)
        return build is not None or self._shared_file(url) is not None

    def add_files(self, root: str, prefix: str | None = None) -> None:
        """Add the files below ``root``; of STATIC_ROOT the builds, by their manifests.

        The files beside the builds are added only if the site has no build version, or no build;
        what django-compressor made always is.
        """
        if root == self.static_root and prefix == self.static_prefix:
            self._builds.root = os.fspath(root)
            if not self.autorefresh:
                self._builds.read()
                if self._builds and self._storage and self._storage.build_version:
                    self._add_compressor_files(os.fspath(root))
                    return
        super().add_files(root, prefix)

    def _add_compressor_files(self, root: str) -> None:
        """Look at each miss for what django-compressor writes while it renders pages."""
        directory = conf.compressor_directory()
        if directory is not None:
            # WhiteNoise's `find_file` searches these; it compares paths by their beginnings.
            path = os.path.join(os.path.abspath(root), directory, "")  # noqa: PTH100, PTH118
            self.directories.append((path, f"{self.static_prefix}{directory}/"))

    def update_files_dictionary(self, root: str, prefix: str) -> None:
        """Add every regular file below ``root``."""
        stat_cache = dict(regular_files(root))
        for path in stat_cache:
            self.add_file_to_dictionary(prefix + path[len(root) :], path, stat_cache=stat_cache)

    def add_file_to_dictionary(
        self, url: str, path: str, stat_cache: Mapping[str, Any] | None = None
    ) -> None:
        """Add a file when the site starts, if it may be served and is in no build."""
        if not self._is_private(url, path) and not self._is_of_build(url):
            with suppress(MissingFileError):
                super().add_file_to_dictionary(url, path, stat_cache=stat_cache)

    def find_file(self, url: str) -> Any:
        """Find a file when it is asked for (WHITENOISE_AUTOREFRESH)."""
        return None if "\0" in url else super().find_file(url)

    def find_file_at_path(self, path: str, url: str) -> Any:
        """Find the file at a path, if it may be served."""
        if self._is_private(url, path):
            raise MissingFileError(path)
        return super().find_file_at_path(path, url)

    @staticmethod
    def is_compressed_variant(path: str, stat_cache: Mapping[str, Any] | None = None) -> bool:
        """Return True if a file is an encoding of its neighbour, and served as that."""
        for encoding in ENCODINGS.values():
            if path.endswith(encoding.suffix):
                identity = path.removesuffix(encoding.suffix)
                return Path(identity).is_file() if stat_cache is None else identity in stat_cache
        return False

    def get_static_file(
        self, path: str, url: str, stat_cache: Mapping[str, Any] | None = None
    ) -> StaticFile:
        """What is served at a URL outside the builds. Raises WhiteNoise's MissingFileError."""
        status = _status(path, stat_cache)
        files = {}
        for name, encoding in ENCODINGS.items():
            with suppress(MissingFileError):
                encoded = path + encoding.suffix
                files[name] = FileOnDisk(encoded, _status(encoded, stat_cache).st_size)
        files[IDENTITY] = FileOnDisk(path, status.st_size)
        headers = self._headers(path, url)
        etag, mtime = self._etag_in_neutral_layout(url, status.st_size), int(status.st_mtime)
        if etag is not None:
            set_default(headers, "ETag", etag)
        # A file system without times says 0, which would be one tag for many contents.
        if mtime:
            set_default(headers, "Last-Modified", formatdate(mtime, usegmt=True))
            set_default(headers, "ETag", f'"{mtime:x}-{status.st_size:x}"')
        return StaticFile(files.items(), headers)

    def _etag_in_neutral_layout(self, url: str, size: int) -> str | None:
        """The tag of the content, if the URL has the hashed name of an asset without a build."""
        if self._storage is None or self._storage.build_version is not None:
            return None
        try:
            manifest = self._storage.manifest
        except VersionedStorageError:
            # A page that needs the manifest reports the error; the file is served without a tag.
            return None
        asset = manifest.assets.get(self._below_static(url)) if manifest else None
        return etag_of(asset) if asset is not None and asset.size == size else None

    def add_mime_headers(self, headers: Headers, path: str, url: str) -> None:
        """Content-Type as the objects on S3 have it, with WHITENOISE_CHARSET where that is set."""
        headers["Content-Type"] = with_charset(self.media_types.get_type(path), self.charset)

    def add_cache_headers(self, headers: Headers, path: str, url: str) -> None:
        """Cache-Control: everything in a build is immutable, by whatever name."""
        if self._is_of_build(url):
            headers["Cache-Control"] = CACHE_CONTROL
        else:
            super().add_cache_headers(headers, path, url)

    def immutable_file_test(self, path: str, url: str) -> bool:
        """Return True if the content at a URL outside the builds never changes."""
        # WhiteNoise recognises the form of Django's hashed names; the option `prehashed` those of a
        # bundler.
        name = self._below_static(url)
        if name and self._prehashed(name):
            return True
        # WhiteNoise asks for the URL in pages, which on such a site is in a build, or nowhere.
        if self._storage and (self._storage.build_version or self._storage.options.wants_build):
            return False
        is_immutable: bool = super().immutable_file_test(path, url)
        return is_immutable

    def _headers(self, path: str, url: str) -> Headers:
        headers = self._common_headers()
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        if self.add_headers_function is not None:
            self.add_headers_function(headers, path, url)
        return headers

    def _common_headers(self) -> Headers:
        headers = Headers(list(self._response_headers.items()))
        if self.allow_all_origins:
            headers["Access-Control-Allow-Origin"] = "*"
        return headers

    def _is_private(self, url: str, path: str | None = None) -> bool:
        """Return True for manifests and for what is hidden."""
        # With STATIC_URL = "/" the files of WHITENOISE_ROOT, at ``path``, are below it too.
        if self.static_prefix == "/" and path and not self._is_in_static_root(path):
            return False
        name = self._below_static(url)
        directory, _, basename = name.rpartition("/")
        is_manifest = basename == self._builds.manifest_name and directory.count("/") == 0
        return is_manifest or is_hidden(name)

    def _is_in_static_root(self, path: str) -> bool:
        if not self.static_root:
            return False
        # As WhiteNoise makes the paths from it, without ".." and with links as they are.
        root = os.path.abspath(self.static_root)  # noqa: PTH100 - Path has no such thing
        return Path(path).is_relative_to(root)

    def _below_static(self, url: str) -> str:
        return url[len(self.static_prefix) :] if url.startswith(self.static_prefix) else ""


def _status(path: str, stat_cache: Mapping[str, Any] | None) -> os.stat_result:
    """The status of a regular file. Raises WhiteNoise's errors."""
    if stat_cache is not None and path not in stat_cache:
        raise MissingFileError(path)
    status: os.stat_result = status_of(path) if stat_cache is None else stat_cache[path]
    if stat.S_ISDIR(status.st_mode):
        raise IsDirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise MissingFileError(path)
    return status
