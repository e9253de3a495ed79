"""Shared assets, marked by hand in the manifests of builds, and the clock of their index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.constants import MANIFEST_NAME

PREFIX = "_shared"


def mark_shared(directory: Path, *names: str, prefix: str = PREFIX) -> Manifest:
    """Mark these assets of the build in ``directory`` as shared, all without names."""
    path = directory / MANIFEST_NAME
    manifest = shared(Manifest.from_json(path.read_text()), *names, prefix=prefix)
    path.write_text(manifest.to_json())
    return manifest


def shared(manifest: Manifest, *names: str, prefix: str = PREFIX) -> Manifest:
    """The manifest with these assets shared, all without names."""

    def marked(asset: Asset) -> Asset:
        return replace(asset, shared_prefix=prefix if not names or asset.name in names else "")

    assets = {key: marked(asset) for key, asset in manifest.assets.items()}
    content = f"{manifest.content[:60]}shar"
    return replace(manifest, shared_prefix=prefix, shared_rules=1, assets=assets, content=content)


class Clock:
    """A monotonic clock that a test moves; the fixture ``clock`` gives it to the index."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now
