"""Where the CDN has a build of a site, and what there is to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..build.manifest import Manifest
from ..edge import questions
from ..edge.pages import Page
from ..edge.questions import Question
from ..errors import ConfigurationError
from ..origin import record
from ..origin.problems import OriginError
from ..origin.record import State
from ..progress import logger
from ..site import Site


class NoEdge(ConfigurationError):
    """The URL of the build has no host, so there is nobody to ask."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The build's URL is {url}, which has no host to ask. Set cdn_domain, for example "
            "'cdn_domain': 'd111111abcdef8.cloudfront.net'."
        )


@dataclass(frozen=True)
class Place:
    """A build and its URL; ``cdn`` is what stands before the STATIC_URL path."""

    site: Site
    build: str
    manifest: Manifest
    cdn: str
    url: str

    @classmethod
    def of(cls, site: Site, build: str) -> Place:
        """Raises `NoEdge`, and `UnknownBuild` where nothing says what the build has."""
        url = _url(site, build)
        cdn = url.removesuffix(f"{site.static_url.path}{build}/")
        return cls(site, build, site.find(build).manifest, cdn, url)

    def questions(self, sample: int | None) -> Iterator[Question]:
        """All about the build, or about ``sample`` of its assets, and a little about the oldest."""
        earlier = _earlier_build(self.site, self.build)
        known = questions.whose(*([earlier] if earlier else []), self.manifest)
        assets = questions.sample(self.manifest, sample)
        yield from questions.of_build(self.manifest, self.url, assets=assets, known=known)
        yield from questions.of_edge(self.manifest, self.url, self._private_urls())
        if earlier is not None:
            yield from questions.of_earlier_build(earlier, _url(self.site, str(earlier.build)))

    def page(self, url: str) -> Page:
        """What a page names."""
        path = self.site.static_url.path
        known = questions.whose(self.manifest)
        return Page(url, self.manifest, self.cdn + path, path, known)

    def _private_urls(self) -> Iterator[str]:
        yield f"{self.url}{self.site.storage.manifest_name}"
        paths = {record.path(self.build)}
        if self.site.options.origin is not None:
            # Below the location too: the edge may have the whole bucket for its origin.
            paths.add(self.site.origin.key(record.path(self.build)))
        yield from (f"{self.cdn}/{path}" for path in sorted(paths))


def _url(site: Site, build: str) -> str:
    url = site.static_url.of_build(build, site.options.cdn_domain)
    if url.startswith("//"):
        url = f"https:{url}"
    if not urlsplit(url).netloc:
        raise NoEdge(url)
    return url


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
    oldest = min(others, key=lambda name: site.manifest_path(name).stat().st_mtime, default=None)
    return site.manifest_on_disk(oldest) if oldest is not None else None


def _oldest_published(site: Site, build: str) -> Manifest | None:
    heads = [held.record for held in record.heads(site.origin, site.options.connections)]
    others = [one for one in heads if one.state is State.PUBLISHED and one.build != build]
    oldest = min(others, key=lambda one: one.since, default=None)
    return site.find(oldest.build).manifest if oldest is not None else None
