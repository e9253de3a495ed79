"""What the edge is asked about a build: questions, each with what its answer has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Protocol
from urllib.parse import quote

from django.utils.encoding import filepath_to_uri

from ..build.manifest import Asset, Manifest
from ..constants import ENCODINGS
from . import expected
from .client import Answer, Client, NoAnswer
from .expected import Mismatch, PartOfAsset, WholeAsset, codings_for

#: What a browser accepts; with both flags of its cache policy CloudFront makes ``br,gzip`` of it.
BROWSER = "gzip, deflate, br, zstd"
#: Another origin than that of the files, which is what a page on the site's own domain has.
ORIGIN = "https://elsewhere.example"
#: How many assets of an earlier build are asked for.
EARLIER = 5

# What a reference in a style sheet or a module may leave as it is in a path (RFC 3986, 3.3);
# ``{% static %}`` encodes some of it.
_BARE_IN_PATH = "/~!*()'$&+,;="

_NOTHING_KNOWN: Mapping[str, str] = {}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer; ``asked`` are the headers of the question."""

    url: str
    asked: Mapping[str, str]
    what: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        """One line, without the remedy."""
        asked = ", ".join(f"{name}: {value}" for name, value in self.asked.items())
        return (
            f"{self.url}{f' ({asked})' if asked else ''}: {self.what} is {self.found}, "
            f"expected {self.expected}"
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a question: who answered, and what is wrong.

    ``unanswered`` where nobody said anything.
    """

    faults: tuple[Fault, ...]
    served_by: tuple[str, ...] = ()
    unanswered: bool = False


class Question(Protocol):
    """Something to ask the edge."""

    def put(self, client: Client) -> Outcome: ...


@dataclass(frozen=True)
class Request(Question):
    """One GET, and what is wrong with its answer."""

    url: str
    judge: Callable[[Answer], Iterable[Mismatch]]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept-Encoding": "identity"})

    def put(self, client: Client) -> Outcome:
        try:
            answer = client.ask(self.url, self.headers)
        except NoAnswer as error:
            fault = Fault(
                self.url, self.headers, "the answer", error.reason, "an answer", error.remedy
            )
            return Outcome((fault,), unanswered=True)
        faults = (
            Fault(self.url, self.headers, one.what, one.found, one.expected, one.remedy)
            for one in self.judge(answer)
        )
        return Outcome(tuple(faults), (answer.served_by,))


@dataclass(frozen=True)
class UnknownName(Question):
    """A name that no build has, asked for twice: its answer must not stay in a cache."""

    base_url: str

    def put(self, client: Client) -> Outcome:
        # Another name each time: an earlier answer may be in a cache still.
        url = f"{self.base_url}not-there-{token_hex(8)}.css"
        first = Request(url, expected.unknown_name).put(client)
        if first.faults:
            return first
        client.sleep(expected.NEGATIVE_TTL + 1.5)
        return Request(url, expected.unknown_name_again).put(client)


def of_build(
    manifest: Manifest,
    base_url: str,
    *,
    assets: Iterable[Asset],
    known: Mapping[str, str] = _NOTHING_KNOWN,
) -> Iterator[Question]:
    """Every one of ``assets`` by each of its names in each encoding, and as references spell it.

    ``base_url`` is that of the build, ``known`` names the assets by their integrity.
    """
    for asset in assets:
        for path in _paths(manifest, asset):
            url = _url(base_url, asset, path)
            yield from of_asset(asset, url, path, known=known)
            if (as_written := _url(base_url, asset, path, safe=_BARE_IN_PATH)) != url:
                yield as_a_browser(asset, as_written, path, known=known)


def of_asset(
    asset: Asset, url: str, path: str, *, known: Mapping[str, str] = _NOTHING_KNOWN
) -> Iterator[Question]:
    """One asset at ``url``, as a browser asks for it, and then in each encoding alone."""
    yield as_a_browser(asset, url, path, known=known)
    yield Request(url, WholeAsset(asset, path, (None,), known))
    for name in asset.encodings:
        judge = WholeAsset(asset, path, codings_for(asset, {name}), known)
        yield Request(url, judge, {"Accept-Encoding": name})


def as_a_browser(
    asset: Asset, url: str, path: str, *, known: Mapping[str, str] = _NOTHING_KNOWN
) -> Question:
    """One asset, as a page on another origin makes a browser ask for a font or a module."""
    codings = codings_for(asset, ENCODINGS.keys())
    judge = WholeAsset(asset, path, codings, known, bare_plus="+" in url)
    return Request(url, judge, {"Accept-Encoding": BROWSER, "Origin": ORIGIN})


def of_earlier_build(manifest: Manifest, base_url: str) -> Iterator[Question]:
    """A few assets of a build that open pages may still refer to."""
    for asset in sample(manifest, EARLIER):
        yield as_a_browser(asset, _url(base_url, asset, asset.path), asset.path)


def of_edge(manifest: Manifest, base_url: str, private_urls: Iterable[str]) -> Iterator[Question]:
    """What holds for all files, asked once: unknown names, private files, queries and ranges."""
    yield UnknownName(base_url)
    for url in private_urls:
        yield Request(url, expected.private_file)
    asset = max(manifest.assets.values(), key=lambda one: len(one.encodings), default=None)
    if asset is not None:
        url = _url(base_url, asset, asset.path)
        judge = WholeAsset(asset, asset.path, (None,), _NOTHING_KNOWN)
        # S3 obeys it when the edge signs its requests.
        yield Request(f"{url}?response-content-type=text/html", judge)
    ranged = next((one for one in manifest.assets.values() if one.size > 1), None)
    if ranged is not None:
        headers = {"Accept-Encoding": "identity", "Range": "bytes=0-1"}
        yield Request(_url(base_url, ranged, ranged.path), PartOfAsset(ranged), headers)


def sample(manifest: Manifest, size: int | None) -> list[Asset]:
    """``size`` assets, the same ones each time, of as many extensions as can be; None for all."""
    assets = sorted(manifest.assets.values(), key=lambda asset: asset.integrity)
    if size is None or size >= len(assets):
        return sorted(assets, key=lambda asset: asset.hashed_name)
    # The first of each extension come before the second ones: types and rules go by extension.
    seen: dict[str, int] = {}
    ranks = []
    for asset in assets:
        extension = asset.name.rpartition(".")[2]
        ranks.append(seen.setdefault(extension, 0))
        seen[extension] += 1
    ranked = sorted(zip(ranks, assets, strict=True), key=lambda pair: pair[0])
    return [asset for _, asset in ranked[:size]]


def whose(*manifests: Manifest) -> dict[str, str]:
    """The path of an asset by its integrity: whose bytes an answer has."""
    return {asset.integrity: asset.path for one in manifests for asset in one.assets.values()}


def _paths(manifest: Manifest, asset: Asset) -> list[str]:
    paths = [asset.path, *([asset.original_path] if manifest.has_original(asset) else [])]
    return list(dict.fromkeys(paths))


def _url(base_url: str, asset: Asset, path: str, *, safe: str | None = None) -> str:
    """The URL of ``path``, as ``{% static %}`` writes it, or with the ``safe`` characters bare."""
    below = path.removeprefix(f"{asset.build}/")
    return base_url + (quote(below, safe=safe) if safe else filepath_to_uri(below) or "")
