"""What a response of the edge must be: pure functions that yield the faults of a response."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..build.manifest import Asset
from ..constants import CACHE_CONTROL, ENCODINGS
from ..errors import Fault
from .client import EdgeResponse

#: Seconds that an edge may cache the response for a missing file.
NEGATIVE_TTL = 1
#: Seconds that this response may let a browser cache it.
NEGATIVE_MAX_AGE = 10
# zlib and zlib-ng compress to different sizes. A copy this much larger was compressed by an edge,
# which does it at a low quality.
_LARGER = 1.05

_GZIP_MAGIC = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class WholeAsset:
    """The response to a GET of an asset.

    ``path`` is the requested one, below the STATIC_URL path. ``codings`` are the acceptable values
    of Content-Encoding, None for identity. ``paths`` names assets by their integrity. With
    ``bare_plus`` the URL has a ``+`` that is not percent-encoded.
    """

    asset: Asset
    path: str
    codings: tuple[str | None, ...]
    paths: Mapping[str, str]
    bare_plus: bool = False

    def __call__(self, response: EdgeResponse) -> Iterator[Fault]:
        if response.status != 200:
            yield self._status_fault(response)
            return
        yield from asset_headers(response, self.asset)
        if response.coding not in self.codings:
            yield self._coding_fault(response)
        elif response.coding:
            size = self.asset.encodings[response.coding]
            if _is_recompressed(response, size):
                received = f"{response.received:,} bytes"
                yield _recompressed_fault(f"size in {response.coding}", received, f"{size:,}")
        if response.integrity != self.asset.integrity:
            yield self._bytes_fault(response)

    def _status_fault(self, response: EdgeResponse) -> Fault:
        status = str(response.status)
        if 300 <= response.status < 400:
            status = f"{response.status} to {response.headers.get('Location', 'nowhere')}"
            remedy = "Set cdn_domain to the host that it redirects to."
        elif response.status < 500 and self.bare_plus:
            remedy = (
                "S3 reads a bare + as a space, and older builds refer to files with it: deploy "
                "the functions of 'manage.py staticbuilds cloudformation', which send %2B to S3."
            )
        elif response.status < 500:
            suffix = _suffix(self.codings[0])
            remedy = (
                f"Check that the origin has {self.path}{suffix}: 'manage.py staticbuilds verify "
                f"{self.asset.build} --repair' restores what S3 lacks. If every file is refused, "
                "the edge may not read the origin: check bucket policy, origin path and behavior."
            )
        else:
            remedy = "The origin or an edge function fails: look in their logs."
        return Fault("status", status, "200", remedy)

    def _coding_fault(self, response: EdgeResponse) -> Fault:
        coding = response.coding or "none"
        expected = " or ".join(coding or "none" for coding in self.codings)
        if response.coding is not None and response.coding not in self.asset.encodings:
            return _recompressed_fault("Content-Encoding", coding, expected)
        remedy = (
            "In front of S3 the viewer-request function chooses the encoding: deploy the template "
            "of 'manage.py staticbuilds cloudformation'. In front of the application the cache "
            "policy needs both EnableAcceptEncoding flags."
        )
        return Fault("Content-Encoding", coding, expected, remedy)

    def _bytes_fault(self, response: EdgeResponse) -> Fault:
        expected = f"{self.asset.integrity}, that of {self.asset.hashed_name}"
        what = "sha384 of the decoded body"
        if response.integrity is None:
            body = f"a body that does not decode as {response.coding}"
            return _recompressed_fault(what, body, expected)
        if response.start.startswith(_GZIP_MAGIC) and response.coding:
            return _recompressed_fault(what, f"gzip inside of {response.coding}", expected)
        owner = self.paths.get(response.integrity)
        integrity = f"{response.integrity}, that of {owner}" if owner else response.integrity
        remedy = (
            "Something replaced or rewrote the file in the bucket or on its way. Stop that, and "
            f"publish under {_new_url(self.asset)}, because caches keep this URL for years."
        )
        return Fault(what, integrity, expected, remedy)


@dataclass(frozen=True)
class PartOfAsset:
    """The response to a request for the first two bytes of an asset."""

    asset: Asset

    def __call__(self, response: EdgeResponse) -> Iterator[Fault]:
        remedy = "Let the edge answer Range requests: players need them to seek in media."
        if response.status != 206:
            yield Fault("status", str(response.status), "206", remedy)
            return
        part = f"{response.headers.get('Content-Range')}, {response.received:,} bytes of body"
        expected = f"bytes 0-1/{self.asset.size}, 2 bytes of body"
        if part != expected:
            yield Fault("Content-Range", part, expected, remedy)
        yield from asset_headers(response, self.asset)


def asset_headers(response: EdgeResponse, asset: Asset) -> Iterator[Fault]:
    """Check the headers that every response for an asset must have."""
    headers = response.headers
    content_type = headers.get("Content-Type", "none")
    if _parameters(content_type) != _parameters(asset.content_type):
        remedy = (
            "Let the edge pass on the object's Content-Type; if the object's is wrong, publish "
            f"under {_new_url(asset)}."
        )
        yield Fault("Content-Type", content_type, asset.content_type, remedy)
    cache_control = headers.get("Cache-Control", "none")
    if _directives(cache_control) != _directives(CACHE_CONTROL):
        remedy = "Let the edge pass on the origin's Cache-Control and add nothing to it."
        yield Fault("Cache-Control", cache_control, CACHE_CONTROL, remedy)
    cors = headers.get("Access-Control-Allow-Origin", "none")
    if cors != "*":
        remedy = (
            "Add it once to every response, also where the request has no Origin, as the "
            "viewer-response function of 'manage.py staticbuilds cloudformation' does: a copy "
            "cached without it fails as a font or a module later."
        )
        yield Fault("Access-Control-Allow-Origin", cors, "*", remedy)
    vary = headers.get("Vary", "none")
    if asset.encodings and "accept-encoding" not in _directives(vary):
        remedy = (
            "Add it to every response for a file that has encodings, identity included: without "
            "it a proxy would give one browser's encoding to another."
        )
        yield Fault("Vary", vary, "Accept-Encoding", remedy)


def missing_file(response: EdgeResponse) -> Iterator[Fault]:
    """Check the response for a name that no build has: a refusal that caches do not keep."""
    if not 400 <= response.status < 500:
        remedy = (
            "Answer a missing file with 403 or 404: an error page with another status would be "
            "cached as the file."
        )
        yield Fault("status of a missing file", str(response.status), "404", remedy)
        return
    cache_control = response.headers.get("Cache-Control", "")
    if _max_age(cache_control) > NEGATIVE_MAX_AGE:
        remedy = "Send Cache-Control: no-store for a missing file, because a deploy may add it."
        expected = f"no-store, or {NEGATIVE_MAX_AGE} seconds at most"
        yield Fault("Cache-Control of a missing file", cache_control, expected, remedy)


def missing_file_again(response: EdgeResponse) -> Iterator[Fault]:
    """Check the second response for the same name: the cache must not have kept the first."""
    age = response.headers.get("Age", "0").strip()
    if age.isdigit() and int(age) > NEGATIVE_TTL:
        remedy = (
            "Set ErrorCachingMinTTL of 403 and 404 to 0 or 1 (CloudFront's default is 10 s), so "
            "that a request that comes too early does not block the file for others."
        )
        yield Fault("Age of a missing file", age, f"{NEGATIVE_TTL} at most", remedy)


def private_file(response: EdgeResponse) -> Iterator[Fault]:
    """Check that a record or a manifest is not served.

    Another status than 403 or 404 is no fault unless JSON comes with it, because a site may have a
    page for every path.
    """
    if 200 <= response.status < 300 and response.start.lstrip().startswith(b"{"):
        remedy = (
            "Let the edge read only the STATIC_URL path, and no staticfiles.json there, as the "
            "bucket policy and the function of 'manage.py staticbuilds cloudformation' do."
        )
        status = f"{response.status}, everybody can read it"
        yield Fault("status of a private file", status, "403 or 404", remedy)


def codings_for(asset: Asset, accepted: Collection[str]) -> tuple[str | None, ...]:
    """Return the acceptable encodings for an Accept-Encoding, the preferred one first.

    The edge function takes the first of its table. A server that compares sizes, as WhiteNoise
    does, may take the smallest, identity included.
    """
    usable = [name for name in ENCODINGS if name in accepted and name in asset.encodings]
    if not usable:
        return (None,)
    smallest = min(usable, key=lambda name: asset.encodings[name])
    codings: list[str | None] = [usable[0], smallest]
    if asset.encodings[smallest] >= asset.size:
        codings.append(None)
    return tuple(dict.fromkeys(codings))


def _is_recompressed(response: EdgeResponse, size: int) -> bool:
    # CloudFront, like others, makes an ETag weak when it compresses; those of S3 and WhiteNoise
    # are strong.
    weak = response.headers.get("ETag", "").startswith("W/")
    return response.received != size and (weak or response.received > size * _LARGER)


def _recompressed_fault(what: str, found: str, expected: str) -> Fault:
    remedy = (
        "The edge compresses what the build has compressed better: switch its compression off "
        "(CloudFront: Compress: false in the behavior)."
    )
    return Fault(what, found, expected, remedy)


def _new_url(asset: Asset) -> str:
    """Return what gives an asset with the same bytes another URL."""
    if asset.is_shared:
        return f"another shared_prefix than {asset.shared_prefix!r}"
    return "a new BUILD_VERSION"


def _suffix(coding: str | None) -> str:
    return ENCODINGS[coding].suffix if coding else ""


def _parameters(content_type: str) -> list[str]:
    # `charset="UTF-8"` and `charset=utf-8` are equal (RFC 9110, 8.3.1 and 5.6.6).
    return [part.strip() for part in content_type.lower().replace('"', "").split(";")]


def _directives(header: str) -> set[str]:
    return {directive.strip() for directive in header.lower().split(",")}


def _max_age(cache_control: str) -> int:
    directives = _directives(cache_control)
    if directives & {"no-store", "no-cache"}:
        return 0
    ages = [
        directive.partition("=")[2]
        for directive in directives
        if directive.startswith(("max-age=", "s-maxage="))
    ]
    return max((int(age) for age in ages if age.isdigit()), default=0)
