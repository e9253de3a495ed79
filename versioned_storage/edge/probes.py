"""The requests that show whether the edge serves a build, each with its expectation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Protocol
from urllib.parse import quote

from django.utils.encoding import filepath_to_uri

from ..build.manifest import Asset, Manifest
from ..constants import ENCODINGS
from ..errors import Fault
from . import expectations
from .client import EdgeClient, EdgeResponse, NoResponse
from .expectations import PartOfAsset, WholeAsset, codings_for

#: A browser's Accept-Encoding; CloudFront makes ``br,gzip`` of it with both flags of its policy.
BROWSER = "gzip, deflate, br, zstd"
#: The Origin of a page, which is another one than that of the files.
PAGE_ORIGIN = "https://elsewhere.example"
#: The number of assets of an earlier build that are requested.
EARLIER_ASSETS = 5

# The characters that a reference in a style sheet or a module may leave bare in a path (RFC 3986,
# 3.3); ``{% static %}`` encodes some of them.
_BARE_IN_PATH = "/~!*()'$&+,;="

_NO_PATHS: Mapping[str, str] = {}


@dataclass(frozen=True)
class ProbeResult:
    """The faults of one response; ``headers`` are those of the request.

    ``served_by`` names the server; it is None if nobody responded.
    """

    url: str
    headers: Mapping[str, str]
    faults: tuple[Fault, ...] = ()
    served_by: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield a line for each fault, without the remedies."""
        headers = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        request = f"{self.url} ({headers})" if headers else self.url
        yield from (f"{request}: {fault}" for fault in self.faults)


class Probe(Protocol):
    """One or more requests, and what their responses must be."""

    def run(self, client: EdgeClient) -> Iterable[ProbeResult]:
        """Make the requests and return their results. Raises nothing for what the edge does."""
        ...


@dataclass(frozen=True)
class FileProbe(Probe):
    """One GET, and the expectation that yields the faults of its response."""

    url: str
    expectation: Callable[[EdgeResponse], Iterable[Fault]]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept-Encoding": "identity"})

    def run(self, client: EdgeClient) -> list[ProbeResult]:
        try:
            response = client.get(self.url, self.headers)
        except NoResponse as error:
            return [no_response(error, self.headers)]
        faults = tuple(self.expectation(response))
        return [ProbeResult(self.url, self.headers, faults, response.served_by)]


@dataclass(frozen=True)
class MissingFileProbe(Probe):
    """Two requests for a name that no build has: its response must not stay in a cache."""

    base_url: str

    def run(self, client: EdgeClient) -> list[ProbeResult]:
        # A new name each time, because a cache may still have the response for the last one.
        url = missing_file_url(self.base_url)
        results = FileProbe(url, expectations.missing_file).run(client)
        if any(result.faults for result in results):
            return results
        client.sleep(expectations.NEGATIVE_TTL + 1.5)
        return FileProbe(url, expectations.missing_file_again).run(client)


def missing_file_url(base_url: str) -> str:
    """Return a URL below ``base_url`` that no file can have."""
    return f"{base_url}not-there-{token_hex(8)}.css"


def no_response(error: NoResponse, headers: Mapping[str, str]) -> ProbeResult:
    """Return the result of a request without a response."""
    fault = Fault("response", f"missing ({error.reason})", "a response", error.remedy)
    return ProbeResult(error.url, headers, (fault,))


def build_probes(
    manifest: Manifest,
    static_url: str,
    *,
    assets: Iterable[Asset],
    paths: Mapping[str, str] = _NO_PATHS,
) -> Iterator[Probe]:
    """Yield the probes of each of ``assets`` by each of its names.

    Each URL is requested as a browser does and in each encoding, and in the other spelling that
    references may have. ``static_url`` is what the paths of assets are below; ``paths`` names
    assets by their integrity.
    """
    for asset in assets:
        for path in _paths(manifest, asset):
            url = _url(static_url, path)
            yield browser_probe(asset, url, path, paths=paths)
            yield FileProbe(url, WholeAsset(asset, path, (None,), paths))
            for name in asset.encodings:
                expectation = WholeAsset(asset, path, codings_for(asset, {name}), paths)
                yield FileProbe(url, expectation, {"Accept-Encoding": name})
            if (spelled_in_css := _url(static_url, path, safe=_BARE_IN_PATH)) != url:
                yield browser_probe(asset, spelled_in_css, path, paths=paths)


