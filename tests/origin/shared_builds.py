"""Builds that have assets in common, on the disks of one or more machines."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5, sha384
from pathlib import Path

import brotli

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest, content_digest
from versioned_storage.origin.publisher import Published, Publisher
from versioned_storage.origin.s3 import S3Origin

CSS, PNG = "text/css; charset=utf-8", "image/png"
SHARED = {"css/app.css": "body { color: red }\n" * 40, "img/logo.png": "png"}
OWN = {"js/bound.js": "document.currentScript\n" * 40}


@dataclass(frozen=True)
class SharedBuild:
    """A complete build whose assets are shared, but for those of `OWN`."""

    manifest: Manifest
    directory: BuildDirectory

    def publish(self, origin: S3Origin, base: bool | str = True) -> Published:
        return Publisher(origin, base).publish(self.manifest, self.directory)


def shared_build(
    root: Path,
    build: str,
    shared: Mapping[str, str] = SHARED,
    *,
    level: int = 9,
    keep_originals: bool = False,
    types: Mapping[str, str] | None = None,
    own: Mapping[str, str] = OWN,
) -> SharedBuild:
    """Make a build; ``level`` stands for a machine's encoder, ``types`` for its MIME types."""
    directory = root / build
    assets = [
        _asset(
            directory,
            build,
            name,
            text.encode(),
            level,
            {**_TYPES, **(types or {})},
            name in shared,
        )
        for name, text in {**own, **shared}.items()
    ]
    manifest = Manifest(
        paths={asset.name: asset.hashed_name for asset in assets},
        build=build,
        content=content_digest(assets, {"keep_originals": keep_originals}),
        encoders={"br": {"quality": 5}, "gzip": {"level": 9}},
        keep_originals=keep_originals,
        shared_prefix="_shared" if shared else "",
        shared_rules=1 if shared else 0,
        assets={asset.hashed_name: asset for asset in assets},
    )
    return SharedBuild(manifest, BuildDirectory(directory))


_TYPES = {".css": CSS, ".js": "text/javascript; charset=utf-8", ".png": PNG}


def _asset(
    directory: Path,
    build: str,
    name: str,
    data: bytes,
    level: int,
    types: Mapping[str, str],
    is_shared: bool,
) -> Asset:
    stem, _, extension = name.rpartition(".")
    hashed_name = f"{stem}.{md5(data).hexdigest()[:12]}.{extension}"
    path = directory / hashed_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    encodings = {}
    if extension != "png":
        for encoding, suffix, encoded in (
            ("br", ".br", brotli.compress(data, quality=5)),
            ("gzip", ".gz", gzip.compress(data, level, mtime=0)),
        ):
            path.with_name(path.name + suffix).write_bytes(encoded)
            encodings[encoding] = len(encoded)
    return Asset(
        name,
        hashed_name,
        build,
        len(data),
        f"sha384-{b64encode(sha384(data).digest()).decode()}",
        types[f".{extension}"],
        encodings,
        shared_prefix="_shared" if is_shared else "",
    )
