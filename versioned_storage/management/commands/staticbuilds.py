"""manage.py staticbuilds: everything about builds but making them."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...errors import VersionedStorageError
from ...origin.threads import raising_interrupts
from ...site import Site
from .. import subcommands
from ..subcommands import Result, StyledResult, Subcommand
from ..terminal import Terminal

#: The first line of each subcommand's docstring, in the order of the help. Importing all of them
#: takes longer than most of them run.
SUBCOMMANDS: Mapping[str, str] = {
    "version": "Print a build version derived from the content: BUILD_VERSION=$(manage.py "
    "staticbuilds version).",
    "list": "List the builds on the origin and in STATIC_ROOT, the current one first.",
    "show": "Show what is in a build: totals by type and encoding, and the largest assets.",
    "diff": "Compare two builds: assets added, removed and changed, and what visitors have to "
    "download.",
    "report": "Draw a build as one page of HTML, to look for what is large.",
    "publish": "Publish a build from STATIC_ROOT, for sites that set publish=False or build on "
    "another machine.",
    "pull": "Write a published build's manifest to STATIC_ROOT, for an image that runs without "
    "collectstatic.",
    "verify": "Check that S3, or the CDN, serves a build as its manifest says.",
    "prune": "Delete builds that no page refers to any more, from S3 or from STATIC_ROOT.",
    "doctor": "Diagnose what would make a publish or a page fail.",
    "cloudformation": "Print the CloudFormation template of the CDN, made from these settings.",
    "invalidate": "Invalidate paths in CloudFront that are not versioned.",
}
# A module called list would hide the built-in function.
_MODULES = {"list": "listing"}

#: The exit code of a shell for a process that Ctrl-C ended: 128 and the number of SIGINT.
_INTERRUPTED = 130


class Command(BaseCommand):
    """Parses the arguments, runs a module of ``subcommands`` and prints its result."""

    help = "See, publish, compare, verify and prune builds of static files."
    # The builds of a broken site can be listed, verified and published.
    requires_system_checks = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The subcommands with arguments: all, unless the command line names some.
        self._parsed: Collection[str] = SUBCOMMANDS.keys()

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for name, summary in SUBCOMMANDS.items():
            subparser = subparsers.add_parser(name, help=summary, description=summary)
            if name not in self._parsed:
                continue
            subcommand = _imported(name)
            subparser.epilog = (subcommand.__doc__ or "").partition("\n")[2]
            subparser.add_argument("--json", action="store_true", help="print the result as JSON")
            _accept_djangos_arguments(subparser)
            subcommand.add_arguments(subparser)

    def run_from_argv(self, argv: list[str]) -> None:
        self._parsed = SUBCOMMANDS.keys() & argv
        try:
            with raising_interrupts():
                super().run_from_argv(argv)
        except KeyboardInterrupt as interrupt:
            # Every subcommand can be run again after an interruption, so a traceback is no help.
            self.stderr.write(
                "Interrupted. No incomplete build is in use: run the same command again."
            )
            sys.exit(getattr(interrupt, "code", None) or _INTERRUPTED)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = _imported(options["subcommand"]).run(Site.configured(), options)
        except VersionedStorageError as error:
            error.shows_section = options["verbosity"] > 1
            raise
        if options["json"]:
            self.stdout.write(json.dumps(result.data(), indent=2))
        elif text := self._text(result, options):
            self.stdout.write(text)
        if not result.ok:
            sys.exit(1)

    def _text(self, result: Result, options: Mapping[str, Any]) -> str:
        if isinstance(result, StyledResult):
            return result.styled(Terminal.of(self.stdout, options))
        return result.text()


def _imported(name: str) -> Subcommand:
    module: Any = import_module(f"{subcommands.__name__}.{_MODULES.get(name, name)}")
    return module  # type: ignore[no-any-return]  # a module is not checked against a protocol


def _accept_djangos_arguments(parser: ArgumentParser) -> None:
    # Django commands accept these after their own arguments; the defaults are the outer parser's.
    for flag in ("--settings", "--pythonpath"):
        parser.add_argument(flag, default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, default=SUPPRESS, help=SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)