def browser_probe(
    asset: Asset, url: str, path: str, *, paths: Mapping[str, str] = _NO_PATHS
) -> Probe:
    """Return the request that a browser makes for a font or a module of another origin."""
    codings = codings_for(asset, ENCODINGS.keys())
    expectation = WholeAsset(asset, path, codings, paths, bare_plus="+" in url)
    return FileProbe(url, expectation, {"Accept-Encoding": BROWSER, "Origin": PAGE_ORIGIN})


def earlier_build_probes(manifest: Manifest, current: Manifest, static_url: str) -> Iterator[Probe]:
    """Yield probes of a few assets of a build that open pages may still refer to.

    Of its shared assets these are some that the current build does not have.
    """
    current_paths = {asset.path for asset in current.assets.values()}
    gone = [asset for asset in manifest.assets.values() if asset.path not in current_paths]
    for is_shared in (False, True):
        for asset in _sample([a for a in gone if a.is_shared is is_shared], EARLIER_ASSETS):
            yield browser_probe(asset, _url(static_url, asset.path), asset.path)


def edge_probes(
    manifest: Manifest, static_url: str, private_urls: Iterable[str]
) -> Iterator[Probe]:
    """Yield probes of the edge itself: missing names, private files, queries and ranges.

    One file below the build and one shared asset stand for all others.
    """
    for prefix in filter(None, (manifest.build, manifest.shared_prefix)):
        yield MissingFileProbe(f"{static_url}{prefix}/")
    for url in private_urls:
        yield FileProbe(url, expectations.private_file)
    for is_shared in (False, True):
        assets = [asset for asset in manifest.assets.values() if asset.is_shared is is_shared]
        asset = max(assets, key=lambda asset: len(asset.encodings), default=None)
        if asset is not None:
            url = _url(static_url, asset.path)
            expectation = WholeAsset(asset, asset.path, (None,), _NO_PATHS)
            # S3 obeys this parameter when the edge signs its requests.
            yield FileProbe(f"{url}?response-content-type=text/html", expectation)
        asset = next((asset for asset in assets if asset.size > 1), None)
        if asset is not None:
            headers = {"Accept-Encoding": "identity", "Range": "bytes=0-1"}
            yield FileProbe(_url(static_url, asset.path), PartOfAsset(asset), headers)


def sample(manifest: Manifest, size: int | None) -> list[Asset]:
    """Return ``size`` assets of as many kinds as possible, always the same; None for all."""
    return _sample(manifest.assets.values(), size)


def paths_by_integrity(*manifests: Manifest) -> dict[str, str]:
    """Return the path of each asset by its integrity, to name the owner of wrong bytes."""
    return {
        asset.integrity: asset.path for manifest in manifests for asset in manifest.assets.values()
    }


def _paths(manifest: Manifest, asset: Asset) -> list[str]:
    paths = [asset.path, *([asset.original_path] if manifest.has_original(asset) else [])]
    return list(dict.fromkeys(paths))


def _sample(assets: Iterable[Asset], size: int | None) -> list[Asset]:
    assets = sorted(assets, key=lambda asset: asset.integrity)
    if size is None or size >= len(assets):
        return sorted(assets, key=lambda asset: asset.hashed_name)
    # The first of each kind come before the second ones: types and rules go by the extension and
    # by the directory.
    counts: Counter[tuple[str, bool]] = Counter()
    ranks = []
    for asset in assets:
        kind = asset.name.rpartition(".")[2], asset.is_shared
        ranks.append(counts[kind])
        counts[kind] += 1
    ranked = sorted(zip(ranks, assets, strict=True), key=lambda pair: pair[0])
    return [asset for _, asset in ranked[:size]]


def _url(static_url: str, path: str, *, safe: str | None = None) -> str:
    """Return the URL of ``path`` as ``{% static %}`` writes it, or with ``safe`` left bare."""
    return static_url + (quote(path, safe=safe) if safe else filepath_to_uri(path) or "")
