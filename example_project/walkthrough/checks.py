"""Fetches every asset that the pages refer to and compares it with the manifest."""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import brotli

from versioned_storage.build.manifest import Asset, Manifest

from . import references
from .edge import Request
from .errors import ChecksFailedError, DemoError
from .fetch import Answer, fetch
from .report import progress

PAGES = ("", "editor/", "api/", "admin/login/")

# What the editor's script asks for, by paths that it computes from its own URL.
COMPUTED = (
    "tinymce/icons/default/icons.min.js",
    "tinymce/models/dom/model.min.js",
    "tinymce/plugins/table/plugin.min.js",
    "tinymce/skins/ui/oxide/skin.min.css",
    "tinymce/themes/silver/theme.min.js",
)

IMMUTABLE = "max-age=315360000, public, immutable"
_DECODERS: dict[str, Callable[[bytes], bytes]] = {"br": brotli.decompress, "gzip": gzip.decompress}
_CONNECTIONS = 8


@dataclass(frozen=True)
class Named:
    """A file that something names. ``by_any_name`` is for the editor's computed, original names."""

    url: str
    is_module: bool = False
    by_any_name: bool = False


@dataclass(frozen=True)
class Checked:
    """An asset that passed the checks, the number of answers, and its references."""

    url: str
    asset: Asset
    answers: int
    names: set[Named]


@dataclass(frozen=True)
class Inspection:
    """One build as its visitors get it."""

    manifest: Manifest
    #: The URL of the build, with a slash at its end.
    base: str

    def run(self, site_url: str) -> list[Checked]:
        """Check what every page names, and what that names. Raises `ChecksFailedError`."""
        pending = {*self._named_by_pages(site_url), *self._named_by_the_editor()}
        checked: dict[str, Checked] = {}
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            while pending:
                ordered = sorted(pending, key=lambda named: named.url)
                results = list(pool.map(self._check_or_problem, ordered))
                problems = [result for result in results if isinstance(result, str)]
                if problems:
                    raise ChecksFailedError(problems, len(checked) + len(results))
                checked |= {result.url: result for result in results}
                progress(f"{len(checked):,} assets checked")
                references = {named for result in results for named in result.names}
                pending = {named for named in references if named.url not in checked}
        return list(checked.values())

    def _named_by_pages(self, site_url: str) -> Iterator[Named]:
        for page in PAGES:
            url = urljoin(site_url, page)
            answer = fetch(Request(url, {"Accept": "text/html"}))
            if answer.status != 200:
                raise DemoError(f"the page {url} has status {answer.status}, expected 200")
            named = references.page(answer.body.decode())
            if not named:
                raise DemoError(f"the page {url} names no file at all, expected a few")
            for reference, is_module in named.items():
                yield Named(_absolute(url, reference), is_module)

    def _named_by_the_editor(self) -> Iterator[Named]:
        for name in COMPUTED:
            yield Named(self.base + name, by_any_name=True)

    def _check_or_problem(self, named: Named) -> Checked | str:
        try:
            return self._check(named)
        except _MismatchError as problem:
            return str(problem)

    def _check(self, named: Named) -> Checked:
        asset = self._asset_of(named)
        identity = fetch(Request(named.url, {"Accept-Encoding": "identity"}))
        _check_identity(identity, asset)
        for encoding, size in asset.encodings.items():
            answer = fetch(Request(named.url, {"Accept-Encoding": encoding}))
            if size >= asset.size and "Content-Encoding" not in answer.headers:
                # Who negotiates may prefer the smaller bytes.
                _check_identity(answer, asset)
            else:
                _check_encoded(answer, asset, encoding)
        names = _names_in(named, asset, identity.body)
        return Checked(named.url, asset, 1 + len(asset.encodings), names)

    def _asset_of(self, named: Named) -> Asset:
        if not named.url.startswith(self.base):
            raise _MismatchError(named.url, "place", "outside of the build", self.base)
        name = unquote(urlsplit(named.url.removeprefix(self.base)).path)
        asset = self.manifest.assets.get(name)
        if asset is None and named.by_any_name:
            asset = self.manifest.asset(name)
        if asset is None:
            expected = "a hashed name in its manifest"
            raise _MismatchError(named.url, "name", name, expected)
        return asset


def _names_in(named: Named, asset: Asset, body: bytes) -> set[Named]:
    text = body.decode(errors="replace")

    def resolved(references: set[str], **how: bool) -> set[Named]:
        return {Named(_absolute(named.url, reference), **how) for reference in references}

    match asset.content_type.partition(";")[0]:
        case "text/css":
            return resolved(references.css(text))
        case "text/javascript" if named.is_module:
            imported = resolved(references.module(text), is_module=True)
            return imported | resolved(references.source_map(text))
        case "text/javascript":
            return resolved(references.source_map(text))
        case "application/manifest+json":
            return resolved(references.web_manifest(text))
    return set()


class _MismatchError(Exception):
    def __init__(self, url: str, what: str, actual: object, expected: object) -> None:
        super().__init__(f"{url} has the {what} {actual!r}, expected {expected!r}")


def still_there(checked: Iterable[Checked]) -> int:
    """Fetch once more what was checked before, and count it. Raises `ChecksFailedError`."""

    def problem(asset: Checked) -> str | None:
        try:
            _check_identity(fetch(Request(asset.url, {"Accept-Encoding": "identity"})), asset.asset)
        except _MismatchError as mismatch:
            return str(mismatch)
        return None

    checked = list(checked)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        problems = [text for text in pool.map(problem, checked) if text]
    if problems:
        raise ChecksFailedError(problems, len(checked))
    return len(checked)


def integrity(body: bytes) -> str:
    """The sha384 of bytes as Subresource Integrity writes it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}"


def _check_identity(answer: Answer, asset: Asset) -> None:
    _check_headers(answer, asset, None)
    _expect(answer, "integrity", integrity(answer.body), asset.integrity)


def _check_encoded(answer: Answer, asset: Asset, encoding: str) -> None:
    _check_headers(answer, asset, encoding)
    _expect(answer, f"size in {encoding}", len(answer.body), asset.encodings[encoding])
    decoded = integrity(_decode(answer, encoding))
    _expect(answer, f"integrity once decoded from {encoding}", decoded, asset.integrity)


def _check_headers(answer: Answer, asset: Asset, encoding: str | None) -> None:
    _expect(answer, "status", answer.status, 200)
    # `charset="utf-8"` says the same as `charset=utf-8` (RFC 9110, 5.6.6).
    content_type = answer.headers.get("Content-Type", "").replace('"', "")
    _expect(answer, "Content-Type", content_type, asset.content_type)
    _expect(answer, "Cache-Control", answer.headers.get("Cache-Control"), IMMUTABLE)
    _expect(answer, "Content-Encoding", answer.headers.get("Content-Encoding"), encoding)


def _expect(answer: Answer, what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise _MismatchError(answer.url, what, actual, expected)


def _decode(answer: Answer, encoding: str) -> bytes:
    try:
        return _DECODERS[encoding](answer.body)
    except (brotli.error, zlib.error, OSError, EOFError):
        raise _MismatchError(
            answer.url, "body", f"something that is not {encoding}", encoding
        ) from None


def _absolute(base: str, reference: str) -> str:
    # An `?#iefix` asks for the same file.
    return urldefrag(urljoin(base, reference)).url.partition("?")[0]
