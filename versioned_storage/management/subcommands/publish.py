"""Publish a build from STATIC_ROOT, for sites that set publish=False or build on another machine.

Every file is checked against the build's manifest first. Encodings that are missing on this disk
are copied from the base build on S3, or compressed. An interrupted publish is resumed.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...build.damage import DamagedBuild, damages
from ...build.directory import BuildDirectory
from ...build.manifest import Manifest
from ...errors import VersionedStorageError
from ...origin import lease
from ...origin.plan import Action, PublishPlan
from ...origin.publisher import Published, Publisher
from ...site import Site
from ...text import bytes_text, names_text
from ..arguments import add_build, build_version


class NotBuilt(VersionedStorageError):
    """STATIC_ROOT does not have the build to publish."""

    def __init__(self, build: str, path: str, builds: Sequence[str]) -> None:
        self.build = build
        self.path = path
        self.builds = tuple(builds)
        super().__init__(
            f"There is no build {build} to publish: {path} does not exist. Run collectstatic with "
            f"BUILD_VERSION={build}, or copy the directory of the build here. Builds in "
            f"STATIC_ROOT: {names_text(self.builds) or 'none'}."
        )


@dataclass(frozen=True)
class DryRun:
    """What a publish would do; with ``verbose`` every object is listed."""

    plan: PublishPlan
    place: str
    already_published: bool
    verbose: bool

    ok = True

    def text(self) -> str:
        if self.already_published:
            return (
                f"Build {self.plan.build} is already published at {self.place}: publishing it "
                "again would upload nothing and renew its activation"
            )
        lines = [
            f"{step.action.value:<6} {bytes_text(step.size):>8}  {step.path}: {step.reason}"
            for step in (self.plan.steps if self.verbose else ())
        ]
        summary = f"Would publish build {self.plan.build} to {self.place}: {self.plan}"
        return "\n".join([*lines, summary])

    def data(self) -> Any:
        objects: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for step in self.plan.steps:
            objects[step.action.value] += 1
            sizes[step.action.value] += step.size
        return {
            "build": self.plan.build,
            "place": self.place,
            "dry_run": True,
            "already_published": self.already_published,
            "objects": {action.value: objects[action.value] for action in Action},
            "bytes": {action.value: sizes[action.value] for action in Action},
            "steps": [
                {
                    "path": step.path,
                    "action": step.action.value,
                    "reason": step.reason,
                    "bytes": step.size,
                }
                for step in self.plan.steps
            ],
        }


@dataclass(frozen=True)
class AbandonedLease:
    """A lease that was ended."""

    build: str

    ok = True

    def text(self) -> str:
        return (
            f"The lease of build {self.build} has ended. 'python manage.py staticbuilds prune' "
            "deletes the objects of its publish."
        )

    def data(self) -> Any:
        return {"build": self.build, "abandoned": True}


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "-n",
        "--dry-run",
        action="store_true",
        help="only show what would be done; with -v 2 for each object",
    )
    instead.add_argument(
        "--abandon",
        action="store_true",
        help="do not publish: end the lease of an interrupted publish, so that other content can "
        "use the build version",
    )
    base = parser.add_mutually_exclusive_group()
    base.add_argument(
        "--base",
        type=build_version,
        metavar="BUILD",
        help="the published build to copy unchanged objects from (default: that of the option "
        "base_build, or the current build)",
    )
    base.add_argument(
        "--no-base", action="store_const", const=False, dest="base", help="copy no objects"
    )


def run(site: Site, options: Mapping[str, Any]) -> Published | DryRun | AbandonedLease:
    build = site.build(options["build"])
    if options["abandon"]:
        lease.abandon(site.origin, build)
        return AbandonedLease(build)
    base = site.options.base_build if options["base"] is None else options["base"]
    publisher = Publisher(site.origin, base)
    manifest = _manifest(site, build)
    preflight = publisher.preflight(build)
    directory = site.directory(build)
    # Not called for a published build, of which a site may have only the manifest: see ``pull``.
    check = partial(_check_files, manifest, directory)
    if options["dry_run"]:
        if preflight.is_published:
            lease.check_publishable(site.origin, manifest, preflight.stored)
            plan = PublishPlan(build, (), ())
        else:
            check()
            plan = publisher.plan(manifest, directory, preflight)
        place = site.origin.url(f"{site.origin.prefix}{build}/")
        return DryRun(plan, place, preflight.is_published, options["verbosity"] > 1)
    return publisher.publish(manifest, directory, preflight, check)


def _manifest(site: Site, build: str) -> Manifest:
    """Return the build's manifest on disk. Raises `NotBuilt`."""
    manifest = site.manifest_on_disk(build)
    if manifest is None:
        raise NotBuilt(build, str(site.manifest_path(build)), site.builds_on_disk())
    return manifest


def _check_files(manifest: Manifest, directory: BuildDirectory) -> None:
    """Raise `DamagedBuild` if a file is not as it was built."""
    if damaged := list(damages(manifest, directory)):
        raise DamagedBuild(str(manifest.build), str(directory.root), damaged)
