"""Check that S3, or the CDN, serves a build as its manifest says.

Without --edge and --page it checks each object of the build on S3: existence, size, sha256 and
headers; with --deep it also downloads, decodes and digests each. --repair restores missing and
damaged objects from the build directory, with exactly the bytes that were published.

With --edge it requests every asset from the CDN by each of its names in every encoding, some names
and files that must not be served, and a few assets of the oldest published build. That also fills
the cache of the nearest edge. With --page it fetches pages of the site and checks the static files
they refer to. The exit code is 0 if all checks passed, so that a deploy switches traffic only then;
with --wait it retries failing checks first.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from ...edge.client import EdgeClient
from ...edge.prober import EdgeReport, verify_edge
from ...errors import ConfigurationError
from ...origin.repair import Repairer
from ...origin.verification import Verification, Verifier
from ...site import Site
from ..arguments import add_build, at_least_one, page_url, seconds
from ..edge_target import EdgeTarget


class NothingToVerify(ConfigurationError):
    """There is no origin, and neither --edge nor --page was given."""

    def __init__(self) -> None:
        super().__init__(
            "There is nothing to verify: the option origin is not set, so no build is on S3. Add "
            "--edge to check what the CDN serves, or --page URL to check the files of a page."
        )


class OnlyForS3(ConfigurationError):
    """A flag of the verification of S3 was combined with --edge or --page."""

    def __init__(self, flag: str) -> None:
        self.flag = flag
        super().__init__(
            f"{flag} is for the objects on S3, and --edge and --page are for the CDN. Run "
            f"'python manage.py staticbuilds verify {flag}' first, then verify the CDN."
        )


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)
    parser.add_argument(
        "--deep", action="store_true", help="download, decode and digest each object on S3"
    )
    parser.add_argument(
        "--repair", action="store_true", help="restore missing and damaged objects on S3"
    )
    parser.add_argument(
        "--edge", action="store_true", help="request each asset of the build from the CDN"
    )
    parser.add_argument(
        "--page",
        type=page_url,
        action="append",
        default=[],
        metavar="URL",
        help="fetch this page and check each static file it refers to; can be repeated",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="retry failing checks for up to SECONDS",
    )
    parser.add_argument(
        "--sample",
        type=at_least_one,
        metavar="ASSETS",
        help="check that many assets only, of all kinds and always the same ones",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for one response (default: 10)",
    )


def run(site: Site, options: Mapping[str, Any]) -> EdgeReport | Verification:
    if options["edge"] or options["page"]:
        return _verify_edge(site, options)
    if site.options.origin is None:
        raise NothingToVerify
    return _verify_origin(site, options)


def _verify_origin(site: Site, options: Mapping[str, Any]) -> Verification:
    build = site.build(options["build"])
    verifier = Verifier(site.origin, options["deep"])
    verification = verifier.verify(build)
    if not options["repair"]:
        return verification
    if site.storage.root is None:
        return Repairer(verifier).repair(verification)
    directory = site.directory(build)
    repairer = Repairer(verifier, directory)
    return repairer.repair(verification)


def _verify_edge(site: Site, options: Mapping[str, Any]) -> EdgeReport:
    for flag in ("--deep", "--repair"):
        if options[flag.removeprefix("--")]:
            raise OnlyForS3(flag)
    target = EdgeTarget.of(site, site.build(options["build"]))
    probes = [
        *(target.probes(options["sample"]) if options["edge"] else ()),
        *(target.page_probe(url) for url in options["page"]),
    ]
    subject = f"Build {target.build} at {target.url}"
    client = EdgeClient(timeout=options["timeout"])
    return verify_edge(subject, probes, client, wait=options["wait"])
