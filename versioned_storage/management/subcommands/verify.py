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

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...build.compression import encode_file
from ...build.manifest import Manifest
from ...edge import questions
from ...edge.client import Client
from ...edge.pages import Page
from ...edge.questions import Question
from ...edge.report import EdgeReport
from ...edge.verify import verify_edge
from ...errors import ConfigurationError, VersionedStorageError
from ...origin import record
from ...origin.record import State
from ...origin.repair import Repairer
from ...origin.s3 import OriginError
from ...origin.verification import Verification
from ...origin.verify import Verifier
from ...progress import logger
from ..arguments import add_build
from ..site import Site


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


class NoEdge(ConfigurationError):
    """The URL of the build has no host, so there is nobody to ask."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The build's URL is {url}, which has no host to ask. Set cdn_domain, for example "
            "'cdn_domain': 'd111111abcdef8.cloudfront.net'."
        )


class NoManifest(VersionedStorageError):
    """Nothing says what the build has to serve."""

    def __init__(self, build: str, builds: Sequence[str], reason: str = "there is none") -> None:
        self.build = build
        self.builds = tuple(builds)
        self.reason = reason
        super().__init__(
            f"Build {build} cannot be verified without its manifest: {reason}. Run collectstatic "
            f"with BUILD_VERSION={build}, or name another build. Builds in STATIC_ROOT: "
            f"{', '.join(self.builds[:10]) or 'none'}."
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
        type=count,
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
    pages: list[str] = options["page"]
    place = Place.of(site, site.build(options["build"]))
    asked = [
        *(_of_edge(site, place, options["sample"]) if options["edge"] else ()),
        *(_of_page(site, place, url) for url in pages),
    ]
    subject = f"Build {place.build} at {place.url}"
    return verify_edge(subject, asked, Client(timeout=options["timeout"]), wait=options["wait"])


@dataclass(frozen=True)
class Place:
    """A build and where the CDN has it; ``cdn`` is what stands before the STATIC_URL path."""

    build: str
    manifest: Manifest
    cdn: str
    url: str

    @classmethod
    def of(cls, site: Site, build: str) -> Place:
        """Raises `NoEdge` and `NoManifest`."""
        url = _url(site, build)
        cdn = url.removesuffix(f"{site.static_url.path}{build}/")
        manifest = _manifest(site, build)
        if manifest is None:
            raise NoManifest(build, site.builds_on_disk())
        if manifest.paths and not manifest.assets:
            reason = "the one that is there has names alone, as Django writes them"
            raise NoManifest(build, site.builds_on_disk(), reason)
        return cls(build, manifest, cdn, url)


def _of_edge(site: Site, place: Place, size: int | None) -> Iterator[Question]:
    earlier = _earlier_build(site, place.build)
    known = questions.whose(*([earlier] if earlier else []), place.manifest)
    assets = questions.sample(place.manifest, size)
    yield from questions.of_build(place.manifest, place.url, assets=assets, known=known)
    yield from questions.of_edge(place.manifest, place.url, _private_urls(site, place))
    if earlier is not None:
        yield from questions.of_earlier_build(earlier, _url(site, str(earlier.build)))


def _of_page(site: Site, place: Place, url: str) -> Page:
    static_path = site.static_url.path
    return Page(
        url, place.manifest, place.cdn + static_path, static_path, questions.whose(place.manifest)
    )


def _private_urls(site: Site, place: Place) -> Iterator[str]:
    yield f"{place.url}{site.storage.manifest_name}"
    paths = {record.path(place.build)}
    if site.options.origin is not None:
        # Below the location too: the edge may have the whole bucket for its origin.
        paths.add(site.origin.key(record.path(place.build)))
    yield from (f"{place.cdn}/{path}" for path in sorted(paths))


def _url(site: Site, build: str) -> str:
    url = site.static_url.of_build(build, site.options.cdn_domain)
    if url.startswith("//"):
        url = f"https:{url}"
    if not urlsplit(url).netloc:
        raise NoEdge(url)
    return url


def _manifest(site: Site, build: str) -> Manifest | None:
    """From the disk, else from the origin."""
    found = _on_disk(site, build)
    if found is None and build == site.options.build_version:
        found = site.storage.manifest
    if found is None and site.options.origin is not None:
        found = _published(site, build)
    return found


def _earlier_build(site: Site, build: str) -> Manifest | None:
    """The oldest other build: of those that are published, else of those in STATIC_ROOT."""
    if site.options.origin is not None:
        try:
            return _oldest_published(site, build)
        except OriginError as error:
            # The CDN can be verified all the same, from a machine without credentials too.
            logger.warning("No older build is asked for: %s", error)
            return None
    others = [name for name in site.builds_on_disk() if name != build]
    oldest = min(others, key=lambda name: _file(site, name).stat().st_mtime, default=None)
    return _on_disk(site, oldest) if oldest is not None else None


def _oldest_published(site: Site, build: str) -> Manifest | None:
    heads = [held.record for held in record.heads(site.origin, site.options.connections)]
    others = [one for one in heads if one.state is State.PUBLISHED and one.build != build]
    oldest = min(others, key=lambda one: one.since, default=None)
    return _published(site, oldest.build) if oldest is not None else None


def _published(site: Site, build: str) -> Manifest | None:
    found = record.read(site.origin, build)
    if found is None or found.record.state is not State.PUBLISHED:
        return None
    return found.record.manifest


def _on_disk(site: Site, build: str) -> Manifest | None:
    if site.storage.root is None or not (file := _file(site, build)).is_file():
        return None
    return Manifest.from_json(file.read_text(encoding="utf-8"), name=str(file))


def _file(site: Site, build: str) -> Path:
    return site.root / build / site.storage.manifest_name


def seconds(text: str) -> float:
    """An argument that is a number of seconds, more than 0."""
    number = float(text)
    if not 0 < number < 1e6:
        message = f"{text!r} is not a number of seconds above 0"
        raise ArgumentTypeError(message)
    return number


def page_url(text: str) -> str:
    """An argument that is the URL of a page."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        message = f"{text!r} is not a URL with http or https and a host"
        raise ArgumentTypeError(message)
    return text


def count(text: str) -> int:
    """An argument that is a whole number from 1."""
    number = int(text)
    if number < 1:
        message = f"{text!r} is not a number from 1"
        raise ArgumentTypeError(message)
    return number
