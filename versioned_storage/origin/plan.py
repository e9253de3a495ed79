"""The plan of a publish as data: what happens to each object, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from ..build.manifest import BuildFile, Content, Manifest
from ..constants import CACHE_CONTROL, ENCODINGS
from ..text import bytes_text, count_text
from .objects import LARGEST_COPY, ListedObject, LocalBuild, StoredObject
from .shared_objects import SharedObjects, has_bytes_of

#: The names of the metadata of an encoding: the integrity of its asset, and its encoder.
METADATA = ("encoding-of", "encoder")


class Action(str, Enum):
    """What happens to an object."""

    UPLOAD = "upload"
    COPY = "copy"
    SKIP = "skip"


@dataclass(frozen=True)
class ReusableEncoding:
    """A published object whose bytes a new build can use; ``size`` is in bytes.

    ``name`` is below the STATIC_URL path, ``sha256``, in hex, is what the record says.
    """

    content: Content
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class CopySource:
    """An object on S3 to copy from; ``path`` is below the location, ``size`` in bytes."""

    path: str
    etag: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Step:
    """One object of the build. ``path`` is below the origin's location, ``size`` in bytes.

    ``stored`` is the object that S3 has at the path, right or wrong.
    """

    action: Action
    reason: str
    path: str
    size: int
    file: BuildFile
    source: CopySource | None = None
    stored: StoredObject | None = None


@dataclass(frozen=True)
class PublishPlan:
    """The steps of a publish, the largest objects first, and those that may be made yet last.

    ``hashed`` are the objects under their hashed names. ``originals`` are those under original
    names, each of which has the bytes of a hashed one and follows it. ``damaged`` has the URLs of
    objects of the base build that are not copied because their size is not the recorded one.
    ``waiting`` are the files that cannot be planned yet: a running prune may delete the shared
    objects, so these come last, and the originals with their bytes.
    """

    build: str
    hashed: tuple[Step, ...]
    originals: tuple[Step, ...]
    damaged: tuple[str, ...] = ()
    waiting: tuple[BuildFile, ...] = ()

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


def headers(file: BuildFile) -> dict[str, Any]:
    """Return the headers of an object, by S3's parameter names."""
    parameters = {"ContentType": file.asset.content_type, "CacheControl": CACHE_CONTROL}
    if file.encoding is not None:
        parameters["ContentEncoding"] = file.encoding
    return parameters


def metadata(file: BuildFile, manifest: Manifest) -> dict[str, str]:
    """Return the metadata of an encoding: its asset and its encoder.

    Another version of the encoder gives other bytes, which are as good.
    """
    if file.encoding is None:
        return {}
    encoder = _encoder(manifest, file.encoding, file.quality)
    return dict(zip(METADATA, (file.asset.integrity, encoder), strict=True))


def reusable(base: Manifest, encoders: Mapping[str, object]) -> Iterator[ReusableEncoding]:
    """Yield what a build with these ``encoders`` can copy from a published one."""
    for asset in base.assets.values():
        for variant in asset.variants():
            same_encoder = variant.encoding is None or (
                base.encoders.get(variant.encoding) == encoders.get(variant.encoding)
            )
            if same_encoder and variant.sha256 is not None and variant.size <= LARGEST_COPY:
                yield ReusableEncoding(
                    content=variant.content,
                    name=asset.path + variant.suffix,
                    size=variant.size,
                    sha256=variant.sha256,
                )


def copy_sources(
    base: Manifest, manifest: Manifest, prefix: str, listed: Mapping[str, ListedObject]
) -> tuple[dict[Content, CopySource], list[str]]:
    """Return the objects of ``base`` that ``manifest`` can copy, and the paths of damaged ones.

    ``listed`` has the objects of the base build by path. One whose size is not the recorded one
    is damaged.
    """
    integrities = {asset.integrity for asset in manifest.assets.values()}
    sources: dict[Content, CopySource] = {}
    damaged = []
    for encoding in reusable(base, manifest.encoders):
        path = prefix + encoding.name
        if encoding.content[0] not in integrities or path not in listed:
            continue
        if listed[path].size != encoding.size:
            damaged.append(path)
            continue
        source = CopySource(path, listed[path].etag, encoding.size, encoding.sha256)
        sources[encoding.content] = source
    return sources, damaged


