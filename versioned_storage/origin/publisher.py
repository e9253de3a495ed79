"""Publishes a build from disk to S3: the lease first, then every object, the commit last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Any

from ..build.directory import BuildDirectory
from ..build.manifest import BuildFile, Content, Manifest
from ..constants import IDENTITY
from ..errors import OtherContent, VersionedStorageError
from ..progress import logger
from ..text import bytes_text, count_text, lines_text
from . import lease, record
from .lease import Lease
from .objects import ListedObject, LocalBuild, StoredObject
from .plan import Action, PublishPlan, copy_sources, plan, reusable
from .record import Record, StoredRecord, UnreadableRecord
from .s3 import S3Origin
from .s3_errors import OriginError
from .shared_objects import SharedObjectDiffers, SharedObjects, read_sweep
from .threads import (
    Interrupted,
    in_background,
    interruptible,
    map_in_threads,
    raising_interrupts,
)
from .transfer import LOOK, PublishedMeanwhile, PublishFailed, Stopped, Transfer, TransferredObject

#: What AWS charges in us-east-1 and eu-west-1 for a PUT, COPY, POST or LIST, and for a GET or HEAD.
DOLLARS_FOR_A_WRITE = 0.005 / 1000
DOLLARS_FOR_A_READ = 0.0004 / 1000

# Seconds between two checks of a prune that may delete what the build needs.
_PAUSE = 2.0
# Seconds after which a command that failed does not wait for S3 any more.
_LONGEST_STOP = 3.0


class BaseNotPublished(VersionedStorageError):
    """The build to copy from is not published."""

    def __init__(self, base: str, url: str) -> None:
        self.base = base
        self.url = url
        super().__init__(
            f"The base build {base} is not published ({url}). Name one that 'python manage.py "
            "staticbuilds list' shows as published, or leave the option base_build out, to copy "
            "from the current one."
        )


class NotOfThisBuild(OtherContent):
    """The prefix of a build holds objects of another content."""

    def __init__(self, build: str, urls: Sequence[str]) -> None:
        self.build = build
        self.urls = tuple(urls)
        objects = count_text(len(self.urls), "object")
        verb = "does" if len(self.urls) == 1 else "do"
        super().__init__(
            f"Build {build} is not published: its prefix holds {objects} that {verb} not belong to "
            f"it, and visitors would get a mix of two builds.\n{lines_text(self.urls)}\nAn "
            "earlier publish of other content left them there. Set a new BUILD_VERSION, or delete "
            f"them: 'python manage.py staticbuilds prune', after 'publish --abandon {build}' if a "
            "dead process has the lease, then publish again."
        )


@dataclass(frozen=True)
class Preflight:
    """The state of S3 before a build is made: its record, and the build to copy from.

    ``base_objects`` are the objects of the base build by path, which are listed while the build is
    made. ``requests`` and ``reads`` are what the origin had made before.
    """

    stored: StoredRecord | None
    base_record: Record | None
    base_objects: Future[dict[str, ListedObject]]
    requests: int
    reads: int

    @property
    def base(self) -> Manifest | None:
        """Return the manifest of the build to copy from."""
        return self.base_record.manifest if self.base_record is not None else None

    @property
    def is_published(self) -> bool:
        """Return True if the build version is published: other content is refused then."""
        return self.stored is not None and self.stored.record.is_published

    def remote_encodings(self, encoders: Mapping[str, object]) -> dict[Content, int]:
        """Return the sizes of what need not be made."""
        if self.base is None:
            return {}
        return {item.content: item.size for item in reusable(self.base, encoders)}


@dataclass(frozen=True)
class Published:
    """The result of a publish; ``objects`` is empty when the build was published already.

    ``reads`` are those of the ``requests`` that were GET or HEAD.
    """

    build: str
    place: str
    objects: Mapping[Action, int] = field(default_factory=dict)
    uploaded_size: int = 0
    requests: int = 0
    reads: int = 0
    seconds: float = 0.0

    ok = True

    @property
    def dollars(self) -> float:
        """What the requests cost on AWS in us-east-1 and eu-west-1."""
        return (self.requests - self.reads) * DOLLARS_FOR_A_WRITE + self.reads * DOLLARS_FOR_A_READ

    def text(self) -> str:
        """Return one line for whoever runs the deploy."""
        if not self.objects:
            return f"Build {self.build} is published at {self.place} already: nothing to upload"
        uploaded, copied, skipped = (self.objects.get(action, 0) for action in Action)
        parts = [
            f"{count_text(uploaded, 'object')} uploaded",
            bytes_text(self.uploaded_size),
            f"{copied:,} copied inside S3" if copied else "",
            f"{skipped:,} there already" if skipped else "",
            count_text(self.requests, "request"),
            f"{self.seconds:.1f} s",
            f"${self.dollars:.4f}",
        ]
        return f"Published build {self.build} to {self.place}: {', '.join(filter(None, parts))}"

    def data(self) -> dict[str, Any]:
        """Return everything for ``--json``."""
        return {
            "build": self.build,
            "place": self.place,
            "dry_run": False,
            "already_published": not self.objects,
            "objects": {action.value: self.objects.get(action, 0) for action in Action},
            "uploaded_bytes": self.uploaded_size,
            "requests": self.requests,
            "reads": self.reads,
            "dollars": round(self.dollars, 6),
            "seconds": round(self.seconds, 3),
        }


class Publishing:
    """A publish that has begun before the encodings of its build are made."""

    def __init__(self, publisher: Publisher, build: LocalBuild, preflight: Preflight) -> None:
        self._stop = Event()
        self._complete: Future[Manifest] = Future()
        self._leases: list[Lease] = []
        self._published = in_background(
            lambda: publisher._publish(
                build, preflight, self._complete, self._stop, on_lease=self._leases.append
            )
        )

    def finish(self, manifest: Manifest) -> Published:
        """Commit the build, which is complete on this disk now; as `Publisher.publish`.

        ``manifest`` is the final one.
        """
        self._complete.set_result(manifest)
        return self._published.result()

    def give_up(self) -> None:
        """Stop, and release the lease, because the build cannot be completed.

        Takes at most as long as an interrupted publish: what is later is done in the background,
        and a lease that is not released expires.
        """
        self.stop()
        wait([in_background(self._release)], timeout=_LONGEST_STOP)

    def stop(self) -> None:
        """Stop without waiting, if it has not ended."""
        self._stop.set()
        self._complete.cancel()

    def _release(self) -> None:
        if isinstance(self._published.exception(), (Stopped, CancelledError)):
            for build_lease in self._leases:
                build_lease.release()


@dataclass(frozen=True)
class Publisher:
    """Publishes the builds of one site.

    ``base`` is the build to copy from: True for the current one, False for none.
    """

    origin: S3Origin
    base: bool | str = True

    def preflight(self, build: str) -> Preflight:
        """Read the state of S3, so that a publish that cannot work fails before a long build.

        Raises `OriginError` and `BaseNotPublished`. Access denied is no error: without permission
        to list the bucket S3 denies every key that is missing.
        """
        return interruptible(lambda _: self._preflight(build))

    def plan(
        self, manifest: Manifest, directory: BuildDirectory, preflight: Preflight | None = None
    ) -> PublishPlan:
        """Return what `publish` would do; nothing is written. Raises what `publish` would raise."""
        preflight = preflight or self.preflight(str(manifest.build))
        lease.check_publishable(self.origin, manifest, preflight.stored)
        return self._plan(LocalBuild(manifest, directory), preflight)

    def publish(
        self,
        manifest: Manifest,
        directory: BuildDirectory,
        preflight: Preflight | None = None,
        before: Callable[[], None] | None = None,
    ) -> Published:
        """Bring the build in ``directory`` to S3; it is published when this returns.

        ``before`` is called once, if there is something to upload. Raises what
        `lease.acquire` raises when another content has that build version, `PublishFailed` when
        objects do not get there, `OriginError` when the record does not. SIGINT and SIGTERM raise
        `Interrupted` and leave the lease for the next run.
        """
        preflight = preflight or self.preflight(str(manifest.build))
        complete: Future[Manifest] = Future()
        complete.set_result(manifest)
        publish = partial(self._publish, LocalBuild(manifest, directory), preflight, complete)
        with _reporting_interrupts(manifest):
            return interruptible(lambda stop: publish(stop, before))

    @contextmanager
    def publishing(
        self,
        manifest: Manifest,
        directory: BuildDirectory,
        wait_for: Callable[[BuildFile], None],
        preflight: Preflight,
    ) -> Iterator[Publishing]:
        """Publish a build while its encodings are made; ``wait_for`` returns once a file is.

        Raises what `lease.check_publishable` raises. SIGINT and SIGTERM raise `Interrupted`. A
        build that cannot be completed because of another error gives up its lease.
        """
        lease.check_publishable(self.origin, manifest, preflight.stored)
        publishing = Publishing(self, LocalBuild(manifest, directory, wait_for), preflight)
        with _reporting_interrupts(manifest), raising_interrupts():
            try:
                yield publishing
            except Exception:
                publishing.give_up()
                raise
            finally:
                publishing.stop()

    def _preflight(self, build: str) -> Preflight:
        stored, requests, reads = None, self.origin.requests, self.origin.reads
        with _without_permission_to_list():
            stored = record.read(self.origin, build)
        if stored is not None and stored.record.is_published:
            # A published build has all of its objects: no other build is needed.
            nothing: Future[dict[str, ListedObject]] = Future()
            nothing.set_result({})
            return Preflight(stored, stored.record, nothing, requests, reads)
        base = self._base(apart_from=build)
        listing = in_background(partial(self._list, base))
        return Preflight(stored, base, listing, requests, reads)

    def _publish(
        self,
        build: LocalBuild,
        preflight: Preflight,
        complete: Future[Manifest],
        stop: Event,
        before: Callable[[], None] | None = None,
        on_lease: Callable[[Lease], None] = lambda _: None,
    ) -> Published:
        """Publish a build, and commit it when its final manifest is in ``complete``."""
        started = time.monotonic()
        name = str(build.manifest.build)
        place = self.origin.url(f"{self.origin.prefix}{name}/")
        if preflight.is_published:
            # A no-op publish renews the activation, which is for complete builds.
            complete.result()
        base = str(preflight.base.build) if preflight.base else None
        build_lease = lease.acquire(self.origin, build.manifest, preflight.stored, base, before)
        if build_lease is None:
            return Published(name, place)
        on_lease(build_lease)
        if build_lease.record.base != base:
            # Another publisher of this content came first, and copies from another build.
            preflight = replace(preflight, **self._copying_from(build_lease.record.base))
        transfer = Transfer(self.origin, build, build_lease, stop)
        try:
            planned = self._plan(build, preflight)
            damaged = planned.damaged
            transferred = list(transfer.run(planned))
            while planned.waiting:
                self._wait_for_prune(planned.waiting, build_lease, stop)
                planned = self._plan(build, preflight, planned.waiting)
                transferred += transfer.run(planned)
            while not complete.done():
                _pause(build_lease, stop, LOOK)
        except NotOfThisBuild:
            build_lease.release()
            raise
        except PublishedMeanwhile:
            return Published(name, place)
        stored = as_stored(complete.result(), transferred)
        # It returns False where another publisher has committed the same content.
        build_lease.commit(build_lease.record.published(stored, self.origin.now()))
        copied_from = preflight.base.build if preflight.base else None
        self._warn_of_damage(copied_from, [*damaged, *transfer.damaged])
        if transfer.mended:
            logger.warning(
                "Shared objects had other headers than build %s has, so they were given its own:\n"
                "%s\n'python manage.py staticbuilds verify' notes it for the builds before.",
                name,
                lines_text(transfer.mended),
            )
        uploads = [item for item in transferred if item.action is Action.UPLOAD]
        return Published(
            build=name,
            place=place,
            objects={
                action: sum(item.action is action for item in transferred) for action in Action
            },
            uploaded_size=sum(item.size for item in uploads),
            requests=self.origin.requests - preflight.requests,
            reads=self.origin.reads - preflight.reads,
            seconds=time.monotonic() - started,
        )

    def _copying_from(self, base: str | None) -> dict[str, Any]:
        """Return the fields of a preflight that name the build to copy from."""
        stored = record.read(self.origin, base) if base is not None else None
        published = stored.record if stored and stored.record.is_published else None
        listing = in_background(partial(self._list, published))
        return {"base_record": published, "base_objects": listing}

    def _wait_for_prune(
        self, waiting: Iterable[BuildFile], build_lease: Lease, stop: Event
    ) -> None:
        """Wait until a running prune will not delete one of these files any more."""
        paths = [self.origin.prefix + file.hashed_path for file in waiting]
        announced = ""
        while True:
            sweep = read_sweep(self.origin)
            now = self.origin.now()
            if sweep is None or not all(sweep.may_delete(path, now) for path in paths):
                return
            if sweep.owner != announced:
                announced = sweep.owner
                logger.warning(
                    "Waiting for the prune of %s, which may delete %s that this build needs. Its "
                    "lease was renewed at %s UTC.",
                    sweep.owner,
                    count_text(len(paths), "object"),
                    f"{sweep.since:%Y-%m-%d %H:%M:%S}",
                )
            _pause(build_lease, stop, _PAUSE)

    def _plan(
        self,
        build: LocalBuild,
        preflight: Preflight,
        waiting: Sequence[BuildFile] | None = None,
    ) -> PublishPlan:
        """Plan the publish, or the rest of it that was ``waiting``."""
        manifest, name = build.manifest, str(build.manifest.build)
        shared = self._shared(manifest, preflight, waiting)
        stored = self._stored(name)
        planning = partial(plan, build, self.origin.prefix, stored=stored, shared=shared)
        base = preflight.base
        if waiting is not None or base is None or base.build == manifest.build:
            planned = planning(sources={}, files=waiting)
        else:
            listed = preflight.base_objects.result()
            sources, damaged = copy_sources(base, manifest, self.origin.prefix, listed)
            urls = [self.origin.url(path) for path in damaged]
            planned = planning(sources=sources, damaged=urls)
        if waiting is None:
            foreign = stored.keys() - {self.origin.prefix + file.path for file in manifest.files()}
            if foreign:
                raise NotOfThisBuild(name, [self.origin.url(path) for path in sorted(foreign)])
        differing = [
            SharedObjectDiffers(
                self.origin.url(step.path), step.file.asset.name, step.stored.sha256
            )
            for step in planned.hashed
            if step.file.is_shared and step.action is Action.UPLOAD and step.stored is not None
        ]
        if differing:
            raise PublishFailed(name, differing, len(planned.steps))
        return planned

    def _shared(
        self, manifest: Manifest, preflight: Preflight, waiting: Sequence[BuildFile] | None
    ) -> SharedObjects | None:
        """Return what S3 has of the shared objects of a build; None if the build has none."""
        candidates = manifest.shared_files() if waiting is None else waiting
        files = [file for file in candidates if file.is_shared]
        if not files:
            return None
        is_current = self.base is True
        current = preflight.base_record if is_current else self._current(str(manifest.build))
        return SharedObjects.read(self.origin, files, current)

    def _base(self, *, apart_from: str) -> Record | None:
        if isinstance(self.base, str):
            stored = record.read(self.origin, self.base)
            if stored is None or not stored.record.is_published:
                raise BaseNotPublished(self.base, self.origin.url(record.path(self.base)))
            return stored.record
        return self._current(apart_from) if self.base else None

    def _current(self, apart_from: str) -> Record | None:
        try:
            for head in record.newest_first(self.origin):
                build = head.record.build
                if head.record.is_published and build != apart_from:
                    stored = record.read(self.origin, build)
                    return stored.record if stored else None
        except (OriginError, UnreadableRecord) as error:
            # The base build only saves work, so a failure does not matter.
            logger.warning("No earlier build is copied from: %s", error)
        return None

    def _stored(self, build: str) -> dict[str, StoredObject]:
        """Return the objects below the prefix of a build, of this or of an earlier attempt."""
        with _without_permission_to_list():
            listed = self.origin.list(f"{self.origin.prefix}{build}/")
            # A key that ends with a slash is a folder that somebody made in a console.
            paths = [item.path for item in listed if not item.path.endswith("/")]
            stored = map_in_threads(self.origin.find, paths, self.origin.connections)
            return {
                path: item for path, item in zip(paths, stored, strict=True) if item is not None
            }
        return {}

    def _list(self, base: Record | None) -> dict[str, ListedObject]:
        """Return the objects of the base build, by path."""
        if base is None:
            return {}
        with _without_permission_to_list():
            listed = self.origin.list(f"{self.origin.prefix}{base.build}/")
            return {item.path: item for item in listed}
        return {}

    def _warn_of_damage(self, base: str | None, urls: Sequence[str]) -> None:
        if urls:
            logger.warning(
                "Objects of the base build %s differ from its record, so they were uploaded and "
                "not copied:\n%s\n'python manage.py staticbuilds verify %s --repair' restores the "
                "base build.",
                base,
                lines_text(urls),
                base,
            )


def as_stored(manifest: Manifest, transferred: Iterable[TransferredObject]) -> Manifest:
    """Return the manifest with the sizes and the digests of the objects on S3."""
    sizes: dict[str, dict[str, int]] = {}
    digests: dict[str, dict[str, str]] = {}
    etags: dict[str, dict[str, str]] = {}
    for item in transferred:
        file = item.step.file
        if file.path == file.hashed_path:
            encoding = file.encoding
            hashed_name = file.asset.hashed_name
            digests.setdefault(hashed_name, {})[encoding or IDENTITY] = item.sha256
            if encoding is not None:
                sizes.setdefault(hashed_name, {})[encoding] = item.size
            if file.is_shared:
                etags.setdefault(hashed_name, {})[encoding or IDENTITY] = item.etag.strip('"')
    assets = {
        hashed_name: replace(
            asset,
            encodings=sizes.get(hashed_name, {}),
            sha256=digests.get(hashed_name, {}),
            etags=etags.get(hashed_name, {}),
        )
        for hashed_name, asset in manifest.assets.items()
    }
    return replace(manifest, assets=assets)


def _pause(build_lease: Lease, stop: Event, seconds: float) -> None:
    """Wait, and keep the lease. Raises `Stopped`, `PublishedMeanwhile`, and what `renew` raises."""
    if stop.wait(seconds):
        raise Stopped
    if not build_lease.renew_if_due():
        raise PublishedMeanwhile


@contextmanager
def _reporting_interrupts(manifest: Manifest) -> Iterator[None]:
    try:
        yield
    except Interrupted:
        logger.warning(
            "The publish of build %s was interrupted. Run the same command again: it goes on with "
            "what is left.",
            manifest.build,
        )
        raise


@contextmanager
def _without_permission_to_list() -> Iterator[None]:
    """Go on where S3 denies a listing or a missing key: every write is conditional anyway."""
    try:
        yield
    except OriginError as error:
        if error.code != "AccessDenied":
            raise
