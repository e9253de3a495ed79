"""Delete builds that no page refers to any more, from S3 or from STATIC_ROOT.

A build is kept while it is among the --keep newest or was superseded less than --older-than ago.
The current build, the BUILD_VERSION of the settings and protected builds are always kept.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ... import static_root
from ...errors import VersionedStorageError
from ...origin import retention
from ...origin.lease import EXPIRES_AFTER
from ...origin.pruning import PrunedBuild, Pruner, SweptObjects
from ...origin.retention import Activation, Verdict
from ...site import Site
from ...text import bytes_text, count_text, names_text
from ..arguments import at_least_one
from ..terminal import PLAIN, Terminal

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class TooManyBuilds(VersionedStorageError):
    """More builds would be deleted than --max-delete allows."""

    def __init__(self, builds: list[str], allowed: int) -> None:
        self.builds = tuple(builds)
        self.allowed = allowed
        super().__init__(
            f"{count_text(len(builds), 'build')} would be deleted, and --max-delete allows "
            f"{allowed}: {names_text(builds)}. Nothing was deleted. Look at "
            "--dry-run, and raise --max-delete if all of them may go."
        )


class NotConfirmed(VersionedStorageError):
    """The question was not answered with yes."""

    def __init__(self) -> None:
        super().__init__("Nothing was deleted. --noinput deletes without asking.")


@dataclass(frozen=True)
class PruneResult:
    """The verdict on each build, and what was deleted; nothing was with ``dry_run``.

    ``deletions`` maps each build to delete to the reason. ``busy`` tells since when another process
    prunes a build. ``shared`` is None for a site without shared assets.
    """

    verdicts: tuple[Verdict, ...]
    deletions: Mapping[str, str]
    pruned: tuple[PrunedBuild, ...]
    dry_run: bool
    busy: Mapping[str, datetime] = field(default_factory=dict)
    shared: SweptObjects | None = None

    ok = True

    def text(self) -> str:
        return self.styled(PLAIN)

    def styled(self, terminal: Terminal) -> str:
        keep = terminal.style.SUCCESS(f"{'keep':<7}")
        delete = terminal.style.ERROR(f"{'delete':<7}")
        lines = [
            f"{delete if verdict.build in self.deletions else keep} "
            f"{verdict.build:<24} {verdict.reason}"
            for verdict in self.verdicts
        ]
        judged = {verdict.build for verdict in self.verdicts}
        lines += [
            f"{delete} {build:<24} {reason}"
            for build, reason in self.deletions.items()
            if build not in judged
        ]
        minutes = EXPIRES_AFTER.seconds // 60
        skipped = [
            f"Skipped: {build} is being pruned since {since:%Y-%m-%d %H:%M:%S} UTC. If that "
            f"process has ended, a prune resumes it from {minutes} minutes later on"
            for build, since in self.busy.items()
        ]
        skipped += [
            f"Skipped: {pruned.build} was published or leased by another process meanwhile"
            for pruned in self.pruned
            if pruned.changed
        ]
        if self.shared is not None and (sweep := self.shared.busy) is not None:
            skipped.append(
                f"Skipped: shared assets are being pruned by {sweep.owner} since "
                f"{sweep.since:%Y-%m-%d %H:%M:%S} UTC. If that process has ended, a prune deletes "
                f"them from {minutes} minutes later on"
            )
        skipped = [terminal.style.WARNING(terminal.wrapped(line)) for line in skipped]
        return "\n".join([*lines, *skipped, self._summary()])

    def data(self) -> Any:
        return {
            "dry_run": self.dry_run,
            "builds": [
                {
                    "build": verdict.build,
                    "activated": verdict.activated.isoformat(),
                    "superseded": verdict.superseded.isoformat() if verdict.superseded else None,
                    "keep": verdict.keep,
                    "reason": verdict.reason,
                }
                for verdict in self.verdicts
            ],
            "delete": dict(self.deletions),
            "deleted": {pruned.build: pruned.objects for pruned in self._deleted()},
            "left_alone": [*self.busy, *(pruned.build for pruned in self.pruned if pruned.changed)],
            **self._shared_data(),
        }

    def _shared_data(self) -> dict[str, Any]:
        if self.shared is None:
            return {}
        shared = {"objects": self.shared.objects, "bytes": self.shared.size}
        return {"shared": {**shared, "busy": self.shared.busy is not None}}

    def _summary(self) -> str:
        if self.dry_run:
            return f"Would delete {count_text(len(self.deletions), 'build')}{self._shared_text()}"
        deleted = self._deleted()
        objects = sum(pruned.objects for pruned in deleted)
        return (
            f"Deleted {count_text(len(deleted), 'build')}, {count_text(objects, 'file')}"
            f"{self._shared_text()}"
        )

    def _shared_text(self) -> str:
        if self.shared is None or self.shared.busy is not None:
            return ""
        objects = count_text(self.shared.objects, "shared object")
        return f", {objects} ({bytes_text(self.shared.size)})"

    def _deleted(self) -> list[PrunedBuild]:
        return [pruned for pruned in self.pruned if not pruned.changed]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=at_least_one,
        default=5,
        metavar="N",
        help="keep the N newest builds, 1 or more (default: 5)",
    )
    parser.add_argument(
        "--older-than",
        type=_duration,
        default=timedelta(days=30),
        metavar="AGE",
        help="keep builds superseded less than this ago: 30d, 12h (default: 30d)",
    )
    parser.add_argument(
        "--protect",
        action="append",
        default=[],
        metavar="BUILD",
        help="keep this build; can be repeated",
    )
    parser.add_argument(
        "--max-delete",
        type=int,
        metavar="N",
        help="fail and delete nothing if it would be more than N builds",
    )
    parser.add_argument(
        "--dry-run", "-n", action="store_true", help="only show what would be deleted"
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="prune the builds in STATIC_ROOT instead of those on S3",
    )
    parser.add_argument(
        "--noinput",
        "--no-input",
        action="store_false",
        dest="interactive",
        help="do not ask before deleting",
    )


def run(site: Site, options: Mapping[str, Any]) -> PruneResult:
    protected = dict.fromkeys(options["protect"], "is protected")
    if (build := site.options.build_version) is not None:
        protected[build] = "is the BUILD_VERSION of these settings"
    rules = {key: options[key] for key in ("keep", "older_than")} | {"protected": protected}
    if options["local"]:
        return _prune_local(site, options, rules)
    shares_assets, prefix = site.options.shares_assets, site.options.shared_prefix
    pruner = Pruner(site.origin, prefix if shares_assets else "")
    plan = pruner.plan(**rules)
    deletions = {build.build: build.reason for build in plan.candidates}
    result = PruneResult(plan.verdicts, deletions, pruned=(), dry_run=True, busy=plan.busy)
    # It lists all shared objects, so only for a result that is read before the deletion.
    if options["dry_run"] or options["interactive"]:
        result = replace(result, shared=pruner.would_sweep(plan))
    if not _go_ahead(result, options):
        return result
    pruned = tuple(pruner.execute(plan))
    return replace(result, pruned=pruned, shared=pruner.sweep(plan), dry_run=False)


def _prune_local(site: Site, options: Mapping[str, Any], rules: Mapping[str, Any]) -> PruneResult:
    verdicts = tuple(
        retention.decide(
            [
                Activation(build, site.completed_at(build))
                for build in site.builds_on_disk()
                # A directory without a manifest of this site is not deleted.
                if site.readable_manifest(build) is not None
            ],
            now=datetime.now(timezone.utc),
            **rules,
        )
    )
    deletions = {verdict.build: verdict.reason for verdict in verdicts if not verdict.keep}
    result = PruneResult(verdicts, deletions, pruned=(), dry_run=True)
    if not _go_ahead(result, options):
        return result
    pruned = tuple(
        PrunedBuild(build, static_root.remove_build(site.manifest_path(build)))
        for build in result.deletions
    )
    return replace(result, pruned=pruned, dry_run=False)


def _go_ahead(result: PruneResult, options: Mapping[str, Any]) -> bool:
    """Return True if it may be deleted. Raises `TooManyBuilds`, `NotConfirmed`."""
    allowed = options["max_delete"]
    if allowed is not None and len(result.deletions) > allowed:
        raise TooManyBuilds(sorted(result.deletions), allowed)
    if options["dry_run"]:
        return False
    sweeps = result.shared is not None and result.shared.objects > 0
    if options["interactive"] and (result.deletions or sweeps):
        # Not on stdout, where a program may read JSON.
        terminal = Terminal.of(sys.stderr, options)
        sys.stderr.write(f"{result.styled(terminal)}. Go ahead? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise NotConfirmed
    return True


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([dhm])", text)
    if match is None:
        message = f"{text!r} is not an age in days, hours or minutes, such as 30d or 12h"
        raise ArgumentTypeError(message)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
