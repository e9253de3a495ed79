"""WhiteNoise's tables and hooks, with builds in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import IsDirectoryError, MissingFileError

from . import conf
from .build.manifest import Asset, with_charset
from .constants import ENCODINGS, MANIFEST_NAME
from .errors import VersionedStorageError
from .serving.catalogue import Build, Catalogue, is_hidden
from .serving.files import MissingFile, regular_files, status_of
from .serving.negotiation import IDENTITY
from .serving.served import ServedFile
from .site import configured_storage

#: How many files of builds are kept with their headers ready; a few kB each.
READY = 1024


class WhiteNoiseWithBuilds(WhiteNoiseMiddleware):  # type: ignore[misc]  # ships no types
    """What is served, and with which headers; of the builds by their manifests alone."""

    def __init__(self, get_response: Any = None, settings: Any = None) -> None:
        self._storage = configured_storage()
        options = self._storage.options if self._storage else conf.Options.load()
        self._response_headers = options.response_headers
        self._prehashed = options.prehashed
        self._builds = Catalogue(self._storage.manifest_name if self._storage else MANIFEST_NAME)
        self._ready: dict[str, ServedFile] = {}
        super().__init__(get_response, settings or conf.settings_as_written())

    def add_files(self, root: str, prefix: str | None = None) -> None:
        """Take up the files below ``root``: of STATIC_ROOT the builds, by their manifests.

        The files beside the builds only where the site has no build version, or no build; but
        always what django-compressor made.
        """
        if root == self.static_root and prefix == self.static_prefix:
            self._builds.open(os.fspath(root))
            if not self.autorefresh:
                self._builds.read()
                if self._builds and self._storage and self._storage.build_version:
                    self._add_compressed(os.fspath(root))
                    return
        super().add_files(root, prefix)

    def _add_compressed(self, root: str) -> None:
        name = conf.compressor_directory()
        if name is not None and Path(root, name).is_dir():
            super().add_files(str(Path(root, name)), f"{self.static_prefix}{name}")

    def update_files_dictionary(self, root: str, prefix: str) -> None:
        """Take up every regular file below ``root``, and nothing that is none."""
        stat_cache = dict(regular_files(root))
        for path in stat_cache:
            self.add_file_to_dictionary(prefix + path[len(root) :], path, stat_cache=stat_cache)

    def add_file_to_dictionary(
        self, url: str, path: str, stat_cache: Mapping[str, Any] | None = None
    ) -> None:
        """Take a file up at start, if it may be served and is not of a build."""
        if not self._is_private(url, path) and self._build_of(url) is None:
            super().add_file_to_dictionary(url, path, stat_cache=stat_cache)

    def find_file(self, url: str) -> Any:
        """Look for a file when it is asked for (WHITENOISE_AUTOREFRESH)."""
        return None if "\0" in url else super().find_file(url)

    def find_file_at_path(self, path: str, url: str) -> Any:
        """The file at a path, if it may be served."""
        if self._is_private(url, path):
            raise MissingFileError(path)
        return super().find_file_at_path(path, url)

    @staticmethod
    def is_compressed_variant(path: str, stat_cache: Mapping[str, Any] | None = None) -> bool:
        """Say whether a file is another one in an encoding, and served as that."""
        for encoding in ENCODINGS.values():
            if path.endswith(encoding.suffix):
                stem = path.removesuffix(encoding.suffix)
                return Path(stem).is_file() if stat_cache is None else stem in stat_cache
        return False

    def get_static_file(
        self, path: str, url: str, stat_cache: Mapping[str, Any] | None = None
    ) -> ServedFile:
        """What a URL outside the builds answers. Raises WhiteNoise's MissingFileError."""
        identity = _status(path, stat_cache)
        files = {}
        for name, encoding in ENCODINGS.items():
            with suppress(MissingFileError):
                encoded = path + encoding.suffix
                files[name] = (encoded, _status(encoded, stat_cache).st_size)
        headers = self._headers(path, url)
        asset, mtime = self._asset_outside_builds(url), int(identity.st_mtime)
        if asset is not None and asset.size == identity.st_size:
            _set_default(headers, "ETag", _etag(asset))
        # A file system without times says 0, which would be one tag for many contents.
        if mtime:
            _set_default(headers, "Last-Modified", formatdate(mtime, usegmt=True))
            _set_default(headers, "ETag", f'"{mtime:x}-{identity.st_size:x}"')
        return ServedFile({**files, IDENTITY: (path, identity.st_size)}, headers)

    def _make_ready(self, url: str) -> ServedFile | None:
        """What a URL of a build answers; None where no build has it."""
        name, _, below = self._below_static(url).partition("/")
        build = self._builds.get(name)
        found = build and build.find(below)
        if not build or not found:
            return None
        headers = self._headers(f"{build.directory}/{found.asset.hashed_name}", url)
        served = self._served(build, found.asset, headers, always=found.encoding)
        if len(self._ready) >= READY:
            self._ready.clear()
        self._ready[url] = served
        return served

    def _served(
        self, build: Build, asset: Asset, headers: Headers, *, always: str | None = None
    ) -> ServedFile:
        path = f"{build.directory}/{asset.hashed_name}"
        _set_default(headers, "Last-Modified", formatdate(build.completed_at, usegmt=True))
        _set_default(headers, "ETag", _etag(asset))
        files = {
            variant.encoding or IDENTITY: (path + variant.suffix, variant.size)
            for variant in asset.variants()
        }
        return ServedFile(files, headers, always=always, inside=build.inside)

    def _asset_outside_builds(self, url: str) -> Asset | None:
        """The asset whose hashed name that is in the neutral layout."""
        if self._storage is None or self._storage.build_version is not None:
            return None
        try:
            manifest = self._storage.manifest
        except VersionedStorageError:
            # A manifest that cannot be read: for the page to say, which cannot do without.
            return None
        return manifest.assets.get(self._below_static(url)) if manifest else None

    # Headers

    def add_mime_headers(self, headers: Headers, path: str, url: str) -> None:
        """Content-Type as the objects on S3 have it, with WHITENOISE_CHARSET where that is set."""
        headers["Content-Type"] = with_charset(self.media_types.get_type(path), self.charset)

    def add_cache_headers(self, headers: Headers, path: str, url: str) -> None:
        """Cache-Control: everything in a build is immutable, by whatever name."""
        if self._build_of(url) is not None:
            headers["Cache-Control"] = f"max-age={self.FOREVER}, public, immutable"
        else:
            super().add_cache_headers(headers, path, url)

    def immutable_file_test(self, path: str, url: str) -> bool:
        """Say whether a URL outside the builds never changes its content."""
        # WhiteNoise knows Django's hashed names by their form; a bundler's names have another, and
        # it is for the option to know them.
        below = self._below_static(url)
        if below and self._prehashed(below):
            return True
        # WhiteNoise asks for the URL of a page, which on such a site is in a build, or nowhere.
        if self._storage and (self._storage.build_version or self._storage.options.wants_build):
            return False
        immutable: bool = super().immutable_file_test(path, url)
        return immutable

    def _headers(self, path: str, url: str) -> Headers:
        headers = self._headers_of_every_answer()
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        if self.add_headers_function is not None:
            self.add_headers_function(headers, path, url)
        return headers

    def _headers_of_every_answer(self) -> Headers:
        headers = Headers(list(self._response_headers.items()))
        if self.allow_all_origins:
            headers["Access-Control-Allow-Origin"] = "*"
        return headers

    # Names

    def _is_private(self, url: str, path: str | None = None) -> bool:
        below = self._below_static(url)
        # With STATIC_URL = "/" the files of WHITENOISE_ROOT, at ``path``, are below it too.
        if self.static_prefix == "/" and path and not self._is_in_static_root(path):
            return False
        directory, _, name = below.rpartition("/")
        is_manifest = name == self._builds.manifest_name and directory.count("/") == 0
        return is_manifest or is_hidden(below)

    def _is_in_static_root(self, path: str) -> bool:
        if not self.static_root:
            return False
        # As WhiteNoise makes the paths from it, without ".." and with links as they are.
        root = os.path.abspath(self.static_root)  # noqa: PTH100 - Path has no such thing
        return Path(path).is_relative_to(root)

    def _build_of(self, url: str) -> Build | None:
        name, _, below = self._below_static(url).partition("/")
        if not below:
            return None
        return self._builds.look_for(name) if self.autorefresh else self._builds.get(name)

    def _below_static(self, url: str) -> str:
        return url[len(self.static_prefix) :] if url.startswith(self.static_prefix) else ""


def _etag(asset: Asset) -> str:
    # 192 bits of the sha384: in base64, of which each character may be in an entity-tag.
    return f'"{asset.integrity.partition("-")[2][:32]}"'


def _status(path: str, stat_cache: Mapping[str, Any] | None) -> os.stat_result:
    """The status of a regular file. Raises WhiteNoise's errors."""
    try:
        status: os.stat_result = status_of(path) if stat_cache is None else stat_cache[path]
    except (KeyError, MissingFile) as error:
        raise MissingFileError(path) from error
    if stat.S_ISDIR(status.st_mode):
        raise IsDirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise MissingFileError(path)
    return status


def _set_default(headers: Headers, name: str, value: str) -> None:
    if name not in headers:
        headers[name] = value
