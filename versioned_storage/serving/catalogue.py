"""The builds on disk, as their manifests describe them: no file of theirs is looked at."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from ..build.manifest import Asset, Manifest, UnreadableManifest
from ..constants import ENCODINGS
from ..progress import logger
from ..validators import is_build_version
from .files import MissingFile, read_file, status_of

#: Seconds for which a build that was not there is not looked for again.
LOOK_AGAIN_AFTER = 1.0
#: How many such names are remembered; anybody can ask for any.
REMEMBERED = 1024

_SUFFIXES = {encoding.suffix: name for name, encoding in ENCODINGS.items()}


class Found(NamedTuple):
    """A file of a build by one of its names; ``encoding`` where the name is that of an encoding."""

    asset: Asset
    encoding: str | None = None


@dataclass(frozen=True, eq=False)
class Build:
    """A build that can be served.

    ``completed_at`` is when its manifest was written, in whole seconds since the epoch; ``inside``
    the real path of its directory. ``identity`` tells this manifest from another at its place.
    """

    name: str
    directory: str
    inside: str
    completed_at: int
    identity: tuple[int, ...]
    assets: dict[str, Asset]
    paths: Mapping[str, str]

    def asset(self, name: str) -> Asset | None:
        """The asset of that original or hashed name, even if only the hashed file was kept."""
        return self.assets.get(name) or self.assets.get(self.paths.get(name, ""))

    def find(self, name: str) -> Found | None:
        """The file of that name below the build; a name of an encoding is its asset's with it."""
        asset = self.assets.get(name)
        if asset is not None:
            return Found(asset)
        stem, dot, extension = name.rpartition(".")
        encoding = _SUFFIXES.get(dot + extension)
        asset = self.assets.get(stem) if encoding else None
        if asset is None or encoding not in asset.encodings:
            return None
        return Found(asset, encoding)


class Catalogue:
    """The builds below one directory; finds those that come and forgets those that go."""

    def __init__(self, manifest_name: str) -> None:
        self.manifest_name = manifest_name
        self._root: str | None = None
        self._builds: dict[str, Build] = {}
        self._looked_at: dict[str, float] = {}
        self._lock = Lock()

    def open(self, root: str) -> None:
        """Look for builds below ``root`` from now on."""
        self._root = root

    def read(self) -> None:
        """Take up every build that is there now."""
        if self._root is None:
            return
        try:
            with os.scandir(self._root) as entries:
                names = sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if is_build_version(name):
                self._look_at(Path(self._root, name, self.manifest_name), name)

    def __len__(self) -> int:
        return len(self._builds)

    def get(self, name: str) -> Build | None:
        return self._builds.get(name)

    def look_for(self, name: str) -> Build | None:
        """The build of that name as it is on disk, or was within the last second.

        Whoever asks while it is being read waits.
        """
        if self._root is None or not is_build_version(name):
            return None
        with self._lock:
            if time.monotonic() - self._looked_at.get(name, -math.inf) >= LOOK_AGAIN_AFTER:
                self._look_at(Path(self._root, name, self.manifest_name), name)
                if len(self._looked_at) >= REMEMBERED:
                    self._looked_at.clear()
                self._looked_at[name] = time.monotonic()
        return self.get(name)

    def _look_at(self, path: Path, name: str) -> None:
        known = self._builds.get(name)
        try:
            if known is not None and known.identity == _identity(status_of(str(path))):
                return
            content, status = read_file(str(path))
            manifest = Manifest.from_json(content.decode(), name=str(path))
        except MissingFile:
            self._builds.pop(name, None)
            return
        except (OSError, UnreadableManifest, UnicodeDecodeError) as error:
            logger.warning("The build %s is not served: %s", name, error)
            self._builds.pop(name, None)
            return
        if manifest.build != name:
            # A staticfiles.json that an app brought along, or a build under another name.
            self._builds.pop(name, None)
            return
        self._builds[name] = Build(
            name=name,
            directory=str(path.parent),
            inside=os.path.realpath(path.parent),
            completed_at=int(status.st_mtime),
            identity=_identity(status),
            assets=_by_name(manifest, self.manifest_name),
            paths=manifest.paths,
        )


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _by_name(manifest: Manifest, manifest_name: str) -> dict[str, Asset]:
    found = {}
    for asset in manifest.assets.values():
        found[asset.hashed_name] = asset
        if manifest.has_original(asset):
            found[asset.name] = asset
    # An asset of the manifest's name has its hashed one alone: on disk the manifest is there.
    found.pop(manifest_name, None)
    return {name: asset for name, asset in found.items() if not is_hidden(name)}


def is_hidden(name: str) -> bool:
    """Say whether a name is a dotfile's, or leads through a directory that is one."""
    return name.startswith(".") or "/." in name
