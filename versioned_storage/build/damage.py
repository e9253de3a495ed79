"""Whether a build on disk still is what its manifest says."""

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
    """A file of a build that is not as it was built; ``name`` is that in the build directory."""

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
            f"Build {build} in {place} is not as it was built:\n"
            f"{lines_text(self.damages)}\nBring the whole directory here again, or run "
            f"collectstatic with BUILD_VERSION={build}, which mends it."
        )


def damages(manifest: Manifest, directory: BuildDirectory) -> Iterator[Damage]:
    """What is wrong with a build, every file under its hashed name read and digested.

    An encoding that is not there is no damage: S3 may have it, and it can be made.
    """
    assets = manifest.assets.values()
    with ThreadPoolExecutor(available_cores()) as pool:
        for found in pool.map(partial(_damages, directory), assets):
            yield from found


def _damages(directory: BuildDirectory, asset: Asset) -> list[Damage]:
    try:
        with directory.path(asset.hashed_name).open("rb") as file:
            digest = digest_of(chunks_of(file))
    except (FileNotFoundError, NotADirectoryError):
        return [Damage(asset.hashed_name, "is missing")]
    if digest.integrity != asset.integrity:
        return [Damage(asset.hashed_name, "has other bytes")]
    return list(_of_encodings(directory, asset, digest))


def _of_encodings(directory: BuildDirectory, asset: Asset, digest: Digest) -> Iterator[Damage]:
    for variant in asset.variants():
        name = asset.hashed_name + variant.suffix
        path = directory.path(name)
        if variant.encoding and path.exists() and not _is(path, variant.encoding, digest):
            yield Damage(name, f"does not decode to {asset.hashed_name}")


def _is(path: Path, encoding: str, digest: Digest) -> bool:
    return decodes_to(lambda: path.open("rb"), ENCODINGS[encoding], digest)
