"""A build, and an edge that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.edge.edges import Edge, serving
from tests.helpers import site
from tests.shared import shared
from versioned_storage.build.manifest import Manifest

FILES: dict[str, str | bytes] = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "js/app.js": "console.log('hello');\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
    "data/a + b é.json": '{"a": 1}' * 20,
    "fonts/a.woff2": b"wOF2" * 20,
    "tiny.txt": "a",
}


SHARED = ("css/app.css", "img/logo.png")


@dataclass(frozen=True)
class Build:
    """What one collectstatic left."""

    root: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        return str(self.manifest.build)

    def path(self, name: str) -> str:
        """The path of an asset in a URL."""
        return f"/static/{self.manifest.assets[self.manifest.paths[name]].path}"


def collected(
    base: Path,
    version: str,
    files: dict[str, str | bytes],
    *,
    options: dict[str, Any] | None = None,
) -> Build:
    with site(base, files, options=options, BUILD_VERSION=version) as shop:
        shop.collect()
        manifest = shop.storage.manifest
    assert manifest is not None
    return Build(base / "static_root", manifest)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small build with files of every kind; the last of two."""
    base = tmp_path_factory.mktemp("edge")
    collected(base, "b0", {**FILES, "css/app.css": "body { color: red }\n" * 20})
    return collected(base, "b1", FILES)


@pytest.fixture
def edge(build: Build) -> Iterator[Edge]:
    """An edge that serves it as it should."""
    with serving(Edge(build.root)) as running:
        yield running


@pytest.fixture(scope="session")
def sharing_build(build: Build) -> Build:
    """The same build, with the image and the style sheet shared."""
    return Build(build.root, shared(build.manifest, *SHARED))


@pytest.fixture
def sharing_edge(sharing_build: Build) -> Iterator[Edge]:
    """An edge that serves it from where S3 has it."""
    manifest = sharing_build.manifest
    moved = {
        asset.path: f"{asset.build}/{asset.hashed_name}"
        for asset in manifest.assets.values()
        if asset.is_shared
    }
    with serving(Edge(sharing_build.root, moved=moved)) as running:
        yield running
