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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urljoin

from ...build.manifest import Manifest
from ...edge import probes
from ...edge.client import EdgeClient
from ...edge.pages import PageProbe
from ...edge.probes import Probe
from ...edge.probing import EdgeReport, verify_edge
from ...errors import ConfigurationError
from ...origin import record
from ...origin.repair import Repairer
from ...origin.s3_errors import OriginError
from ...origin.verification import Verification, Verifier
from ...progress import logger
from ...site import Site, cdn
from ..arguments import add_build, add_edge_url, at_least_one, page_url, seconds


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


class NoEdge(ConfigurationError):
    """The URL of the build has no host to send requests to."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The build's URL is {url}, which has no host. Add --edge-url with the site's own, "
            "for example --edge-url https://www.example.com."
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
    add_edge_url(parser)
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
    directory = site.directory(build) if site.storage.root is not None else None
    return Repairer(verifier, directory).repair(verification)


def _verify_edge(site: Site, options: Mapping[str, Any]) -> EdgeReport:
    for flag in ("--deep", "--repair"):
        if options[flag.removeprefix("--")]:
            raise OnlyForS3(flag)
    target = EdgeTarget.of(site, site.build(options["build"]), options)
    selected = [
        *(target.probes(options["sample"]) if options["edge"] else ()),
        *(target.page_probe(url) for url in options["page"]),
    ]
    subject = f"Build {target.build} at {target.url}"
    client = EdgeClient(timeout=options["timeout"])
    return verify_edge(subject, selected, client, wait=options["wait"])


@dataclass(frozen=True)
class EdgeTarget:
    """A build and its URL; ``cdn`` is the part before the STATIC_URL path."""

    site: Site
    build: str
    cdn: str

    @property
    def static_url(self) -> str:
        """The URL that the paths of assets are below."""
        return f"{self.cdn}{self.site.static_url.path}"

    @property
    def url(self) -> str:
        return f"{self.static_url}{self.build}/"

    @classmethod
    def of(cls, site: Site, build: str, options: Mapping[str, Any]) -> EdgeTarget:
        """Return the target of a build. Raises `NoEdge`."""
        url = options["edge_url"] or cdn(site.storage)
        if url is None and not options["edge"]:
            # Only pages are fetched, and the files that they refer to.
            url = urljoin(options["page"][0], "/").rstrip("/")
        if url is None:
            raise NoEdge(site.static_url.of_build(build, None))
        return cls(site, build, url)

    @cached_property
    def manifest(self) -> Manifest:
        return self.site.find(self.build).manifest

    def probes(self, sample: int | None) -> Iterator[Probe]:
        """Yield the probes of all assets, or of ``sample`` of them, and a few of an older build.

        Raises `NotPublished`.
        """
        manifests = [self.manifest]
        earlier = _earlier_build(self.site, self.build)
        if earlier is not None:
            manifests.insert(0, earlier)
        paths = probes.paths_by_integrity(*manifests)
        assets = probes.sample(self.manifest, sample)
        yield from probes.build_probes(self.manifest, self.static_url, assets=assets, paths=paths)
        yield from probes.edge_probes(self.manifest, self.static_url, self._private_urls())
        if earlier is not None:
            yield from probes.earlier_build_probes(earlier, self.manifest, self.static_url)

    def page_probe(self, url: str) -> PageProbe:
        """Return the probe of a page of the site."""
        paths = probes.paths_by_integrity(self.manifest)
        return PageProbe(url, self.manifest, self.static_url, self.site.static_url.path, paths)

    def _private_urls(self) -> Iterator[str]:
        yield f"{self.url}{self.site.storage.manifest_name}"
        paths = {record.path(self.build)}
        if self.site.options.origin is not None:
            # With the location too, because the edge may have the whole bucket as its origin.
            paths.add(self.site.origin.key(record.path(self.build)))
        yield from (f"{self.cdn}/{path}" for path in sorted(paths))


def _earlier_build(site: Site, build: str) -> Manifest | None:
    """Return the oldest other published build; without an origin, that in STATIC_ROOT.

    Raises `NotPublished` if the origin does not have ``build``: each of its files would be a fault.
    """
    if site.options.origin is not None:
        try:
            return _oldest_published(site, build)
        except OriginError as error:
            # The CDN can be verified from a machine without credentials too.
            logger.warning("No older build is verified: %s", error)
            return None
    earlier = [name for name in site.builds_on_disk() if name != build]
    oldest = min(earlier, key=lambda name: site.manifest_path(name).stat().st_mtime, default=None)
    return site.manifest_on_disk(oldest) if oldest is not None else None


def _oldest_published(site: Site, build: str) -> Manifest | None:
    heads = {head.record.build: head.record for head in record.heads(site.origin)}
    head = heads.get(build)
    if head is None or not head.is_published:
        url = site.origin.url(record.path(build))
        raise record.NotPublished(build, url, head.state if head else None)
    earlier = [head for head in heads.values() if head.is_published and head.build != build]
    oldest = min(earlier, key=lambda head: head.since, default=None)
    return site.find(oldest.build).manifest if oldest is not None else None
