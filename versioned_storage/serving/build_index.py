"""The builds in STATIC_ROOT, as their manifests describe them."""

from __future__ import annotations

import math
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar
from wsgiref.headers import Headers

from whitenoise.responders import MissingFileError

from ..build.manifest import Asset, Manifest, UnreadableManifest
from ..constants import ENCODINGS, IDENTITY
from ..progress import logger
from ..text import names_text
from ..validators import is_build_version
from .regular_files import status_of
from .static_file import FileOnDisk, StaticFile

#: Seconds between two looks at the manifest of one build.
REFRESH_INTERVAL = 1.0
#: For how many names the time of the last look is kept; clients can ask for any name.
REMEMBERED_NAMES = 1024

Value = TypeVar("Value")

_PREFERENCE = (*ENCODINGS, IDENTITY)
_SUFFIXES = {encoding.suffix: name for name, encoding in ENCODINGS.items()}


@dataclass(frozen=True, eq=False)
class ServedBuild:
    """A build that can be served.

    ``completed_at`` is when its manifest was written, in whole seconds since the epoch.
    ``real_directory`` is its directory through all links. ``manifest_id`` tells its manifest from
    another at the same path. ``shared_prefix`` is that of its shared assets, empty without any.
    """

    name: str
    directory: str
    real_directory: str
    completed_at: int
    manifest_id: tuple[int, ...]
    shared_prefix: str
    assets: Mapping[str, Asset]

    def lookup(self, name: str) -> tuple[Asset, str | None] | None:
        """The asset whose file has that name below the build, and the encoding that it names."""
        asset = self.assets.get(name)
        if asset is not None:
            return asset, None
        stem, encoding = _split_suffix(name)
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
        return _static_file([(self, asset)], headers, forced)

    def files(self, asset: Asset) -> Iterator[tuple[str, FileOnDisk]]:
        """Yield each encoding of an asset, identity included, and its file."""
        path = self.path(asset)
        for variant in asset.variants():
            file = FileOnDisk(path + variant.suffix, variant.size, self.real_directory)
            yield variant.encoding or IDENTITY, file


@dataclass(frozen=True)
class SharedFile:
    """A shared asset in the builds that have it, the preferred one first.

    ``encoding`` is the one whose suffix the requested name has; None for the identity file.
    """

    copies: Sequence[tuple[ServedBuild, Asset]]
    encoding: str | None

    @property
    def path(self) -> str:
        """Where the identity file of the preferred build is on disk."""
        build, asset = self.copies[0]
        return build.path(asset)

    def static_file(self, headers: Headers) -> StaticFile:
        """What is served of it: in every encoding that any of the builds has."""
        return _static_file(self.copies, headers, self.encoding)