def plan(
    build: LocalBuild,
    prefix: str,
    *,
    stored: Mapping[str, StoredObject],
    sources: Mapping[Content, CopySource],
    damaged: Iterable[str] = (),
    shared: SharedObjects | None = None,
    files: Iterable[BuildFile] | None = None,
) -> PublishPlan:
    """Plan the publish of a build.

    ``prefix`` is the STATIC_URL path without its first slash, ``stored`` has the objects below the
    build's prefix by path, ``sources`` and ``damaged`` are of `copy_sources`. ``shared`` is None
    for a build without shared assets. ``files`` are all of the build, or those that were waiting.
    """
    hashed: dict[str, Step] = {}
    originals: list[BuildFile] = []
    waiting: list[BuildFile] = []
    for file in build.manifest.files() if files is None else files:
        if shared is not None and prefix + file.hashed_path in shared.contested:
            waiting.append(file)
        elif file.path != file.hashed_path:
            originals.append(file)
        elif shared is not None and file.is_shared:
            hashed[file.path] = _shared(file, prefix, build, shared)
        else:
            object_ = stored.get(prefix + file.path)
            source = sources.get(file.content)
            hashed[file.path] = _hashed(file, prefix, build, object_, source)
    original_steps = [
        _original(file, prefix, hashed[file.hashed_path], stored.get(prefix + file.path))
        for file in originals
    ]
    return PublishPlan(
        build=str(build.manifest.build),
        hashed=_largest_first(hashed.values()),
        originals=_largest_first(original_steps),
        damaged=tuple(damaged),
        waiting=tuple(waiting),
    )


def matches(
    stored: StoredObject, file: BuildFile, sha256: Callable[[], str | None], manifest: Manifest
) -> bool:
    """Return True if an object is right for a file of the build.

    ``sha256`` returns that of the bytes that this machine would upload; it is called if it is
    needed. Other bytes of an encoding are as good if the same encoder made them of the same asset.
    """
    if stored.headers != headers(file) or stored.sha256 is None:
        return False
    if stored.metadata.get("sha256", stored.sha256) != stored.sha256:
        # The object has other bytes than were uploaded.
        return False
    made_of = metadata(file, manifest)
    if made_of:
        return made_of.items() <= stored.metadata.items() or stored.sha256 == sha256()
    return stored.size == file.size and stored.sha256 == sha256()


def _hashed(
    file: BuildFile,
    prefix: str,
    build: LocalBuild,
    stored: StoredObject | None,
    source: CopySource | None,
) -> Step:
    step = partial(Step, path=prefix + file.path, file=file, stored=stored)
    if stored is not None and matches(stored, file, partial(build.sha256, file), build.manifest):
        return step(Action.SKIP, "is there", size=stored.size)
    if source is not None:
        return step(Action.COPY, "the base build has it", size=source.size, source=source)
    reason = "is new" if stored is None else "is there with other bytes or headers"
    return step(Action.UPLOAD, reason, size=file.size)


def _shared(file: BuildFile, prefix: str, build: LocalBuild, shared: SharedObjects) -> Step:
    path = prefix + file.path
    stored = shared.stored.get(path)
    step = partial(Step, path=path, file=file, stored=stored)
    if stored is None:
        return step(Action.UPLOAD, "is new", size=file.size)
    if path in shared.vouched:
        return step(Action.SKIP, "is there", size=stored.size)
    if not has_bytes_of(file, stored, partial(build.sha256, file)):
        return step(Action.UPLOAD, "is there with other bytes", size=file.size)
    if path in shared.doubtful:
        return step(Action.COPY, "a prune that died may delete it", size=stored.size)
    if stored.headers != headers(file):
        return step(Action.COPY, "is there with other headers", size=stored.size)
    return step(Action.SKIP, "is there", size=stored.size)


def _original(file: BuildFile, prefix: str, hashed: Step, stored: StoredObject | None) -> Step:
    step = partial(
        Step,
        path=prefix + file.path,
        size=hashed.size,
        file=file,
        stored=stored,
    )
    if hashed.action is Action.UPLOAD:
        return step(Action.UPLOAD, hashed.reason)
    expected = hashed.source.sha256 if hashed.source else hashed.stored and hashed.stored.sha256
    if stored is not None and stored.headers == headers(file) and stored.sha256 == expected:
        return step(Action.SKIP, "is there")
    return step(Action.COPY, "is there under its hashed name")


def _largest_first(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(
        sorted(steps, key=lambda step: (step.file.encoding is not None, -step.size, step.path))
    )


def _encoder(manifest: Manifest, encoding: str, quality: int | None) -> str:
    settings = manifest.encoders.get(encoding, {})
    if quality is not None:
        settings = ENCODINGS[encoding].with_quality(quality).settings
    return " ".join([encoding, *(f"{name}={value}" for name, value in sorted(settings.items()))])
