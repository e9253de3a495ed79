"""VersionedWhiteNoiseMiddleware: the origin that CloudFront pulls from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.storage import staticfiles_storage
from whitenoise.middleware import WhiteNoiseMiddleware

from . import options as site
from .build.manifest import MANIFEST_NAME


class VersionedWhiteNoiseMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # ships no types
    """WhiteNoise for builds: ``/static/<build>/...`` of every build in STATIC_ROOT, immutable.

    A container that holds the last build too answers for the HTML of the last deploy. Every
    setting and override point of WhiteNoise works. Manifests and dotfiles are not served.
    """

    def __init__(self, get_response: Any = None, settings: Any = None) -> None:
        self._found_builds: dict[str, bool] = {}
        super().__init__(get_response, settings or site.settings_as_written())

    def immutable_file_test(self, path: str, url: str) -> bool:
        """Say whether a URL never changes its content, as nothing in a build does."""
        below = self._below_static(url)
        build, slash, _ = below.partition("/")
        if slash and self._is_build(build):
            return True
        if below and _is_prehashed(below):
            return True
        immutable: bool = super().immutable_file_test(path, url)
        return immutable

    def add_file_to_dictionary(
        self, url: str, path: str, stat_cache: Mapping[str, Any] | None = None
    ) -> None:
        """Take a file up at start, if it may be served."""
        if not self._is_private(url):
            super().add_file_to_dictionary(url, path, stat_cache=stat_cache)

    def find_file(self, url: str) -> Any:
        """Look for a file when it is asked for (WHITENOISE_AUTOREFRESH), if it may be served."""
        return None if self._is_private(url) else super().find_file(url)

    def _is_private(self, url: str) -> bool:
        below = self._below_static(url)
        directory, _, name = below.rpartition("/")
        is_manifest = name == MANIFEST_NAME and directory.count("/") == 0
        return bool(below) and (is_manifest or name.startswith("."))

    def _below_static(self, url: str) -> str:
        return url[len(self.static_prefix) :] if url.startswith(self.static_prefix) else ""

    def _is_build(self, name: str) -> bool:
        if not self.static_root or not name:
            return False
        if name not in self._found_builds:
            self._found_builds[name] = Path(self.static_root, name, MANIFEST_NAME).is_file()
        return self._found_builds[name]


def _is_prehashed(name: str) -> bool:
    # In the neutral layout WhiteNoise knows Django's hashed names by their form; a bundler's names
    # have another, and it is for the option to know them.
    options = getattr(staticfiles_storage, "options", None)
    return isinstance(options, site.Options) and options.prehashed(name)