class BuildIndex:
    """The builds below ``root``; finds those that come and forgets those that go."""

    def __init__(self, manifest_name: str) -> None:
        self.manifest_name = manifest_name
        self.root: str | None = None
        self._builds: dict[str, ServedBuild] = {}
        self._refreshed_at: LRU[float] = LRU(REMEMBERED_NAMES)
        self._read_at = -math.inf
        self._reported: set[str] = set()
        #: The ids of the manifests that could not be read, by build.
        self._unreadable: LRU[tuple[int, ...]] = LRU(REMEMBERED_NAMES)
        self._lock = Lock()

    def read(self) -> None:
        """Read the manifest of every build that is there now, and forget the others."""
        if self.root is None:
            return
        try:
            with os.scandir(self.root) as entries:
                names = {entry.name for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            names = set()
        for name in sorted(names | self._builds.keys()):
            if is_build_version(name):
                self._refresh(Path(self.root, name, self.manifest_name), name)

    def refresh_all(self) -> None:
        """Read STATIC_ROOT again, unless that was done within the last second."""
        with self._lock:
            if time.monotonic() - self._read_at >= REFRESH_INTERVAL:
                self.read()
                self._read_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._builds)

    def get(self, name: str) -> ServedBuild | None:
        """The build of that name, as it was when its manifest was read."""
        return self._builds.get(name)

    def shared_file(self, prefix: str, name: str, own: str | None) -> SharedFile | None:
        """The shared asset whose file has that name below the prefix; None if no build marks it.

        Where builds have other bytes under one name, those of the build ``own`` are served, else
        those of the newest build.
        """
        builds = [
            build
            for _, _, build in sorted(
                ((name == own, build.completed_at, build) for name, build in self._builds.items()),
                key=lambda ranked: ranked[:2],
                reverse=True,
            )
        ]
        copies = self._copies(builds, prefix, name)
        if copies:
            return SharedFile(copies, None)
        stem, encoding = _split_suffix(name)
        copies = self._copies(builds, prefix, stem) if encoding else []
        if any(encoding in asset.encodings for _, asset in copies):
            return SharedFile(copies, encoding)
        return None

    def has_shared_prefix(self, prefix: str) -> bool:
        """Return True if a build has shared assets below that prefix."""
        return any(build.shared_prefix == prefix for build in self._builds.values())

    def _copies(
        self, builds: Sequence[ServedBuild], prefix: str, hashed_name: str
    ) -> list[tuple[ServedBuild, Asset]]:
        copies = [
            (build, asset)
            for build in builds
            if (asset := build.assets.get(hashed_name)) and asset.hashed_name == hashed_name
        ]
        marked = [(build, asset) for build, asset in copies if asset.shared_prefix == prefix]
        if not marked:
            return []
        preferred, integrity = marked[0][0], marked[0][1].integrity
        others = [build.name for build, asset in marked if asset.integrity != integrity]
        path = f"{prefix}/{hashed_name}"
        if others and path not in self._reported:
            self._reported.add(path)
            logger.error(
                "The build %s has other bytes at the URL %s than %s. Those of %s are served. "
                'Take the file out of the shared ones, shared_assets = ["!%s"], or give all a new '
                "URL, with another shared_prefix.",
                preferred.name, path, names_text(others), preferred.name, marked[0][1].name,
            )  # fmt: skip
        return [(build, asset) for build, asset in copies if asset.integrity == integrity]

    def refresh(self, name: str) -> ServedBuild | None:
        """The build of that name as it is on disk, or was within the last second.

        Other threads wait while one reads its manifest.
        """
        if self.root is None or not is_build_version(name):
            return None
        with self._lock:
            refreshed_at = self._refreshed_at.get(name)
            if refreshed_at is None or time.monotonic() - refreshed_at >= REFRESH_INTERVAL:
                self._refresh(Path(self.root, name, self.manifest_name), name)
                self._refreshed_at.put(name, time.monotonic())
        return self.get(name)

    def _refresh(self, path: Path, name: str) -> None:
        build = self._builds.get(name)
        try:
            # Before the manifest is read: one that is written in between is read again.
            status = status_of(str(path))
            if build is not None and build.manifest_id == _manifest_id(status):
                return
            manifest = Manifest.read(path)
        except (MissingFileError, FileNotFoundError):
            if os.path.lexists(path):
                self._report_unreadable(path, name, f"{path} cannot be read")
            self._forget(name)
            return
        except (OSError, UnreadableManifest) as error:
            self._report_unreadable(path, name, str(error))
            self._forget(name)
            return
        if manifest.build != name:
            # It is a file of an app, or the manifest of a build under another name.
            self._forget(name)
            return
        build = ServedBuild(
            name=name,
            directory=str(path.parent),
            real_directory=os.path.realpath(path.parent),
            completed_at=int(status.st_mtime),
            manifest_id=_manifest_id(status),
            shared_prefix=manifest.shared_prefix,
            assets=_assets_by_name(manifest, self.manifest_name),
        )
        # Another dict, because other threads go through the builds.
        self._builds = {**self._builds, name: build}

    def _report_unreadable(self, path: Path, name: str, reason: str) -> None:
        """Log why a build is not served, unless its manifest is the one that was logged."""
        try:
            manifest_id = _manifest_id(path.lstat())
        except OSError:
            manifest_id = ()
        if self._unreadable.get(name) != manifest_id:
            self._unreadable.put(name, manifest_id)
            logger.warning("The build %s is not served: %s", name, reason)

    def _forget(self, name: str) -> None:
        self._builds = {key: build for key, build in self._builds.items() if key != name}


def may_be_shared_prefix(name: str) -> bool:
    """Return True if the name begins with an underscore, as no build version does."""
    return name.startswith("_")


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


def _manifest_id(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _static_file(
    copies: Sequence[tuple[ServedBuild, Asset]], headers: Headers, forced: str | None
) -> StaticFile:
    """What is served of an asset that these builds have, with their validators.

    The time is that of the oldest build. Validators in ``headers`` are kept.
    """
    completed_at = min(build.completed_at for build, _ in copies)
    set_default(headers, "Last-Modified", formatdate(completed_at, usegmt=True))
    set_default(headers, "ETag", etag_of(copies[0][1]))
    files = [pair for build, asset in copies for pair in build.files(asset)]
    files.sort(key=lambda pair: _PREFERENCE.index(pair[0]))
    return StaticFile(files, headers, forced=forced)


def _split_suffix(name: str) -> tuple[str, str | None]:
    """Split the name of an encoded file: the name without the suffix, and the encoding."""
    stem, dot, extension = name.rpartition(".")
    return stem, _SUFFIXES.get(dot + extension)


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
