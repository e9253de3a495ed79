"""Write a published build's manifest to STATIC_ROOT, for an image that runs without collectstatic.

Its processes then know every hashed name without asking S3. No static file is fetched: those are
for the CDN to serve.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...build.manifest import Differences, Manifest, differences
from ...errors import VersionedStorageError
from ...origin import record
from ...origin.record import State
from ...site import Site
from ...text import count_text
from ..arguments import add_build


class NotPublished(VersionedStorageError):
    """The build has no manifest to be had: it is not published, or not any more."""

    def __init__(self, build: str, url: str, state: State | None) -> None:
        self.build = build
        self.url = url
        self.state = state
        found = f"it is {state.value}" if state else "there is no record of it"
        super().__init__(
            f"Build {build} is not published: {found} ({url}). Run collectstatic with "
            f"BUILD_VERSION={build} first, or name a build that 'python manage.py staticbuilds "
            "list' shows as published."
        )


class OtherBuildOnDisk(VersionedStorageError):
    """STATIC_ROOT has another content under that build version."""

    def __init__(self, build: str, path: str, url: str, differ: Differences) -> None:
        self.build = build
        self.path = path
        self.url = url
        self.differences = differ
        super().__init__(
            f"{path} is there already, and {url} is published with other content. Against the one "
            f"on disk, the published one has\n{differ}\nNothing was changed. Delete the directory "
            "of the build if it was never deployed, or set a new BUILD_VERSION for it."
        )


@dataclass(frozen=True)
class Pulled:
    """A manifest that is on disk now; ``written`` is False where it was there already."""

    build: str
    path: str
    assets: int
    written: bool

    ok = True

    def text(self) -> str:
        if not self.written:
            return f"The manifest of build {self.build} is at {self.path} already"
        return (
            f"Pulled the manifest of build {self.build}, {count_text(self.assets, 'asset')}, to "
            f"{self.path}"
        )

    def data(self) -> Any:
        return {
            "build": self.build,
            "path": self.path,
            "assets": self.assets,
            "written": self.written,
        }


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)


def run(site: Site, options: Mapping[str, Any]) -> Pulled:
    build = site.build(options["build"])
    path, url = str(site.manifest_path(build)), site.origin.url(record.path(build))
    published = _published(site, build, url)
    there = site.manifest_on_disk(build)
    if there is not None and there.content != published.content:
        raise OtherBuildOnDisk(build, path, url, differences(there, published))
    if there is None:
        text = published.to_json().encode()
        site.directory(build).write(site.storage.manifest_name, (text,))
    return Pulled(build, path, len(published.assets), written=there is None)


def _published(site: Site, build: str, url: str) -> Manifest:
    held = record.read(site.origin, build)
    if held is None or held.record.state is not State.PUBLISHED or held.record.manifest is None:
        raise NotPublished(build, url, held.record.state if held else None)
    return held.record.manifest
