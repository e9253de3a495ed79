"""Hold what S3 has of a build, or what the CDN serves of it, against its manifest.

Without --edge and --page it asks S3 for every object of the build: whether it is there, its size,
its sha256 and its headers; with --deep it reads, decodes and digests each. --repair puts back what
is missing or wrong, from the build directory, and nothing but the very bytes that were published.

With --edge it asks the CDN for every asset by each of its names in every encoding, for names and
files that it must not serve, and for a few assets of the oldest build that is kept, which fills the
nearest edge's cache too. With --page it fetches pages of the site and checks the static files they
name. It exits with 0 when all is well, so that a deploy switches traffic only then: with --wait it
keeps asking until that is so, or the time is over.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...build.compression import encode_file
from ...edge.client import Client
from ...edge.report import EdgeReport
from ...edge.verify import verify_edge
from ...errors import ConfigurationError
from ...origin.repair import Repairer
from ...origin.verification import Verification
from ...origin.verify import Verifier
from ...site import Site
from ..arguments import add_build, at_least_one, page_url, seconds
from ..place import Place


class NothingToVerify(ConfigurationError):
    """There is no origin, and neither --edge nor --page was given."""

    def __init__(self) -> None:
        super().__init__(
            "Say what to verify: --edge asks the CDN for each asset of the build, --page URL "
            "checks what a page names. Without them it is what S3 has, and the option origin is "
            "not set."
        )


class OfTheOrigin(ConfigurationError):
    """A flag that is about S3 was given to a verification of the edge."""

    def __init__(self, flag: str) -> None:
        self.flag = flag
        super().__init__(
            f"{flag} is about what S3 has, and --edge and --page are about what the CDN serves. "
            f"Run 'python manage.py staticbuilds verify {flag}' first, and then again for the CDN."
        )


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)
    parser.add_argument(
        "--deep", action="store_true", help="read, decode and digest each object on S3"
    )
    parser.add_argument(
        "--repair", action="store_true", help="put back on S3 what is missing or wrong"
    )
    parser.add_argument(
        "--edge", action="store_true", help="ask the CDN for each asset of the build"
    )
    parser.add_argument(
        "--page",
        type=page_url,
        action="append",
        default=[],
        metavar="URL",
        help="fetch this page and check each static file it names; can be given several times",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="keep asking for what is not well yet for that long",
    )
    parser.add_argument(
        "--sample",
        type=at_least_one,
        metavar="ASSETS",
        help="ask for that many assets, of all kinds and the same ones each time, and not for all",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long one answer may keep us waiting (10)",
    )


def run(site: Site, options: Mapping[str, Any]) -> EdgeReport | Verification:
    if options["edge"] or options["page"]:
        return _verify_edge(site, options)
    if site.options.origin is None:
        raise NothingToVerify
    return _verify_origin(site, options)


def _verify_origin(site: Site, options: Mapping[str, Any]) -> Verification:
    build = site.build(options["build"])
    verifier = Verifier(site.origin, site.prefix, site.options.connections, options["deep"])
    found = verifier.verify(build)
    if not options["repair"]:
        return found
    if site.storage.root is None:
        return Repairer(verifier).repair(found)
    directory = site.directory(build)
    return Repairer(verifier, directory.root, partial(encode_file, directory)).repair(found)


def _verify_edge(site: Site, options: Mapping[str, Any]) -> EdgeReport:
    for flag in ("--deep", "--repair"):
        if options[flag.removeprefix("--")]:
            raise OfTheOrigin(flag)
    place = Place.of(site, site.build(options["build"]))
    asked = [
        *(place.questions(options["sample"]) if options["edge"] else ()),
        *(place.page(url) for url in options["page"]),
    ]
    subject = f"Build {place.build} at {place.url}"
    return verify_edge(subject, asked, Client(timeout=options["timeout"]), wait=options["wait"])
