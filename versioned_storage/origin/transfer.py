"""A plan is carried out: every object brought to S3, each answer read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event

from ..build.manifest import BuildFile, Manifest
from ..errors import VersionedStorageError
from ..progress import track
from ..text import lines_text
from .body import Body
from .plan import Action, Plan, Step, fits, headers, metadata
from .s3 import Found, S3Origin

# How often an object that somebody else writes too is looked at again.
_ATTEMPTS = 5
# Seconds between two looks at what the threads have done, and after the claim.
_LOOK = 0.05

#: Makes a file of the build that is not on this machine, because the base build has it.
Provide = Callable[[BuildFile], None]


class PublishFailed(VersionedStorageError):
    """Objects did not get to S3; the build is not published."""

    def __init__(
        self, build: str, failures: Sequence[VersionedStorageError | OSError], total: int
    ) -> None:
        self.build = build
        self.failures = tuple(failures)
        self.total = total
        super().__init__(
            f"Build {build} is not published: {len(self.failures)} of its {total} objects failed, "
            f"and the upload was stopped.\n{lines_text(self.failures)}\nNo page refers to this "
            "build yet, and the published ones are as they were. Run the same command again when "
            "it is mended: it goes on with what is left."
        )


class Contended(VersionedStorageError):
    """An object is another one each time it is looked at."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"{url} was written by somebody else {_ATTEMPTS} times while it was being published. "
            "See to it that nobody but this package writes below the prefix of a build."
        )


@dataclass(frozen=True)
class Done:
    """An object that is there now; ``action`` is what was done for it."""

    step: Step
    action: Action
    size: int
    etag: str
    sha256: str


@dataclass
class Transfer:
    """Carries out the plan of one build.

    ``still_ours`` looks after the claim, and raises; ``check_fresh`` is asked, by any thread,
    before each request that writes.
    """

    origin: S3Origin
    manifest: Manifest
    connections: int
    still_ours: Callable[[], None]
    check_fresh: Callable[[], None]
    provide: Provide | None = None
    _hashed: dict[str, Done] = field(default_factory=dict)

    def run(self, plan: Plan) -> Iterator[Done]:
        """Yield each object once S3 has it; those under hashed names come first.

        After the first failure nothing new is begun, and what is under way is waited for.
        Raises `PublishFailed`.
        """
        total = len(plan.steps)

        def one_by_one() -> Iterator[Done]:
            for done in self._each(self._bring, plan.hashed, total):
                self._hashed[done.step.path] = done
                yield done
            yield from self._each(self._bring_original, plan.originals, total)

        yield from track(one_by_one(), total=total, doing="Publishing", unit="objects")

    def _each(
        self, bring: Callable[[Step], Done], steps: Sequence[Step], total: int
    ) -> Iterator[Done]:
        failures: list[VersionedStorageError | OSError] = []
        answers: SimpleQueue[Done] = SimpleQueue()
        # All threads take from this one; a tuple's iterator gives each step once.
        remaining, stopped = iter(steps), Event()

        def work() -> None:
            for step in remaining:
                if stopped.is_set():
                    return
                try:
                    answers.put(bring(step))
                except (VersionedStorageError, OSError) as error:
                    failures.append(error)
                    stopped.set()
                except BaseException:
                    stopped.set()
                    raise

        threads = min(self.connections, len(steps)) or 1
        with ThreadPoolExecutor(threads) as pool:
            try:
                self.still_ours()
                workers = {pool.submit(work) for _ in range(threads)}
                while workers:
                    # A look now and then: to be woken for each answer would be a thread more that
                    # wants the GIL.
                    done, workers = wait(workers, timeout=_LOOK, return_when=FIRST_EXCEPTION)
                    self.still_ours()
                    while not answers.empty():
                        yield answers.get()
                    for worker in done:
                        worker.result()
            finally:
                stopped.set()
        if failures:
            raise PublishFailed(str(self.manifest.build), failures, total)

    def _bring(self, step: Step) -> Done:
        """See to an object under its hashed name."""
        if step.action is Action.SKIP and step.found is not None:
            return _is_there(step, step.found)
        if step.action is Action.COPY and step.source is not None:
            source = step.source
            etag = self._copied(step, source.path, source.etag, source.sha256)
            if etag is not None:
                return Done(step, Action.COPY, source.size, etag, source.sha256)
            # It went away: the base build is being pruned.
        return self._uploaded(step)

    def _bring_original(self, step: Step) -> Done:
        """See to an object under its original name: the very bytes of the hashed one."""
        hashed = self._hashed[step.path.removesuffix(step.file.path) + step.file.hashed_path]
        found = step.found
        for _ in range(_ATTEMPTS):
            if found is not None and _is(found, step, hashed):
                return _is_there(step, found)
            if hashed.action is Action.UPLOAD:
                # Should the file be another one by now, S3 is to refuse it.
                body = Body.of(step.local, hashed.sha256)
                etag = self._put(step, body, found)
            else:
                etag = self._copied(step, hashed.step.path, hashed.etag, hashed.sha256)
            if etag is not None:
                return Done(step, _done_by(hashed), hashed.size, etag, hashed.sha256)
            found = self.origin.find(step.path)
        raise Contended(self.origin.url(step.path))

    def _uploaded(self, step: Step) -> Done:
        if self.provide is not None and not step.local.exists():
            self.provide(step.file)
        body, found = Body.of(step.local), step.found
        for _ in range(_ATTEMPTS):
            etag = self._put(step, body, found)
            if etag is not None:
                return Done(step, Action.UPLOAD, body.size, etag, body.sha256)
            # Another publisher of this build was faster, or the first attempt's answer was lost.
            found = self.origin.find(step.path)
            if found is not None and fits(found, step.file, body.sha256, self.manifest):
                return _is_there(step, found)
        raise Contended(self.origin.url(step.path))

    def _put(self, step: Step, body: Body, found: Found | None) -> str | None:
        self.check_fresh()
        return self.origin.put_file(
            step.path,
            body,
            replacing=found.etag if found else None,
            metadata=metadata(step.file, self.manifest),
            **headers(step.file),
        )

    def _copied(self, step: Step, source: str, etag: str, sha256: str) -> str | None:
        self.check_fresh()
        return self.origin.copy(
            source,
            step.path,
            etag=etag,
            sha256=sha256,
            metadata=metadata(step.file, self.manifest),
            **headers(step.file),
        )


def _is_there(step: Step, found: Found) -> Done:
    return Done(step, Action.SKIP, found.size, found.etag, found.sha256 or "")


def _is(found: Found, step: Step, hashed: Done) -> bool:
    return found.sha256 == hashed.sha256 and found.headers == headers(step.file)


def _done_by(hashed: Done) -> Action:
    return Action.UPLOAD if hashed.action is Action.UPLOAD else Action.COPY
