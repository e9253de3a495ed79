"""Arguments of several subcommands."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from urllib.parse import urlsplit

from ..validators import is_build_version


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


def count(text: str, least: int = 0) -> int:
    """Parse a whole number from ``least`` on."""
    if not text.isdecimal() or int(text) < least:
        message = f"{text!r} is not a whole number from {least} on"
        raise ArgumentTypeError(message)
    return int(text)


def at_least_one(text: str) -> int:
    """Parse a whole number from 1 on."""
    return count(text, 1)


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    number = float(text) if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else 0.0
    if not 0 < number < 1e6:
        message = f"{text!r} is not a number of seconds above 0"
        raise ArgumentTypeError(message)
    return number


def add_edge_url(parser: ArgumentParser) -> None:
    """Add ``--edge-url``, for a site whose STATIC_URL has no host."""
    parser.add_argument(
        "--edge-url",
        type=edge_url,
        metavar="URL",
        help="where the CDN answers: https://www.example.com for a STATIC_URL without a host, or "
        "a distribution that has no domain of yours yet (default: cdn_domain)",
    )


def edge_url(text: str) -> str:
    """Parse scheme and host of the edge, and return them without a slash at the end."""
    parts = urlsplit(page_url(text))
    if parts.path.strip("/") or parts.query or parts.fragment:
        message = f"{text!r} has more than a host; the path of STATIC_URL is added to it"
        raise ArgumentTypeError(message)
    return f"{parts.scheme}://{parts.netloc}"


def page_url(text: str) -> str:
    """Parse the URL of a page."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        message = f"{text!r} is not a URL with http or https and a host"
        raise ArgumentTypeError(message)
    return text
