"""Invalidate paths in CloudFront that are not versioned.

For media files, robots.txt and the like. A build needs no invalidation, because each deploy has
URLs of its own. A path that ends in * stands for all paths that begin with it, and counts as one.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...edge import cloudfront
from ...errors import ConfigurationError
from ...origin.connection import Connection
from ...site import Site
from ...text import count_text
from ..arguments import seconds

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient


class NoDistribution(ConfigurationError):
    """Neither --distribution nor cdn_domain names a distribution."""

    def __init__(self) -> None:
        super().__init__(
            "The distribution is unknown: add --distribution with its id or one of its domains, "
            "as in '--distribution www.example.com', or set cdn_domain."
        )


@dataclass(frozen=True)
class Invalidated:
    """An invalidation, complete if the command waited for it."""

    distribution: str
    invalidation: str
    paths: tuple[str, ...]
    is_complete: bool

    ok = True

    def text(self) -> str:
        state = "done" if self.is_complete else "in progress"
        paths = count_text(len(self.paths), "path")
        return f"{paths} of {self.distribution}: {self.invalidation}, {state}"

    def data(self) -> dict[str, object]:
        return {
            "distribution": self.distribution,
            "invalidations": [self.invalidation],
            "paths": list(self.paths),
            "done": self.is_complete,
        }


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="for example '/media/logo.png'")
    parser.add_argument(
        "--distribution",
        metavar="ID",
        help="the distribution, by its id or by one of its domains (default: that of cdn_domain)",
    )
    parser.add_argument(
        "--wait", type=seconds, metavar="SECONDS", help="wait up to SECONDS until it is done"
    )


def run(site: Site, options: Mapping[str, Any]) -> Invalidated:
    static_path = site.static_url.path if site.options.wants_build else None
    encoded = (cloudfront.encoded(path, static_path=static_path) for path in options["paths"])
    paths = tuple(dict.fromkeys(encoded))
    client = cloudfront_of(site)
    distribution = options["distribution"]
    # An id has no dot, and a domain has one.
    if distribution is None or "." in distribution:
        host = distribution or urlsplit(site.options.cdn_domain or site.static_url.host).hostname
        if host is None:
            raise NoDistribution
        distribution = cloudfront.find_distribution(client, host)
    wait = options["wait"]
    invalidation = cloudfront.invalidate(client, distribution, paths, wait=wait)
    return Invalidated(distribution, invalidation, paths, is_complete=wait is not None)


def cloudfront_of(site: Site) -> CloudFrontClient:
    """Return a client with the credentials of the origin option, or with those of the machine."""
    if site.options.origin is None:
        return cloudfront.connect()
    connection = Connection(site.options.origin, connections=1, timeout=None)
    return cloudfront.connect(connection.session)
