"""Check that a build on disk matches its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..constants import ENCODINGS
from ..errors import VersionedStorageError
from ..text import lines_text
from .compression import available_cores, decodes_to
from .directory import BuildDirectory, Digest, chunks_of, digest_of
from .manifest import Asset, Manifest


@dataclass(frozen=True)
class Damage:
    """A missing or changed file of a build, by its name in the build directory."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


class DamagedBuild(VersionedStorageError):
    """Files of a build are missing or have changed since it was built."""

    def __init__(self, build: str, place: str, damages: Sequence[Damage]) -> None:
        self.build = build
        self.place = place
        self.damages = tuple(damages)
        super().__init__(
            f"Build {build} in {place} does not match its manifest:\n"
            f"{lines_text(self.damages)}\nCopy the whole directory again, or run collectstatic "
            f"with BUILD_VERSION={build}, which restores the files."
        )


def damages(manifest: Manifest, directory: BuildDirectory) -> Iterator[Damage]:
    """Read every file under its hashed name and yield the damaged ones.

    A missing encoding is not damage: S3 may have it, and it can be made.
    """
    assets = manifest.assets.values()
    with ThreadPoolExecutor(available_cores()) as pool:
        for damages_of_asset in pool.map(partial(_damages, directory), assets):
            yield from damages_of_asset


def _damages(directory: BuildDirectory, asset: Asset) -> list[Damage]:
    try:
        with directory.path(asset.hashed_name).open("rb") as file:
            digest = digest_of(chunks_of(file))
    except (FileNotFoundError, NotADirectoryError):
        return [Damage(asset.hashed_name, "is missing")]
    if digest.integrity != asset.integrity:
        return [Damage(asset.hashed_name, "has changed")]
    return [
        Damage(file.source, f"does not decode to {asset.hashed_name}")
        for file in asset.variants()
        if file.encoding and not _is_intact(directory.path(file.source), file.encoding, digest)
    ]


def _is_intact(path: Path, encoding: str, digest: Digest) -> bool:
    return not path.exists() or decodes_to(lambda: path.open("rb"), ENCODINGS[encoding], digest)
