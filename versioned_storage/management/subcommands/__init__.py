"""The subcommands of `manage.py staticbuilds`, one module each, and what they share.

A subcommand has arguments, of which several are the same, and a result.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from ...site import Site
from ...validators import is_build_version
from ..terminal import Terminal


class Result(Protocol):
    """The result of a subcommand, for people and for programs."""

    @property
    def ok(self) -> bool:
        """False makes the command exit with 1."""
        ...

    def text(self) -> str:
        """Return the text for people; empty prints nothing."""
        ...

    def data(self) -> Any:
        """Return what ``--json`` prints: dicts, lists, strings, numbers, booleans, None."""
        ...


@runtime_checkable
class StyledResult(Protocol):
    """A result that looks better on a terminal than in a pipe."""

    def styled(self, terminal: Terminal) -> str:
        """Return the same as ``text()``, in the colours and the width of ``terminal``."""
        ...


class Subcommand(Protocol):
    """A module of this package; its docstring's first line is the help."""

    __doc__: str | None

    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def run(self, site: Site, options: Mapping[str, Any]) -> Result: ...


def build_version(text: str) -> str:
    """Parse a build version. Nothing else may become a path or a key."""
    if not is_build_version(text):
        message = (
            f"{text!r} is not a build version: 1 to 64 letters, digits, dots, hyphens and "
            "underscores, the first a letter or a digit"
        )
        raise ArgumentTypeError(message)
    return text


def add_build(parser: ArgumentParser) -> None:
    """Add ``BUILD``, by default that of the settings."""
    parser.add_argument(
        "build",
        nargs="?",
        type=build_version,
        metavar="BUILD",
        help="the build (default: the BUILD_VERSION of the settings)",
    )


def count(text: str) -> int:
    """Parse a whole number from 0 on."""
    if not text.isdecimal():
        message = f"{text!r} is not a whole number from 0 on"
        raise ArgumentTypeError(message)
    return int(text)


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    number = float(text) if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else 0.0
    if not 0 < number < 1e6:
        message = f"{text!r} is not a number of seconds above 0"
        raise ArgumentTypeError(message)
    return number


def page_url(text: str) -> str:
    """Parse the URL of a page."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        message = f"{text!r} is not a URL with http or https and a host"
        raise ArgumentTypeError(message)
    return text


def at_least_one(text: str) -> int:
    """Parse a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is not a whole number from 1 on"
        raise ArgumentTypeError(message)
    return int(text)
