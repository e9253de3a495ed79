"""A build on disk becomes a build on S3: claimed first, then every object, the commit last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TypeVar

from ..build.manifest import Manifest
from ..constants import IDENTITY
from ..errors import OtherContent, VersionedStorageError
from ..progress import logger
from ..text import bytes_text, count_text, lines_text
from . import claim, record
from .plan import Action, Content, Plan, Source, plan, sources
from .problems import OriginError
from .record import Held, State, UnreadableRecord
from .s3 import Found, S3Origin
from .transfer import Done, Provide, Transfer

Result = TypeVar("Result")


class BaseNotPublished(VersionedStorageError):
    """The build to copy from is not there."""

    def __init__(self, base: str, url: str) -> None:
        self.base = base
        self.url = url
        super().__init__(
            f"The base build {base} is not published ({url}). Name one that 'python manage.py "
            "staticbuilds list' shows as published, or leave the option base_build out, to copy "
            "from the current one."
        )


class NotOfThisBuild(OtherContent):
    """Below the prefix of a build there is what the build has not."""

    def __init__(self, build: str, urls: Sequence[str]) -> None:
        self.build = build
        self.urls = tuple(urls)
        super().__init__(
            f"Build {build} is not published: S3 has {count_text(len(self.urls), 'object')} below "
            "its prefix that it has not, and visitors would get a mix of two builds.\n"
            f"{lines_text(self.urls)}\nAn earlier publish with other content has left them. Set a "
            "new BUILD_VERSION, or delete them: 'python manage.py staticbuilds publish --abandon "
            f"{build}', then 'python manage.py staticbuilds prune', then publish again."
        )


@dataclass(frozen=True)
class Begun:
    """What S3 had to say before the build: its record, and the build to copy from.

    ``etags`` are those of the base build's objects by their paths, which are being listed while
    the build is made; ``asked`` is how many requests had been made before all of it.
    """

    held: Held | None
    base: Manifest | None
    etags: Future[dict[str, str]]
    asked: int

    @property
    def published(self) -> bool:
        """Say whether the build version is published: with other content it is refused, then."""
        return self.held is not None and self.held.record.state is State.PUBLISHED

    def encoded(self, encoders: Mapping[str, object]) -> dict[str, dict[str, int]]:
        """The sizes of the encodings that need not be made, by the integrity of their asset."""
        found: dict[str, dict[str, int]] = {}
        if self.base is not None:
            for (integrity, encoding), source in sources(self.base, "", encoders):
                if encoding is not None:
                    found.setdefault(integrity, {})[encoding] = source.size
        return found


@dataclass(frozen=True)
class Published:
    """What a publish did; ``objects`` is empty when the very same build was published already."""

    build: str
    place: str
    objects: Mapping[Action, int] = field(default_factory=dict)
    uploaded_size: int = 0
    requests: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """One line for whoever runs the deploy."""
        if not self.objects:
            return f"Build {self.build} is published at {self.place} already: nothing to upload"
        others = [
            f", {self.objects[action]:,} {said}"
            for action, said in ((Action.COPY, "copied inside S3"), (Action.SKIP, "there already"))
            if self.objects.get(action)
        ]
        return (
            f"Published build {self.build} to {self.place}: "
            f"{count_text(self.objects.get(Action.UPLOAD, 0), 'object')} uploaded, "
            f"{bytes_text(self.uploaded_size)}{''.join(others)}, "
            f"{count_text(self.requests, 'request')}, {self.seconds:.1f} s"
        )


class _PublishedMeanwhile(Exception):
    """No error: another process finished the same build."""


@dataclass(frozen=True)
class Publisher:
    """Publishes builds of one site; ``prefix`` is the STATIC_URL path without its first slash.

    ``base`` is the build to copy from: True for the current one, False for none.
    """

    origin: S3Origin
    prefix: str
    connections: int
    base: bool | str = True

    def begin(self, build: str) -> Begun:
        """Ask S3 for what it has, so that what cannot work is known before a long build.

        Raises `OriginError` and `BaseNotPublished`. Access denied is none: without permission to
        list the bucket S3 says it of every key that is not there.
        """
        held, asked = None, self.origin.requests
        with _without_permission_to_look():
            held = record.read(self.origin, build)
        # What is published has all of itself: no other build is asked for.
        published = held is not None and held.record.state is State.PUBLISHED
        base = held.record.manifest if held and published else self._base(apart_from=build)
        etags = in_background(partial(self._etags, None if published else base))
        return Begun(held, base, etags, asked)

    def plan(self, manifest: Manifest, directory: Path, begun: Begun | None = None) -> Plan:
        """What `publish` would do; nothing is written. Raises what is in the way of it."""
        build = str(manifest.build)
        begun = begun or self.begin(build)
        claim.check(self.origin, manifest, begun.held)
        there = self._there(build)
        planned = plan(
            manifest,
            directory,
            self.prefix,
            there=there,
            copyable=self._copyable(manifest, begun),
        )
        foreign = there.keys() - {step.path for step in planned.steps}
        if foreign:
            raise NotOfThisBuild(build, [self.origin.url(path) for path in sorted(foreign)])
        return planned

    def publish(
        self,
        manifest: Manifest,
        directory: Path,
        begun: Begun | None = None,
        provide: Provide | None = None,
        before: Callable[[], None] | None = None,
    ) -> Published:
        """Bring the build in ``directory`` to S3; it is published when this returns.

        ``before`` is called when it is known that there is something to upload. Raises what
        `claim.take` raises when another content has that build version, `PublishFailed` when
        objects do not get there, `OriginError` when the record does not.
        """
        started = time.monotonic()
        build = str(manifest.build)
        place = self.origin.url(f"{self.prefix}{build}/")
        begun = begun or self.begin(build)
        base = str(begun.base.build) if begun.base else None
        claimed = claim.take(self.origin, manifest, begun.held, base, before)
        if claimed is None:
            return Published(build, place)

        def still_ours() -> None:
            if not claimed.renew_if_due():
                raise _PublishedMeanwhile

        transfer = Transfer(
            self.origin, manifest, self.connections, still_ours, claimed.check_fresh, provide
        )
        try:
            done = list(transfer.run(self.plan(manifest, directory, replace(begun, held=None))))
        except _PublishedMeanwhile:
            return Published(build, place)
        stored = as_stored(manifest, done)
        claimed.settle(claimed.record.published(stored, claimed.record.since))
        return Published(
            build=build,
            place=place,
            objects={action: sum(one.action is action for one in done) for action in Action},
            uploaded_size=sum(one.size for one in done if one.action is Action.UPLOAD),
            requests=self.origin.requests - begun.asked,
            seconds=time.monotonic() - started,
        )

    def _base(self, *, apart_from: str) -> Manifest | None:
        if isinstance(self.base, str):
            named = record.read(self.origin, self.base)
            if named is None or named.record.state is not State.PUBLISHED:
                raise BaseNotPublished(self.base, self.origin.url(record.path(self.base)))
            return named.record.manifest
        if not self.base:
            return None
        try:
            for held in record.newest_first(self.origin):
                build = held.record.build
                if held.record.state is State.PUBLISHED and build != apart_from:
                    found = record.read(self.origin, build)
                    return found.record.manifest if found else None
        except (OriginError, UnreadableRecord) as error:
            # It would only have saved work.
            logger.warning("No earlier build is copied from: %s", error)
        return None

    def _there(self, build: str) -> dict[str, Found]:
        """What S3 has under the prefix of a build, of this or of an earlier attempt."""
        prefix = f"{self.prefix}{build}/"
        with _without_permission_to_look():
            # What ends with a slash is a folder that somebody made in a console.
            paths = [one.path for one in self.origin.list(prefix) if not one.path.endswith("/")]
            with ThreadPoolExecutor(min(self.connections, len(paths)) or 1) as pool:
                found = zip(paths, pool.map(self.origin.find, paths), strict=True)
                return {path: one for path, one in found if one is not None}
        return {}

    def _etags(self, build: Manifest | None) -> dict[str, str]:
        if build is None:
            return {}
        return {one.path: one.etag for one in self.origin.list(f"{self.prefix}{build.build}/")}

    def _copyable(self, manifest: Manifest, begun: Begun) -> dict[Content, Source]:
        base = begun.base
        if base is None or base.build == manifest.build:
            return {}
        wanted = {asset.integrity for asset in manifest.assets.values()}
        etags = begun.etags.result()
        return {
            content: replace(source, etag=etags[source.path])
            for content, source in sources(base, self.prefix, manifest.encoders)
            if content[0] in wanted and source.path in etags
        }


def in_background(work: Callable[[], Result]) -> Future[Result]:
    """What ``work`` returns or raises, once it has; nobody who ends the process waits for it."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again where the result is wanted
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def as_stored(manifest: Manifest, done: Iterable[Done]) -> Manifest:
    """The manifest with the sizes and the digests of what S3 really has."""
    sizes: dict[str, dict[str, int]] = {}
    digests: dict[str, dict[str, str]] = {}
    for one in done:
        file = one.step.file
        if file.path == file.hashed_path:
            encoding = file.variant.encoding
            hashed_name = file.asset.hashed_name
            digests.setdefault(hashed_name, {})[encoding or IDENTITY] = one.sha256
            if encoding is not None:
                sizes.setdefault(hashed_name, {})[encoding] = one.size
    assets = {
        hashed_name: replace(
            asset, encodings=sizes.get(hashed_name, {}), sha256=digests.get(hashed_name, {})
        )
        for hashed_name, asset in manifest.assets.items()
    }
    return replace(manifest, assets=assets)


@contextmanager
def _without_permission_to_look() -> Iterator[None]:
    """Go on where S3 denies to say what is there: every write is conditional anyway."""
    try:
        yield
    except OriginError as error:
        if error.code != "AccessDenied":
            raise
