"""Delete builds that no page refers to any more, from S3 or from STATIC_ROOT.

A build is kept while it is among the --keep newest or was superseded less than --older-than ago,
and while it is the current one, the one that these settings name, or protected.
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
from ...origin.prune import Pruned, Pruner
from ...origin.retention import Activated, Verdict
from ...site import Site
from ...text import count_text, names_text
from ..terminal import PLAIN, Terminal

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class TooMany(VersionedStorageError):
    """More builds would be deleted than was allowed; none was."""

    def __init__(self, builds: list[str], allowed: int) -> None:
        self.builds = tuple(builds)
        self.allowed = allowed
        super().__init__(
            f"{count_text(len(builds), 'build')} would be deleted, and --max-delete allows "
            f"{allowed}: {names_text(builds)}. Nothing was deleted. See --dry-run, and raise "
            "--max-delete if that is what you want."
        )


class NotConfirmed(VersionedStorageError):
    """Nobody said yes."""

    def __init__(self) -> None:
        super().__init__("Nothing was deleted. --noinput deletes without asking.")


@dataclass(frozen=True)
class Outcome:
    """What was decided, and what was done about it; nothing of it with ``dry_run``.

    ``busy`` says since when another process is pruning a build.
    """

    verdicts: tuple[Verdict, ...]
    doomed: Mapping[str, str]
    pruned: tuple[Pruned, ...]
    dry_run: bool
    busy: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return True

    def text(self) -> str:
        return self.styled(PLAIN)

    def styled(self, terminal: Terminal) -> str:
        keep = terminal.style.SUCCESS(f"{'keep':<7}")
        delete = terminal.style.ERROR(f"{'delete':<7}")
        lines = [
            f"{delete if one.build in self.doomed else keep} {one.build:<24} {one.reason}"
            for one in self.verdicts
        ]
        known = {one.build for one in self.verdicts}
        lines += [
            f"{delete} {build:<24} {reason}"
            for build, reason in self.doomed.items()
            if build not in known
        ]
        minutes = EXPIRES_AFTER.seconds // 60
        left_alone = [
            f"Left alone: {build} is being pruned since {since:%Y-%m-%d %H:%M:%S} UTC. If that "
            f"process is dead, the first prune {minutes} minutes later goes on with it"
            for build, since in self.busy.items()
        ]
        left_alone += [
            f"Left alone: {one.build} was published or taken by another process meanwhile"
            for one in self.pruned
            if one.changed
        ]
        left_alone = [terminal.style.WARNING(terminal.wrapped(line)) for line in left_alone]
        return "\n".join([*lines, *left_alone, self._summary()])

    def data(self) -> Any:
        return {
            "dry_run": self.dry_run,
            "builds": [
                {
                    "build": one.build,
                    "activated": one.activated.isoformat(),
                    "superseded": one.superseded.isoformat() if one.superseded else None,
                    "keep": one.keep,
                    "reason": one.reason,
                }
                for one in self.verdicts
            ],
            "delete": dict(self.doomed),
            "deleted": {one.build: one.objects for one in self.pruned if not one.changed},
            "left_alone": [*self.busy, *(one.build for one in self.pruned if one.changed)],
        }

    def _summary(self) -> str:
        if self.dry_run:
            return f"Would delete {count_text(len(self.doomed), 'build')}"
        gone = [one for one in self.pruned if not one.changed]
        objects = sum(one.objects for one in gone)
        return f"Deleted {count_text(len(gone), 'build')}, {count_text(objects, 'file')}"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=_at_least_one,
        default=5,
        metavar="N",
        help="keep the N newest builds (default: 5)",
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
        help="keep this build; can be given more than once",
    )
    parser.add_argument(
        "--max-delete",
        type=int,
        metavar="N",
        help="delete nothing at all if it would be more than N builds",
    )
    parser.add_argument("--dry-run", "-n", action="store_true", help="only say what would go")
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


def run(site: Site, options: Mapping[str, Any]) -> Outcome:
    protected = dict.fromkeys(options["protect"], "is protected")
    if (own := site.options.build_version) is not None:
        protected[own] = "is the BUILD_VERSION of these settings"
    rules = {key: options[key] for key in ("keep", "older_than")} | {"protected": protected}
    if options["local"]:
        return _prune_local(site, options, rules)
    pruner = Pruner(site.origin, site.prefix, site.options.connections)
    plan = pruner.plan(**rules)
    doomed = {one.build: one.reason for one in plan.doomed}
    outcome = Outcome(plan.verdicts, doomed, (), True, plan.busy)
    if not _go_ahead(outcome, options):
        return outcome
    return replace(outcome, pruned=tuple(pruner.execute(plan)), dry_run=False)


def _prune_local(site: Site, options: Mapping[str, Any], rules: Mapping[str, Any]) -> Outcome:
    root, manifest_name = site.root, site.storage.manifest_name
    verdicts = tuple(
        retention.decide(
            [
                Activated(build, static_root.completed_at(root, build, manifest_name))
                for build in site.builds_on_disk()
                # What is no build of this site is not its to delete.
                if site.readable_manifest(build) is not None
            ],
            now=datetime.now(timezone.utc),
            **rules,
        )
    )
    outcome = Outcome(
        verdicts, {one.build: one.reason for one in verdicts if not one.keep}, (), True
    )
    if not _go_ahead(outcome, options):
        return outcome
    pruned = tuple(
        Pruned(build, static_root.remove(root, build, manifest_name)) for build in outcome.doomed
    )
    return replace(outcome, pruned=pruned, dry_run=False)


def _go_ahead(outcome: Outcome, options: Mapping[str, Any]) -> bool:
    """Say whether to delete. Raises `TooMany`, `NotConfirmed`."""
    allowed = options["max_delete"]
    if allowed is not None and len(outcome.doomed) > allowed:
        raise TooMany(sorted(outcome.doomed), allowed)
    if options["dry_run"] or not outcome.doomed:
        return not options["dry_run"]
    if options["interactive"]:
        # Not to stdout, which may be JSON for a program.
        terminal = Terminal.of(sys.stderr, options)
        sys.stderr.write(f"{outcome.styled(terminal)}. Go ahead? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise NotConfirmed
    return True


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([dhm])", text)
    if found is None:
        message = f"{text!r} is no age: it takes a number of days, hours or minutes, as in 30d, 12h"
        raise ArgumentTypeError(message)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is not a whole number from 1 on: the current build always stays"
        raise ArgumentTypeError(message)
    return int(text)
