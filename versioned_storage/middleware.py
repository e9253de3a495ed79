"""VersionedWhiteNoiseMiddleware: the origin that CloudFront pulls from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.encoding import filepath_to_uri
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import MissingFileError, StaticFile

from . import options as site
from .apps import storage_options
from .build.encodings import ENCODINGS
from .build.manifest import MANIFEST_NAME, with_charset
from .errors import VersionedStorageError
from .progress import logger
from .serving.catalogue import Build, Catalogue, is_hidden
from .serving.files import MissingFile
from .serving.negotiation import IDENTITY
from .serving.responses import in_thread, respond
from .serving.served import Answer, Fixed, ServedFile
from .storage import VersionedStaticFilesStorage

#: How many files of builds are kept with their headers ready; a few kB each.
READY = 1024

_NOT_FOUND = b"There is no such static file.\n"


class VersionedWhiteNoiseMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # ships no types
    """WhiteNoise for builds: ``/static/<build>/...`` of every build in STATIC_ROOT, immutable.

    A container that holds the last build too answers for the HTML of the last deploy. Every
    setting and override point of WhiteNoise works. Manifests and dotfiles are not served. Runs
    under WSGI and under ASGI.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any = None, settings: Any = None) -> None:
        self._storage = _storage()
        options = self._storage.options if self._storage else site.Options.load()
        self._response_headers = options.response_headers
        self._prehashed = options.prehashed
        self._builds = Catalogue(self._storage.manifest_name if self._storage else MANIFEST_NAME)
        self._ready: dict[str, ServedFile] = {}
        super().__init__(get_response, settings or site.settings_as_written())
        # Not where WhiteNoise is at work for developers, who may have a view there.
        self._owns_prefix = (
            bool(self.static_root) and self.static_prefix != "/" and not self.autorefresh
        )
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    # A request

    def __call__(self, request: HttpRequest) -> Any:
        """Answer for a static file, or leave the request to the rest of the site."""
        if self._is_async:
            return self._call_async(request)
        found = self._find(request.path_info)
        if found is None and not self._answers_misses_at(request.path_info):
            return self.get_response(request)
        response = self._respond(found, request)
        return self.get_response(request) if response is None else response

    async def _call_async(self, request: HttpRequest) -> Any:
        path = request.path_info
        found = await asyncio.to_thread(self._find, path) if self.autorefresh else self._find(path)
        if found is None and not self._answers_misses_at(path):
            return await self.get_response(request)
        response = None
        # The first time the way to a file is followed on disk, and in a thread; from then on the
        # kernel knows it.
        if isinstance(found, ServedFile) and found.is_found(request.META):
            response = self._serve_if_there(found, request)
        if response is None:
            response = await in_thread(self._respond, found, request)
        return await self.get_response(request) if response is None else response

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponseBase:
        """The response to ``request`` of what was found. Raises `MissingFile`."""
        answer = static_file.get_response(request.method, request.META)
        if not isinstance(answer, Answer):
            # WhiteNoise's own, of a redirect to where an index file is.
            answer = Answer(answer.status, tuple(answer.headers), answer.file)
        return respond(answer, request)

    def _find(self, path: str) -> Any:
        """What is known at a path, without a look at the disk but with WHITENOISE_AUTOREFRESH."""
        if self.autorefresh:
            return self.find_file(path)
        found = self.files.get(path) or self._ready.get(path)
        if found is None and path.startswith(self.static_prefix):
            found = self._make_ready(path)
        return found

    def _respond(self, found: Any, request: HttpRequest) -> HttpResponseBase | None:
        path = request.path_info
        response = self._serve_if_there(found, request)
        if response is None:
            self._look_again(path)
            response = self._serve_if_there(self._find(path), request)
        if response is None and self._answers_misses_at(path):
            response = self.serve(self._answer_to_miss(path[len(self.static_prefix) :]), request)
        return response

    def _serve_if_there(self, found: Any, request: HttpRequest) -> HttpResponseBase | None:
        try:
            return None if found is None else self.serve(found, request)
        except MissingFile:
            return None

    def _look_again(self, path: str) -> None:
        """Take up what has come, gone or changed on disk since it was last looked at."""
        known = self.files.get(path)
        if isinstance(known, ServedFile):
            try:
                self.files[path] = self.get_static_file(known.path, path)
            except MissingFileError:
                self.files.pop(path, None)
        elif path.startswith(self.static_prefix):
            name, _, below = self._below_static(path).partition("/")
            build = self._builds.get(name)
            if below and self._builds.look_for(name) is not build:
                self._ready.clear()
            self._ready.pop(path, None)

    # Misses

    def _answers_misses_at(self, path: str) -> bool:
        return self._owns_prefix and path.startswith(self.static_prefix)

    def _answer_to_miss(self, name: str) -> Fixed:
        """To a name below the static prefix: where it is in the current build, or a 404.

        Links without a build are in mails, in pages that were cached before the move to builds, and
        in code that does not use {% static %}.
        """
        headers = self._headers_of_every_answer()
        url = self._current_url(name)
        if url is not None:
            headers["Location"] = url
            headers["Cache-Control"] = "max-age=60"
            headers["Content-Length"] = "0"
            return Fixed(Answer(HTTPStatus.FOUND, tuple(headers.items())))
        headers["Content-Type"] = "text/plain; charset=utf-8"
        headers["Cache-Control"] = "no-store"
        headers["Content-Length"] = str(len(_NOT_FOUND))
        return Fixed(Answer(HTTPStatus.NOT_FOUND, tuple(headers.items()), body=_NOT_FOUND))

    def _current_url(self, name: str) -> str | None:
        storage = self._storage
        if storage is None or storage.build_version is None or site.debug():
            return None
        try:
            hashed_name = storage.hashed_files.get(name)
        except VersionedStorageError as error:
            logger.warning("No redirect for %s: %s", name, error)
            return None
        build = self._builds.get(storage.build_version)
        if hashed_name is None and build is not None and name in build.assets:
            hashed_name = name
        if hashed_name is None or is_hidden(name):
            return None
        return storage.base_url + (filepath_to_uri(hashed_name) or "")

    # What is served

    def add_files(self, root: str, prefix: str | None = None) -> None:
        """Take up the files below ``root``: of STATIC_ROOT the builds, by their manifests.

        The files beside the builds only where the site has no build version, or no build.
        """
        if root == self.static_root and prefix == self.static_prefix:
            self._builds.open(os.fspath(root))
            if not self.autorefresh:
                self._builds.read()
                if self._builds and self._storage and self._storage.build_version:
                    return
        super().add_files(root, prefix)

    def add_file_to_dictionary(
        self, url: str, path: str, stat_cache: Mapping[str, Any] | None = None
    ) -> None:
        """Take a file up at start, if it may be served and is not of a build."""
        if not self._is_private(url) and self._build_of(url) is None:
            super().add_file_to_dictionary(url, path, stat_cache=stat_cache)

    def find_file(self, url: str) -> Any:
        """Look for a file when it is asked for (WHITENOISE_AUTOREFRESH), if it may be served."""
        return None if self._is_private(url) else super().find_file(url)

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
        encoded = {name: path + encoding.suffix for name, encoding in ENCODINGS.items()}
        entries = StaticFile.get_file_stats(path, encoded, stat_cache)
        identity = entries.pop(None)
        headers = self._headers(path, url)
        _set_default(headers, "Last-Modified", formatdate(int(identity.mtime), usegmt=True))
        _set_default(headers, "ETag", f'"{int(identity.mtime):x}-{identity.size:x}"')
        files = {name: (entry.path, entry.size) for name, entry in entries.items()}
        return ServedFile({**files, IDENTITY: (path, identity.size)}, headers)

    def _make_ready(self, url: str) -> ServedFile | None:
        """What a URL of a build answers; None where no build has it."""
        name, _, below = self._below_static(url).partition("/")
        build = self._builds.get(name)
        found = build and build.find(below)
        if not build or not found:
            return None
        asset = found.asset
        path = f"{build.directory}/{asset.hashed_name}"
        headers = self._headers(path, url)
        _set_default(headers, "Last-Modified", formatdate(build.completed_at, usegmt=True))
        _set_default(headers, "ETag", f'"{asset.integrity.partition("-")[2][:32]}"')
        files = {
            variant.encoding or IDENTITY: (path + variant.suffix, variant.size)
            for variant in asset.variants()
        }
        served = ServedFile(files, headers, always=found.encoding, inside=build.inside)
        if len(self._ready) >= READY:
            self._ready.clear()
        self._ready[url] = served
        return served

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

    def _is_private(self, url: str) -> bool:
        below = self._below_static(url)
        directory, _, name = below.rpartition("/")
        is_manifest = name == self._builds.manifest_name and directory.count("/") == 0
        return is_manifest or is_hidden(below)

    def _build_of(self, url: str) -> Build | None:
        name, _, below = self._below_static(url).partition("/")
        if not below:
            return None
        return self._builds.look_for(name) if self.autorefresh else self._builds.get(name)

    def _below_static(self, url: str) -> str:
        return url[len(self.static_prefix) :] if url.startswith(self.static_prefix) else ""


def _storage() -> VersionedStaticFilesStorage | None:
    # Another one is left alone: made without a STATIC_ROOT, WhiteNoise's own would raise.
    storage: Any = staticfiles_storage
    return storage if storage_options() is not None else None


def _set_default(headers: Headers, name: str, value: str) -> None:
    if name not in headers:
        headers[name] = value
