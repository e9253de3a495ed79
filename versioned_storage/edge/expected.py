"""What an answer of the edge has to be: pure functions from an answer to what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..build.manifest import Asset
from ..constants import CACHE_CONTROL, ENCODINGS
from .client import Answer

#: Seconds that an edge may keep the answer to a name that does not exist.
NEGATIVE_TTL = 1
#: Seconds that it may tell a browser to keep it.
NEGATIVE_MAX_AGE = 10
# An encoded copy of another size is fine, zlib and zlib-ng differ; one that is this much larger was
# made by somebody in a hurry.
_LARGER = 1.05

_RESEMBLING_GZIP = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class Mismatch:
    """One thing that an answer has wrong; all for people."""

    what: str
    found: str
    expected: str
    remedy: str


@dataclass(frozen=True)
class WholeAsset:
    """An answer to a question for all of an asset.

    ``path`` is the one that was asked for, below the STATIC_URL path. ``codings`` are the encodings
    that may come, None for identity. ``known`` says whose bytes have an integrity. With
    ``bare_plus`` the URL has a ``+`` that is not percent-encoded.
    """

    asset: Asset
    path: str
    codings: tuple[str | None, ...]
    known: Mapping[str, str]
    bare_plus: bool = False

    def __call__(self, answer: Answer) -> Iterator[Mismatch]:
        if answer.status != 200:
            yield self._status(answer)
            return
        yield from asset_headers(answer, self.asset)
        if answer.coding not in self.codings:
            yield self._coding(answer)
        elif answer.coding and _is_made_elsewhere(answer, self.asset.encodings[answer.coding]):
            size = self.asset.encodings[answer.coding]
            yield _compressed_again(
                f"size in {answer.coding}", f"{answer.received:,} bytes", f"{size:,}"
            )
        if answer.integrity != self.asset.integrity:
            yield self._bytes(answer)

    def _status(self, answer: Answer) -> Mismatch:
        found = str(answer.status)
        if 300 <= answer.status < 400:
            found = f"{answer.status} to {answer.headers.get('Location', 'nowhere')}"
            remedy = "Point cdn_domain at what answers: a redirect costs each file a round trip."
        elif answer.status < 500 and self.bare_plus:
            remedy = (
                "S3 reads a bare + as a space, and older builds refer to files with it: deploy "
                "the functions of 'manage.py staticbuilds cloudformation', which send %2B to S3."
            )
        elif answer.status < 500:
            suffix = _suffix(self.codings[0])
            remedy = (
                f"See that the origin has {self.path}{suffix}: 'manage.py staticbuilds verify "
                f"{self.asset.build} --repair' puts back what S3 lacks. Where everything is "
                "refused, the edge may not read the origin: bucket policy, origin path, behavior."
            )
        else:
            remedy = "The origin or an edge function fails: their logs say why."
        return Mismatch("status", found, "200", remedy)

    def _coding(self, answer: Answer) -> Mismatch:
        found = answer.coding or "none"
        expected = " or ".join(coding or "none" for coding in self.codings)
        if answer.coding is not None and answer.coding not in self.asset.encodings:
            return _compressed_again("Content-Encoding", found, expected)
        remedy = (
            "In front of S3 the viewer-request function chooses the encoding: deploy what "
            "'manage.py staticbuilds cloudformation' prints. In front of the application the cache "
            "policy has both EnableAcceptEncoding flags on."
        )
        return Mismatch("Content-Encoding", found, expected, remedy)

    def _bytes(self, answer: Answer) -> Mismatch:
        expected = f"{self.asset.integrity}, that of {self.asset.hashed_name}"
        what = "sha384 of the decoded body"
        if answer.integrity is None:
            found = f"a body that does not decode as {answer.coding}"
            return _compressed_again(what, found, expected)
        if answer.start.startswith(_RESEMBLING_GZIP) and answer.coding:
            return _compressed_again(what, f"gzip inside of {answer.coding}", expected)
        whose = self.known.get(answer.integrity)
        found = f"{answer.integrity}, that of {whose}" if whose else answer.integrity
        remedy = (
            "Something replaced or rewrote the file in the bucket or on its way. Caches keep this "
            "URL for years: turn that off, and publish under a new BUILD_VERSION."
        )
        return Mismatch(what, found, expected, remedy)


@dataclass(frozen=True)
class PartOfAsset:
    """An answer to a question for the first two bytes of an asset, and no more."""

    asset: Asset

    def __call__(self, answer: Answer) -> Iterator[Mismatch]:
        remedy = "Let the edge pass Range on, and answer it: media cannot be skipped through."
        if answer.status != 206:
            yield Mismatch("status", str(answer.status), "206", remedy)
            return
        found = f"{answer.headers.get('Content-Range')}, {answer.received:,} bytes of body"
        expected = f"bytes 0-1/{self.asset.size}, 2 bytes of body"
        if found != expected:
            yield Mismatch("Content-Range", found, expected, remedy)
        yield from asset_headers(answer, self.asset)


def asset_headers(answer: Answer, asset: Asset) -> Iterator[Mismatch]:
    """What each answer of an asset says, whoever asks and however."""
    headers = answer.headers
    content_type = headers.get("Content-Type", "none")
    if _parameters(content_type) != _parameters(asset.content_type):
        remedy = (
            "Let the edge pass on the type that the object was published with; if it is wrong "
            "there, publish under a new BUILD_VERSION."
        )
        yield Mismatch("Content-Type", content_type, asset.content_type, remedy)
    cache_control = headers.get("Cache-Control", "none")
    if _directives(cache_control) != _directives(CACHE_CONTROL):
        remedy = "Let the edge pass on the Cache-Control that the origin gives, and add none."
        yield Mismatch("Cache-Control", cache_control, CACHE_CONTROL, remedy)
    cors = headers.get("Access-Control-Allow-Origin", "none")
    if cors != "*":
        remedy = (
            "Add it to every answer, once, whether or not Origin was sent (the viewer-response "
            "function of 'manage.py staticbuilds cloudformation' does): a copy that is cached "
            "without it fails as a font or a module later."
        )
        yield Mismatch("Access-Control-Allow-Origin", cors, "*", remedy)
    vary = headers.get("Vary", "none")
    if asset.encodings and "accept-encoding" not in _directives(vary):
        remedy = (
            "Add it to every answer of a file that has encodings, identity included: a cache in "
            "between would give one browser's encoding to another."
        )
        yield Mismatch("Vary", vary, "Accept-Encoding", remedy)


def unknown_name(answer: Answer) -> Iterator[Mismatch]:
    """The answer for a file that no build has: a refusal that is not kept."""
    if not 400 <= answer.status < 500:
        remedy = (
            "Answer a missing file with 403 or 404: an error page with another status would be "
            "cached as the file."
        )
        yield Mismatch("status of a name that is not there", str(answer.status), "404", remedy)
        return
    cache_control = answer.headers.get("Cache-Control", "")
    if _seconds_kept(cache_control) > NEGATIVE_MAX_AGE:
        remedy = "Send Cache-Control: no-store with a missing file; a deploy may bring it."
        expected = f"no-store, or {NEGATIVE_MAX_AGE} seconds at most"
        yield Mismatch("Cache-Control of a name that is not there", cache_control, expected, remedy)


def unknown_name_again(answer: Answer) -> Iterator[Mismatch]:
    """The answer for the same name a moment later: not out of a cache that kept it longer."""
    age = answer.headers.get("Age", "0").strip()
    if age.isdigit() and int(age) > NEGATIVE_TTL:
        remedy = (
            "Set ErrorCachingMinTTL of 403 and 404 to 0 or 1 (CloudFront's default is 10 s): who "
            "asks too early must not spoil the file for the next."
        )
        expected = f"{NEGATIVE_TTL} at most"
        yield Mismatch("Age of a name that is not there", age, expected, remedy)


def private_file(answer: Answer) -> Iterator[Mismatch]:
    """The answer for a record or a manifest: no JSON. A site may have a page for every path."""
    if 200 <= answer.status < 300 and answer.start.lstrip().startswith(b"{"):
        remedy = (
            "Let the edge read only what is below the STATIC_URL path, and no staticfiles.json "
            "there: the bucket policy and the function of 'manage.py staticbuilds cloudformation'."
        )
        found = f"{answer.status}, everybody can read it"
        yield Mismatch("status of a private file", found, "403 or 404", remedy)


def codings_for(asset: Asset, accepted: Collection[str]) -> tuple[str | None, ...]:
    """What may come back for an Accept-Encoding that has these, the preferred one first.

    An edge function takes the first of the table. Who looks at the sizes, as WhiteNoise does, may
    take the smallest, identity included.
    """
    usable = [name for name in ENCODINGS if name in accepted and name in asset.encodings]
    if not usable:
        return (None,)
    smallest = min(usable, key=lambda name: asset.encodings[name])
    codings: list[str | None] = [usable[0], smallest]
    if asset.encodings[smallest] >= asset.size:
        codings.append(None)
    return tuple(dict.fromkeys(codings))


def _is_made_elsewhere(answer: Answer, size: int) -> bool:
    # CloudFront, like others, makes an ETag weak when it compresses; S3's and WhiteNoise's are
    # strong.
    weak = answer.headers.get("ETag", "").startswith("W/")
    return answer.received != size and (weak or answer.received > size * _LARGER)


def _compressed_again(what: str, found: str, expected: str) -> Mismatch:
    remedy = (
        "The edge compresses by itself what the build has compressed better: turn its compression "
        "off (CloudFront: Compress: false in the behavior)."
    )
    return Mismatch(what, found, expected, remedy)


def _suffix(coding: str | None) -> str:
    return ENCODINGS[coding].suffix if coding else ""


def _parameters(content_type: str) -> list[str]:
    # `charset="UTF-8"` says the same as `charset=utf-8` (RFC 9110, 8.3.1 and 5.6.6).
    return [part.strip() for part in content_type.lower().replace('"', "").split(";")]


def _directives(header: str) -> set[str]:
    return {directive.strip() for directive in header.lower().split(",")}


def _seconds_kept(cache_control: str) -> int:
    found = _directives(cache_control)
    if found & {"no-store", "no-cache"}:
        return 0
    ages = [one.partition("=")[2] for one in found if one.startswith(("max-age=", "s-maxage="))]
    return max((int(age) for age in ages if age.isdigit()), default=0)
