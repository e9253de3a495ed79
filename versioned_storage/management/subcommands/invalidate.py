"""Make CloudFront forget paths that are not versioned.

For media files, robots.txt and the like: nothing in a build ever needs it, because each deploy has
URLs of its own. A path that ends in * stands for all that begins so, and counts as one.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...edge.invalidation import (
    Invalidated,
    Invalidator,
    cloudfront,
    encoded,
    find_distribution,
)
from ...errors import ConfigurationError
from ...site import Site
from ..arguments import seconds


class NoDistribution(ConfigurationError):
    """Neither --distribution nor cdn_domain says which distribution is meant."""

    def __init__(self) -> None:
        super().__init__(
            "No distribution is named: give --distribution E2EXAMPLE, or set cdn_domain, by which "
            "it is found."
        )


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="for example '/media/logo.png'")
    parser.add_argument(
        "--distribution", metavar="ID", help="the distribution; found by cdn_domain unless given"
    )
    parser.add_argument(
        "--wait", type=seconds, metavar="SECONDS", help="wait that long for it to be done"
    )


def run(site: Site, options: Mapping[str, Any]) -> Invalidated:
    static_path = site.static_url.path if site.options.wants_build else None
    paths = [encoded(path, static_path=static_path) for path in options["paths"]]
    host = urlsplit(site.options.cdn_domain or site.static_url.origin).hostname
    client = cloudfront(site.options.origin)
    distribution = options["distribution"]
    if distribution is None:
        if host is None:
            raise NoDistribution
        distribution = find_distribution(client, host)
    return Invalidator(client, distribution).invalidate(
        list(dict.fromkeys(paths)), wait=options["wait"]
    )
