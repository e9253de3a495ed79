"""manage.py staticbuilds: everything about builds but making them."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...site import Site
from ..subcommands import (
    Result,
    StyledResult,
    Subcommand,
    cloudformation,
    diff,
    doctor,
    invalidate,
    listing,
    prune,
    publish,
    pull,
    show,
    verify,
    version,
)
from ..terminal import Terminal

#: In the order of the help.
SUBCOMMANDS: Mapping[str, Subcommand] = {
    "version": version,
    "list": listing,
    "show": show,
    "diff": diff,
    "publish": publish,
    "pull": pull,
    "verify": verify,
    "prune": prune,
    "doctor": doctor,
    "cloudformation": cloudformation,
    "invalidate": invalidate,
}

#: The exit code of a shell for a process that Ctrl-C ended: 128 and the number of SIGINT.
_INTERRUPTED = 130


class Command(BaseCommand):
    """Parses the arguments, runs a module of ``subcommands`` and prints its result."""

    help = "See, publish, compare, verify and prune builds of static files."
    # The builds of a broken site can be listed, verified and published.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for name, subcommand in SUBCOMMANDS.items():
            summary, _, rest = (subcommand.__doc__ or "").partition("\n")
            subparser = subparsers.add_parser(name, help=summary, description=summary, epilog=rest)
            subparser.add_argument("--json", action="store_true", help="print the result as JSON")
            _accept_djangos_arguments(subparser)
            subcommand.add_arguments(subparser)

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt as interrupt:
            # Every subcommand can be run again after an interruption, so a traceback is no help.
            self.stderr.write(
                "Interrupted. No incomplete build is in use: run the same command again."
            )
            # 143 after SIGTERM, where a publish turned it into this exception.
            sys.exit(getattr(interrupt, "code", None) or _INTERRUPTED)

    def handle(self, *args: Any, **options: Any) -> None:
        result = SUBCOMMANDS[options["subcommand"]].run(Site.configured(), options)
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


def _accept_djangos_arguments(parser: ArgumentParser) -> None:
    # Django commands accept these after their own arguments; the defaults are the outer parser's.
    for flag in ("--settings", "--pythonpath"):
        parser.add_argument(flag, default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, default=SUPPRESS, help=SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)
