"""What a publish will do, as data: what becomes of each object, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from ..build.manifest import BuildFile, Manifest
from ..constants import CACHE_CONTROL
from ..text import bytes_text, count_text
from .body import Body
from .s3 import LARGEST_COPY, Found

#: An asset's integrity and the name of an encoding, None for identity: what the bytes are.
Content = tuple[str, "str | None"]


class Action(str, Enum):
    """What becomes of an object."""

    UPLOAD = "upload"
    COPY = "copy"
    SKIP = "skip"


@dataclass(frozen=True)
class Source:
    """An object on S3 to copy from; ``path`` is below the location, ``size`` in bytes."""

    path: str
    etag: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Step:
    """One object to be. ``path`` is below the origin's location, ``size`` in bytes.

    ``local`` is where its bytes are on this machine, if they are. ``found`` is what S3 has at the
    path already, right or wrong.
    """

    action: Action
    reason: str
    path: str
    size: int
    file: BuildFile
    local: Path
    source: Source | None = None
    found: Found | None = None


@dataclass(frozen=True)
class Plan:
    """All that a publish will do, the largest objects first.

    ``hashed`` are the objects under their hashed names. ``originals`` are those under original
    names, which have the same bytes and follow when those are there.
    """

    build: str
    hashed: tuple[Step, ...]
    originals: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.hashed + self.originals

    def __str__(self) -> str:
        """One line for whoever runs the deploy."""
        objects: Counter[Action] = Counter()
        size: Counter[Action] = Counter()
        for step in self.steps:
            objects[step.action] += 1
            size[step.action] += step.size
        return ", ".join(
            f"{action.value} {count_text(objects[action], 'object')} ({bytes_text(size[action])})"
            for action in Action
        )


def headers(file: BuildFile) -> dict[str, str]:
    """What every answer for an object says; the names are S3's parameters."""
    found = {"ContentType": file.asset.content_type, "CacheControl": CACHE_CONTROL}
    if file.variant.encoding is not None:
        found["ContentEncoding"] = file.variant.encoding
    return found


def metadata(file: BuildFile, manifest: Manifest) -> dict[str, str]:
    """What an encoding says of itself: the same asset, encoded elsewhere, has other bytes."""
    encoding = file.variant.encoding
    if encoding is None:
        return {}
    return {"encoding-of": file.asset.integrity, "encoder": _encoder(manifest, encoding)}


def sources(
    base: Manifest, prefix: str, encoders: Mapping[str, object]
) -> Iterator[tuple[Content, Source]]:
    """What of a published build is worth copying into one with these ``encoders``; no ETags yet.

    ``prefix`` is the STATIC_URL path without its first slash.
    """
    for asset in base.assets.values():
        for variant in asset.variants():
            alike = variant.encoding is None or (
                base.encoders.get(variant.encoding) == encoders.get(variant.encoding)
            )
            if alike and variant.sha256 is not None and variant.size <= LARGEST_COPY:
                path = f"{prefix}{asset.path}{variant.suffix}"
                content = (asset.integrity, variant.encoding)
                yield content, Source(path, "", variant.size, variant.sha256)


def plan(
    manifest: Manifest,
    directory: Path,
    prefix: str,
    *,
    there: Mapping[str, Found],
    copyable: Mapping[Content, Source],
) -> Plan:
    """What there is to do for the build in ``directory``.

    ``there`` has what S3 keeps under the build's prefix, by path; ``copyable`` what it keeps of
    the base build.
    """
    hashed: dict[str, Step] = {}
    originals: list[BuildFile] = []
    for file in manifest.files():
        if file.path == file.hashed_path:
            local = directory / file.source
            found = there.get(prefix + file.path)
            source = copyable.get((file.asset.integrity, file.variant.encoding))
            hashed[file.path] = _hashed(file, prefix, local, found, source, manifest)
        else:
            originals.append(file)
    named = [
        _original(file, prefix, hashed[file.hashed_path], there.get(prefix + file.path))
        for file in originals
    ]
    return Plan(str(manifest.build), _largest_first(hashed.values()), _largest_first(named))


def fits(found: Found, file: BuildFile, sha256: str | None, manifest: Manifest) -> bool:
    """Say whether an object is what a file of a build has to be.

    ``sha256`` is of the bytes that we would store; of an encoding others are as good when they
    were made of the same asset in the same way.
    """
    if found.headers != headers(file) or found.sha256 is None:
        return False
    made_of = metadata(file, manifest)
    return found.sha256 == sha256 or (bool(made_of) and made_of.items() <= found.metadata.items())


def _hashed(
    file: BuildFile,
    prefix: str,
    local: Path,
    found: Found | None,
    source: Source | None,
    manifest: Manifest,
) -> Step:
    step = partial(Step, path=prefix + file.path, file=file, local=local, found=found)
    if found is not None:
        sha256 = Body.of(local).sha256 if local.is_file() else None
        if fits(found, file, sha256, manifest):
            return step(Action.SKIP, "is there", size=found.size)
    if source is not None:
        return step(Action.COPY, "the base build has it", size=source.size, source=source)
    reason = "is new" if found is None else "is there with other bytes or headers"
    return step(Action.UPLOAD, reason, size=file.variant.size)


def _original(file: BuildFile, prefix: str, hashed: Step, found: Found | None) -> Step:
    step = partial(
        Step, path=prefix + file.path, size=hashed.size, file=file, local=hashed.local, found=found
    )
    if hashed.action is Action.UPLOAD:
        return step(Action.UPLOAD, hashed.reason)
    expected = hashed.source.sha256 if hashed.source else hashed.found and hashed.found.sha256
    if found is not None and found.headers == headers(file) and found.sha256 == expected:
        return step(Action.SKIP, "is there")
    return step(Action.COPY, "is there under its hashed name")


def _largest_first(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: (-step.size, step.path)))


def _encoder(manifest: Manifest, encoding: str) -> str:
    settings = manifest.encoders.get(encoding, {})
    return " ".join([encoding, *(f"{name}={value}" for name, value in sorted(settings.items()))])
