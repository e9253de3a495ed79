"""The static files that a page names: each must be one of the build, and be served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from ..build.manifest import Asset, Manifest
from .client import Answer, Client, NoAnswer
from .questions import Fault, Outcome, Question, as_a_browser

#: Bytes of a page that are read; what it names is mostly in its head.
PAGE_LIMIT = 4 * 1024 * 1024
_HTML: Mapping[str, str] = {"Accept": "text/html", "Accept-Encoding": "identity"}
_URLS = frozenset({"src", "href", "poster", "data", "content"})
_LISTS_OF_URLS = frozenset({"srcset", "imagesrcset"})


@dataclass(frozen=True)
class Named:
    """A URL that a page names, absolute and without a fragment; None for what it does not say."""

    url: str
    integrity: str | None = None
    crossorigin: str | None = None


@dataclass(frozen=True)
class Page(Question):
    """A page of the site, which has to name the files of one build and of no other.

    Builds are at ``cdn_url`` and, by ``static_path``, on the page's own host. ``known`` names the
    assets by their integrity.
    """

    url: str
    manifest: Manifest
    cdn_url: str
    static_path: str
    known: Mapping[str, str] = field(default_factory=dict)

    def put(self, client: Client) -> Outcome:
        try:
            answer = client.ask(self.url, _HTML, keep=PAGE_LIMIT)
        except NoAnswer as error:
            fault = self._fault(self.url, "the page", error.reason, "an answer", error.remedy)
            return Outcome((fault,), unanswered=True)
        if answer.status != 200:
            return Outcome((self._status(answer),), (answer.served_by,))
        named = [one for one in names_in(self.url, answer.start) if self._is_static(one.url)]
        if not named:
            return Outcome((self._nothing(),), (answer.served_by,))
        outcomes = [outcome for one in named for outcome in self._outcomes(one, client)]
        return Outcome(
            tuple(fault for outcome in outcomes for fault in outcome.faults),
            (answer.served_by, *(name for outcome in outcomes for name in outcome.served_by)),
        )

    def _is_static(self, url: str) -> bool:
        return any(url.startswith(place) for place in self._places())

    def _places(self) -> tuple[str, str]:
        return self.cdn_url, urljoin(self.url, self.static_path)

    def _outcomes(self, named: Named, client: Client) -> Iterator[Outcome]:
        """What is wrong with the name itself, then what comes of asking for it."""
        fault = partial(self._fault, named.url)
        place = next(place for place in self._places() if named.url.startswith(place))
        path = unquote(urlsplit(named.url.removeprefix(place)).path)
        build, _, name = path.partition("/")
        if not path or path.endswith("/"):
            # A place and no file: what {% get_static_prefix %} gives to a script.
            return
        if self.manifest.asset(path) is not None:
            remedy = f"Write {{% static '{path}' %}} in the template."
            yield Outcome((fault("its build", "none", repr(self.manifest.build), remedy),))
            return
        if build != self.manifest.build:
            remedy = "The page is of another deploy: run its application with this BUILD_VERSION."
            yield Outcome((fault("its build", repr(build), repr(self.manifest.build), remedy),))
            return
        asset = self.manifest.assets.get(name) or self.manifest.asset(name)
        if asset is None:
            remedy = "Collect the file, or correct the name in the template."
            yield Outcome((fault("its name", repr(name), "one of the manifest", remedy),))
            return
        yield Outcome(tuple(self._integrity(named, asset)))
        yield as_a_browser(asset, named.url, path, known=self.known).put(client)

    def _integrity(self, named: Named, asset: Asset) -> Iterator[Fault]:
        if named.integrity is None:
            return
        fault = partial(self._fault, named.url)
        remedy = "Take it from the manifest: {% load versioned_static %}, {% static_integrity %}."
        if asset.integrity not in named.integrity.split():
            yield fault("its integrity", named.integrity, asset.integrity, remedy)
        elsewhere = urlsplit(named.url)[:2] != urlsplit(self.url)[:2]
        if elsewhere and named.crossorigin is None:
            remedy = "A browser refuses integrity on another origin without it: add crossorigin."
            yield fault("its crossorigin", "none", "anonymous", remedy)

    def _status(self, answer: Answer) -> Fault:
        location = answer.headers.get("Location")
        found = f"{answer.status} to {location}" if location else str(answer.status)
        remedy = "Give the URL of a page that answers without a redirect and a login."
        return self._fault(self.url, "status of the page", found, "200", remedy)

    def _nothing(self) -> Fault:
        expected = f"some below {' or '.join(dict.fromkeys(self._places()))}"
        remedy = "Give a page that uses {% static %}; and see that its DEBUG is off."
        return self._fault(self.url, "number of static files", "0", expected, remedy)

    def _fault(self, url: str, what: str, found: str, expected: str, remedy: str) -> Fault:
        asked = {} if url == self.url else {"on": self.url}
        return Fault(url, asked, what, found, expected, remedy)


def names_in(page_url: str, html: bytes) -> list[Named]:
    """What the elements of a page name, each URL once; inline styles and scripts are not read."""
    parser = _Parser(page_url)
    parser.feed(html.decode(errors="replace"))
    parser.close()
    return list(parser.named.values())


class _Parser(HTMLParser):
    def __init__(self, page_url: str) -> None:
        super().__init__()
        self.named: dict[str, Named] = {}
        self._base = page_url

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A browser takes the first of an attribute that is there twice, and so do we.
        given = {name: value or "" for name, value in reversed(attrs)}
        if tag == "base" and given.get("href"):
            self._base = _joined(self._base, given["href"])
            return
        for url in _urls(given):
            absolute = _joined(self._base, url)
            named = Named(absolute, given.get("integrity"), given.get("crossorigin"))
            if named.integrity is not None or absolute not in self.named:
                self.named[absolute] = named


def _joined(base: str, url: str) -> str:
    try:
        return urljoin(base, url.strip()).partition("#")[0]
    except ValueError:
        # A bracket that is never closed: no URL, so nothing of ours.
        return base


def _urls(given: Mapping[str, str]) -> Iterator[str]:
    for name, value in given.items():
        if name in _URLS:
            yield value
        elif name in _LISTS_OF_URLS:
            # Each is a URL and a width or a density. Ours have no comma: it is quoted in them.
            yield from (one.split()[0] for one in value.split(",") if one.strip())
