"""The URL of a build behind the CDN, and the probes that verify it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..build.manifest import Manifest
from ..edge import probes
from ..edge.pages import PageProbe
from ..edge.probes import Probe
from ..errors import ConfigurationError
from ..origin import record
from ..origin.s3_errors import OriginError
from ..progress import logger
from ..site import Site


class NoEdge(ConfigurationError):
    """The URL of the build has no host to send requests to."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The build's URL is {url}, which has no host. Set cdn_domain, for example "
            "'cdn_domain': 'd111111abcdef8.cloudfront.net'."
        )


@dataclass(frozen=True)
class EdgeTarget:
    """A build and its URL; ``cdn`` is the part before the STATIC_URL path."""

    site: Site
    build: str
    manifest: Manifest
    cdn: str
    url: str

    @classmethod
    def of(cls, site: Site, build: str) -> EdgeTarget:
        """Return the target of a build. Raises `NoEdge` and `UnknownBuild`."""
        url = _url(site, build)
        cdn = url.removesuffix(f"{site.static_url.path}{build}/")
        return cls(site, build, site.find(build).manifest, cdn, url)

    def probes(self, sample: int | None) -> Iterator[Probe]:
        """Yield the probes of all assets, or of ``sample`` of them, and a few of an older build."""
        earlier = _earlier_build(self.site, self.build)
        manifests = [self.manifest] if earlier is None else [earlier, self.manifest]
        paths = probes.paths_by_integrity(*manifests)
        assets = probes.sample(self.manifest, sample)
        yield from probes.build_probes(self.manifest, self.url, assets=assets, paths=paths)
        yield from probes.edge_probes(self.manifest, self.url, self._private_urls())
        if earlier is not None:
            yield from probes.earlier_build_probes(earlier, _url(self.site, str(earlier.build)))

    def page_probe(self, url: str) -> PageProbe:
        """Return the probe of a page of the site."""
        path = self.site.static_url.path
        paths = probes.paths_by_integrity(self.manifest)
        return PageProbe(url, self.manifest, self.cdn + path, path, paths)

    def _private_urls(self) -> Iterator[str]:
        yield f"{self.url}{self.site.storage.manifest_name}"
        paths = {record.path(self.build)}
        if self.site.options.origin is not None:
            # With the location too, because the edge may have the whole bucket as its origin.
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
    """Return the oldest other published build; without an origin, that in STATIC_ROOT."""
    if site.options.origin is not None:
        try:
            return _oldest_published(site, build)
        except OriginError as error:
            # The CDN can be verified from a machine without credentials too.
            logger.warning("No older build is verified: %s", error)
            return None
    others = [name for name in site.builds_on_disk() if name != build]
    oldest = min(others, key=lambda name: site.manifest_path(name).stat().st_mtime, default=None)
    return site.manifest_on_disk(oldest) if oldest is not None else None


def _oldest_published(site: Site, build: str) -> Manifest | None:
    heads = [head.record for head in record.heads(site.origin)]
    others = [head for head in heads if head.is_published and head.build != build]
    oldest = min(others, key=lambda head: head.since, default=None)
    return site.find(oldest.build).manifest if oldest is not None else None
