"""VersionedWhiteNoiseMiddleware: the origin that CloudFront pulls from."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.encoding import filepath_to_uri
from whitenoise.responders import MissingFileError

from .errors import VersionedStorageError
from .progress import logger
from .serving.answers import Answer, Fixed, moved_for_now, not_found
from .serving.files import MissingFile
from .serving.responses import in_thread, respond
from .serving.served import ServedFile
from .whitenoise import WhiteNoiseWithBuilds

#: Destinations of requests (https://fetch.spec.whatwg.org/#concept-request-destination) for which a
#: browser takes no script of another origin.
WORKERS = frozenset({"worker", "sharedworker", "serviceworker"})
SEC_FETCH_DEST = "Sec-Fetch-Dest"


class VersionedWhiteNoiseMiddleware(WhiteNoiseWithBuilds):
    """WhiteNoise for builds: ``/static/<build>/...`` of every build in STATIC_ROOT, immutable.

    A container that holds the last build too answers for the HTML of the last deploy. Every
    setting and override point of WhiteNoise works. Manifests and dotfiles are not served. Runs
    under WSGI and under ASGI.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any = None, settings: Any = None) -> None:
        super().__init__(get_response, settings)
        # Not where WhiteNoise is at work for developers, who may have a view there.
        self._owns_prefix = (
            bool(self.static_root) and self.static_prefix != "/" and not self.autorefresh
        )
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

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
            answer = self._answer_to_miss(request, path[len(self.static_prefix) :])
            response = self.serve(answer, request)
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
            self._ready.pop(path, None)
            if below:
                self._builds.look_for(name)

    def _answers_misses_at(self, path: str) -> bool:
        return self._owns_prefix and path.startswith(self.static_prefix)

    def _answer_to_miss(self, request: HttpRequest, name: str) -> Fixed | ServedFile:
        """To a name below the static prefix: where it is in the current build, or a 404.

        Links without a build are in mails, in pages that were cached before the move to builds, and
        in code that does not use {% static %}.
        """
        url = self._current_url(name)
        headers = self._headers_of_every_answer()
        if url is None:
            return not_found(headers)
        if request.META.get("HTTP_SEC_FETCH_DEST") in WORKERS:
            static_file = self._current_file(name)
            if static_file is not None:
                return static_file
        headers["Vary"] = SEC_FETCH_DEST
        return moved_for_now(url, headers)

    def _current_file(self, name: str) -> ServedFile | None:
        """The file of that name in the current build, at its URL without a build.

        A worker's script must be of the page's origin, and a service worker's behind no redirect.
        """
        version = self._storage.build_version if self._storage else None
        build = self._builds.get(version) if version else None
        asset = build.asset(name) if build else None
        if build is None or asset is None:
            return None
        path = f"{build.directory}/{asset.hashed_name}"
        headers = self._headers(path, self.static_prefix + name)
        headers["Vary"] = ", ".join(filter(None, (headers["Vary"], SEC_FETCH_DEST)))
        return self._served(build, asset, headers)

    def _current_url(self, name: str) -> str | None:
        storage = self._storage
        if storage is None or storage.build_version is None or storage.gives_plain_urls:
            return None
        if self._is_private(self.static_prefix + name):
            return None
        try:
            hashed_name = storage.hashed_files.get(name)
        except (OSError, VersionedStorageError) as error:
            logger.warning("No redirect for %s: %s", name, error)
            return None
        build = self._builds.get(storage.build_version)
        if hashed_name is None and build is not None and name in build.assets:
            hashed_name = name
        if hashed_name is None:
            return None
        return storage.base_url + (filepath_to_uri(hashed_name) or "")
