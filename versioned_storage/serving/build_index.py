"""The builds in STATIC_ROOT, as their manifests describe them."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar
from wsgiref.headers import Headers

from ..build.manifest import Asset, Manifest, UnreadableManifest
from ..constants import ENCODINGS, IDENTITY
from ..progress import logger
from ..validators import is_build_version
from .regular_files import MissingFile, read_file, status_of
from .static_file import StaticFile

#: Seconds between two looks at the manifest of one build.
REFRESH_INTERVAL = 1.0
#: How many builds' names have the time of their last look remembered; clients can ask for any name.
REMEMBERED_NAMES = 1024

Value = TypeVar("Value")

_SUFFIXES = {encoding.suffix: name for name, encoding in ENCODINGS.items()}


@dataclass(frozen=True, eq=False)
class ServedBuild:
    """A build that can be served.

    ``completed_at`` is when its manifest was written, in whole seconds since the epoch; ``inside``
    the real path of its directory. ``identity`` tells this manifest from another at its place.
    """

    name: str
    directory: str
    inside: str
    completed_at: int
    identity: tuple[int, ...]
    assets: Mapping[str, Asset]

    def lookup(self, name: str) -> tuple[Asset, str | None] | None:
        """The asset whose file has that name below the build, and the encoding that it names."""
        asset = self.assets.get(name)
        if asset is not None:
            return asset, None
        stem, dot, extension = name.rpartition(".")
        encoding = _SUFFIXES.get(dot + extension)
        asset = self.assets.get(stem) if encoding else None
        if asset is None or encoding not in asset.encodings:
            return None
        return asset, encoding

    def path(self, asset: Asset) -> str:
        """Where the identity file of an asset is on disk."""
        return f"{self.directory}/{asset.hashed_name}"

    def static_file(
        self, asset: Asset, headers: Headers, *, forced: str | None = None
    ) -> StaticFile:
        """What is served of an asset, with the build's validators unless ``headers`` has others."""
        set_default(headers, "Last-Modified", formatdate(self.completed_at, usegmt=True))
        set_default(headers, "ETag", etag_of(asset))
        path = self.path(asset)
        files = {
            variant.encoding or IDENTITY: (path + variant.suffix, variant.size)
            for variant in asset.variants()
        }
        return StaticFile(files, headers, forced=forced, inside=self.inside)


class BuildIndex:
    """The builds below one directory; finds those that come and forgets those that go."""

    def __init__(self, manifest_name: str) -> None:
        self.manifest_name = manifest_name
        self._root: str | None = None
        self._builds: dict[str, ServedBuild] = {}
        self._refreshed_at: LRU[float] = LRU(REMEMBERED_NAMES)
        self._lock = Lock()

    def open(self, root: str) -> None:
        """Look for builds below ``root`` from now on."""
        self._root = root

    def read(self) -> None:
        """Read the manifest of every build that is there now."""
        if self._root is None:
            return
        try:
            with os.scandir(self._root) as entries:
                names = sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if is_build_version(name):
                self._refresh(Path(self._root, name, self.manifest_name), name)

    def __len__(self) -> int:
        return len(self._builds)

    def get(self, name: str) -> ServedBuild | None:
        """The build of that name, as it was when its manifest was read."""
        return self._builds.get(name)

    def refresh(self, name: str) -> ServedBuild | None:
        """The build of that name as it is on disk, or was within the last second.

        Other threads wait while one reads its manifest.
        """
        if self._root is None or not is_build_version(name):
            return None
        with self._lock:
            refreshed_at = self._refreshed_at.get(name)
            if refreshed_at is None or time.monotonic() - refreshed_at >= REFRESH_INTERVAL:
                self._refresh(Path(self._root, name, self.manifest_name), name)
                self._refreshed_at.put(name, time.monotonic())
        return self.get(name)

    def _refresh(self, path: Path, name: str) -> None:
        build = self._builds.get(name)
        try:
            if build is not None and build.identity == _identity(status_of(str(path))):
                return
            content, status = read_file(str(path))
            manifest = Manifest.from_json(content, name=str(path))
        except MissingFile:
            if os.path.lexists(path):
                logger.warning("The build %s is not served: %s cannot be read", name, path)
            self._builds.pop(name, None)
            return
        except (OSError, UnreadableManifest) as error:
            logger.warning("The build %s is not served: %s", name, error)
            self._builds.pop(name, None)
            return
        if manifest.build != name:
            # A staticfiles.json that an app has among its files, or a build under another name.
            self._builds.pop(name, None)
            return
        self._builds[name] = ServedBuild(
            name=name,
            directory=str(path.parent),
            inside=os.path.realpath(path.parent),
            completed_at=int(status.st_mtime),
            identity=_identity(status),
            assets=_assets_by_name(manifest, self.manifest_name),
        )


def is_hidden(name: str) -> bool:
    """Return True for a dotfile, and for what is in a directory whose name begins with a dot."""
    return name.startswith(".") or "/." in name


def etag_of(asset: Asset) -> str:
    """The entity-tag of an asset's identity form: the same on every server."""
    # 192 bits of the sha384; base64 has only characters that are allowed in an entity-tag.
    return f'"{asset.integrity.partition("-")[2][:32]}"'


def set_default(headers: Headers, name: str, value: str) -> None:
    """Add a header unless there is one of that name."""
    if name not in headers:
        headers[name] = value


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _assets_by_name(manifest: Manifest, manifest_name: str) -> dict[str, Asset]:
    assets = {}
    for asset in manifest.assets.values():
        if not is_hidden(asset.hashed_name):
            assets[asset.hashed_name] = asset
        if manifest.has_original(asset) and not is_hidden(asset.name):
            assets[asset.name] = asset
    # An asset with the manifest's name has only its hashed name: on disk the manifest is there.
    assets.pop(manifest_name, None)
    return assets


class LRU(Generic[Value]):
    """At most ``size`` values by their names; several threads may use it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> Value | None:
        try:
            self._values.move_to_end(name)
            return self._values[name]
        except KeyError:
            # Never there, or removed by another thread since.
            return None

    def put(self, name: str, value: Value) -> None:
        self._values[name] = value
        self._values.move_to_end(name)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def remove(self, name: str) -> None:
        self._values.pop(name, None)
