"""Arguments that more than one subcommand takes."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

from ..options import is_build_version


def build_version(text: str) -> str:
    """An argument that names a build. Nothing else may become a path or a key."""
    if not is_build_version(text):
        message = (
            f"{text!r} is no build version: it has 1 to 64 letters, digits, dots, hyphens and "
            "underscores, the first a letter or a digit"
        )
        raise ArgumentTypeError(message)
    return text


def add_build(parser: ArgumentParser) -> None:
    """``BUILD``, by default the one that the settings name."""
    parser.add_argument(
        "build",
        nargs="?",
        type=build_version,
        metavar="BUILD",
        help="the build; by default the BUILD_VERSION of the settings",
    )


def count(text: str) -> int:
    """An argument that is a whole number from 0 on."""
    if not text.isdecimal():
        message = f"{text!r} is not a whole number from 0 on"
        raise ArgumentTypeError(message)
    return int(text)
