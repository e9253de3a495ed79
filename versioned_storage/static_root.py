"""STATIC_ROOT: the builds in it, and where it may be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import Storage

from .build.directory import writing
from .build.manifest import Manifest, UnreadableManifest
from .build.source_errors import UnusableFiles
from .build.source_files import unusable_files
from .errors import ConfigurationError


class StaticRootAmongSources(ConfigurationError):
    """STATIC_ROOT is below a directory of sources."""

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


def check_sources_are_files(ignore: Iterable[str] = ()) -> None:
    """Raise `UnusableFiles` for loops of links and special files among the sources.

    collectstatic would follow a loop until the system stops it, and wait for a pipe. ``ignore``
    has the glob patterns of what it leaves out.
    """
    ignored = [*ignore, *_ignored_patterns()]
    files = [
        file
        for directory in _source_directories()
        for file in unusable_files(directory, lambda name: matches_patterns(name, ignored))
    ]
    if files:
        raise UnusableFiles(files)


def complete_builds(root: str | None, manifest_name: str) -> list[str]:
    """Return the build versions of the complete builds in ``root``, sorted.

    A directory with an unreadable manifest counts, because it may be a build.
    """
    if root is None or not Path(root).is_dir():
        return []
    manifests = sorted(Path(root).glob(f"*/{manifest_name}"))
    return [path.parent.name for path in manifests if _may_be_of_build(path)]


def remove_build(manifest: Path) -> int:
    """Delete the build that has this manifest and return the number of its files.

    The manifest goes first: a build without one is incomplete, so no process serves half of it.
    Raises `CannotWrite`.
    """
    directory = manifest.parent
    with writing(directory):
        manifest.unlink()
        files = 1 + sum(len(names) for _, _, names in os.walk(directory))
        shutil.rmtree(directory)
    return files


def _source_directories() -> Iterator[str]:
    """Yield the directories of STATICFILES_DIRS and of the apps, and those of other finders."""
    for finder in get_finders():
        for storage in getattr(finder, "storages", {}).values():
            if location := getattr(storage, "location", None):
                yield location


def listed_sources(ignored: Sequence[str] = ()) -> Iterator[tuple[str, Storage, str]]:
    """Yield what collectstatic calls each file that the finders list, its storage and its path.

    ``ignored`` has glob patterns of paths. A name can come twice: collectstatic takes the first.
    """
    for finder in get_finders():
        for path, source in finder.list(ignored):
            # A directory of STATICFILES_DIRS may have one.
            prefix = getattr(source, "prefix", None)
            name = f"{prefix}/{path}" if prefix else path
            yield name.replace("\\", "/"), source, path


def _is_left_out(below: Path) -> bool:
    """Return True if collectstatic skips this path below a source directory, as a dotfile."""
    ignored = _ignored_patterns()
    return any(matches_patterns(part, ignored) for part in below.parts)


def _ignored_patterns() -> list[str]:
    if not apps.is_installed("django.contrib.staticfiles"):
        return []
    app: Any = apps.get_app_config("staticfiles")
    return list(app.ignore_patterns)


def _may_be_of_build(path: Path) -> bool:
    # An application may have a directory with a staticfiles.json of another kind.
    try:
        return Manifest.read(path).build == path.parent.name
    except (OSError, UnreadableManifest):
        return True
