"""STATIC_ROOT: where it may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.utils import matches_patterns

from .errors import ConfigurationError


class StaticRootAmongSources(ConfigurationError):
    """collectstatic would collect what it wrote before."""

    def __init__(self, root: str, directory: str) -> None:
        self.root = root
        self.directory = directory
        super().__init__(
            f"STATIC_ROOT is {root}, in {directory}, which collectstatic collects from: each build "
            "would hold all earlier builds. Give STATIC_ROOT a directory of its own, for example "
            'STATIC_ROOT = BASE_DIR / "staticfiles".'
        )


def check_outside_sources(root: str | None) -> None:
    """Raise `StaticRootAmongSources` if collectstatic would find ``root`` among its sources."""
    if root is None:
        return
    resolved = Path(os.path.realpath(root))
    for directory in _source_directories():
        source = Path(os.path.realpath(directory))
        if not resolved.is_relative_to(source):
            continue
        if not _is_left_out(resolved.relative_to(source)):
            raise StaticRootAmongSources(root, directory)


def compressor_directory() -> str | None:
    """The name of the directory below STATIC_ROOT for what django-compressor makes of pages.

    None where that is not installed. Its files are of no build: pages are rendered later.
    """
    if not apps.is_installed("compressor"):
        return None
    name: str = getattr(settings, "COMPRESS_OUTPUT_DIR", "CACHE")
    return name.strip("/") or None


def _source_directories() -> Iterator[str]:
    """The directories of STATICFILES_DIRS and the apps' own; another finder's if it has them."""
    for finder in get_finders():
        for storage in getattr(finder, "storages", {}).values():
            if location := getattr(storage, "location", None):
                yield location


def _is_left_out(below: Path) -> bool:
    """Return True if collectstatic skips this path below a source directory, as a dotfile."""
    if not apps.is_installed("django.contrib.staticfiles"):
        return False
    app: Any = apps.get_app_config("staticfiles")
    return any(matches_patterns(part, app.ignore_patterns) for part in below.parts)
