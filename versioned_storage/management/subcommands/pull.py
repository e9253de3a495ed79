"""Write a published build's manifest to STATIC_ROOT, for an image that runs without collectstatic.

Its processes then know every hashed name without a request to S3. No static file is downloaded,
because the CDN serves those.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...build.manifest import Differences, differences
from ...errors import VersionedStorageError
from ...origin import record
from ...site import Site
from ...text import count_text
from ..arguments import add_build


class OtherBuildOnDisk(VersionedStorageError):
    """STATIC_ROOT has other content under the build version."""

    def __init__(self, build: str, path: str, url: str, differ: Differences) -> None:
        self.build = build
        self.path = path
        self.url = url
        self.differences = differ
        super().__init__(
            f"{path} exists, and {url} is published with other content. Compared with the build "
            f"on disk, the published one has\n{differ}\nNothing was changed. Delete the directory "
            "of the build if it was never deployed, or set a new BUILD_VERSION for it."
        )


@dataclass(frozen=True)
class Pulled:
    """A manifest on disk; ``written`` is False if it was there before."""

    build: str
    path: str
    assets: int
    written: bool

    ok = True

    def text(self) -> str:
        if not self.written:
            return f"The manifest of build {self.build} is already at {self.path}"
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
    published = record.read_published(site.origin, build)
    on_disk = site.manifest_on_disk(build)
    if on_disk is not None and on_disk.content != published.content:
        raise OtherBuildOnDisk(build, path, url, differences(on_disk, published))
    if on_disk is None:
        text = published.to_json().encode()
        site.directory(build).write(site.storage.manifest_name, (text,))
    return Pulled(build, path, len(published.assets), written=on_disk is None)
