"""The static files that a page refers to: each must belong to the build and be served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from ..build.manifest import Asset, Manifest
from ..errors import Fault
from .client import EdgeClient, EdgeResponse, NoResponse
from .probes import Probe, ProbeResult, browser_probe, no_response

#: Bytes of a page that are read; most of its references are in its head.
PAGE_LIMIT = 4 * 1024 * 1024
_HTML: Mapping[str, str] = {"Accept": "text/html", "Accept-Encoding": "identity"}
_URLS = frozenset({"src", "href", "poster", "data", "content"})
_OTHER_DEPLOY = "The page is of another deploy: run its application with this BUILD_VERSION."
_LISTS_OF_URLS = frozenset({"srcset", "imagesrcset"})


@dataclass(frozen=True)
class PageReference:
    """A URL in an element of a page, absolute and without a fragment, and its attributes."""

    url: str
    integrity: str | None = None
    crossorigin: str | None = None


@dataclass(frozen=True)
class PageProbe(Probe):
    """A page of the site, which must refer to the files of one build only.

    Builds are at ``cdn_url`` and, by ``static_path``, on the page's own host. ``paths`` names
    assets by their integrity.
    """

    url: str
    manifest: Manifest
    cdn_url: str
    static_path: str
    paths: Mapping[str, str] = field(default_factory=dict)

    def run(self, client: EdgeClient) -> Iterable[ProbeResult]:
        try:
            response = client.get(self.url, _HTML, keep=PAGE_LIMIT)
        except NoResponse as error:
            yield no_response(error, {})
            return
        references = [
            reference
            for reference in references_in(self.url, response.start)
            if any(reference.url.startswith(place) for place in self._places())
        ]
        faults = tuple(self._page_faults(response, references))
        yield ProbeResult(self.url, {}, faults, response.served_by)
        if not faults:
            for reference in references:
                yield from self._reference_results(reference, client)

    def _page_faults(
        self, response: EdgeResponse, references: list[PageReference]
    ) -> Iterator[Fault]:
        if response.status != 200:
            location = response.headers.get("Location")
            status = f"{response.status} to {location}" if location else str(response.status)
            remedy = "Give the URL of a page that needs no redirect and no login."
            yield Fault("status of the page", status, "200", remedy)
        elif not references:
            expected = f"some below {' or '.join(dict.fromkeys(self._places()))}"
            remedy = "Give a page that uses {% static %}, of a site with DEBUG off."
            yield Fault("number of static files", "0", expected, remedy)

    def _places(self) -> tuple[str, str]:
        return self.cdn_url, urljoin(self.url, self.static_path)

    def _reference_results(
        self, reference: PageReference, client: EdgeClient
    ) -> Iterator[ProbeResult]:
        """Yield what is wrong with the reference itself, then with the file behind it."""
        place = next(place for place in self._places() if reference.url.startswith(place))
        path = unquote(urlsplit(reference.url.removeprefix(place)).path)
        if not path or path.endswith("/"):
            # {% get_static_prefix %}, for a script.
            return
        name = path.partition("/")[2]
        asset = self.manifest.assets.get(name) or self.manifest.asset(name)
        headers = {"on": self.url}
        if fault := self._path_fault(path, asset):
            yield ProbeResult(reference.url, headers, (fault,))
        elif asset is not None:
            faults = tuple(self._attribute_faults(reference, asset))
            yield ProbeResult(reference.url, headers, faults)
            yield from browser_probe(asset, reference.url, path, paths=self.paths).run(client)

    def _path_fault(self, path: str, asset: Asset | None) -> Fault | None:
        build, _, name = path.partition("/")
        expected = repr(self.manifest.build)
        if self.manifest.asset(path) is not None:
            remedy = f"Write {{% static '{path}' %}} in the template."
            return Fault("its build", "none", expected, remedy)
        if self.manifest.shared_prefix and build == self.manifest.shared_prefix:
            if asset is None:
                return Fault("its name", repr(name), "one of the manifest", _OTHER_DEPLOY)
        elif build != self.manifest.build:
            return Fault("its build", repr(build), expected, _OTHER_DEPLOY)
        if asset is None:
            remedy = "Collect the file, or correct the name in the template."
            return Fault("its name", repr(name), "one of the manifest", remedy)
        is_original = path == asset.original_path and name != asset.hashed_name
        if path != asset.path and not is_original:
            # Neither is on S3. Where it is served, a module at two URLs is loaded twice.
            remedy = (
                f"Take the URL from {{% static '{asset.name}' %}} or storage.url(): one that is "
                "made of STATIC_URL and a name leads nowhere on S3."
            )
            return Fault("its path", repr(path), repr(asset.path), remedy)
        return None

    def _attribute_faults(self, reference: PageReference, asset: Asset) -> Iterator[Fault]:
        if reference.integrity is None:
            return
        remedy = "Take it from the manifest: {% load versioned_static %}, {% static_integrity %}."
        if asset.integrity not in reference.integrity.split():
            yield Fault("its integrity", reference.integrity, asset.integrity, remedy)
        is_cross_origin = urlsplit(reference.url)[:2] != urlsplit(self.url)[:2]
        if is_cross_origin and reference.crossorigin is None:
            remedy = "Add crossorigin: without it a browser refuses integrity of another origin."
            yield Fault("its crossorigin", "none", "anonymous", remedy)


def references_in(page_url: str, html: bytes) -> list[PageReference]:
    """Return the references of a page's elements, each URL once; inline code is not read."""
    parser = _Parser(page_url)
    parser.feed(html.decode(errors="replace"))
    parser.close()
    return list(parser.references.values())


class _Parser(HTMLParser):
    def __init__(self, page_url: str) -> None:
        super().__init__()
        self.references: dict[str, PageReference] = {}
        self._base = page_url

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # Browsers take the first of a repeated attribute.
        attributes = {name: value or "" for name, value in reversed(attrs)}
        if tag == "base" and attributes.get("href"):
            self._base = _absolute(self._base, attributes["href"])
            return
        integrity, crossorigin = attributes.get("integrity"), attributes.get("crossorigin")
        for url in _urls(attributes):
            absolute = _absolute(self._base, url)
            if integrity is not None or absolute not in self.references:
                self.references[absolute] = PageReference(absolute, integrity, crossorigin)


def _absolute(base: str, url: str) -> str:
    try:
        return urljoin(base, url.strip()).partition("#")[0]
    except ValueError:
        # An unclosed bracket: not a URL, so not one of the build.
        return base


def _urls(attributes: Mapping[str, str]) -> Iterator[str]:
    for name, value in attributes.items():
        if name in _URLS:
            yield value
        elif name in _LISTS_OF_URLS:
            # Candidates are a URL and a width or a density. The build's URLs have no bare comma.
            yield from (candidate.split()[0] for candidate in value.split(",") if candidate.strip())
