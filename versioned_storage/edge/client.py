"""GET requests to the edge over kept-alive connections; bodies are digested while they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions

from .. import __version__
from ..build.codecs import Decoding
from ..constants import ENCODINGS
from ..errors import VersionedStorageError

#: Requests made for one probe when the edge does not answer, or answers with a 5xx.
ATTEMPTS = 3
#: Seconds before the second attempt; doubled before the third.
PAUSE = 0.5
#: Bytes read at once. They are few, because a decoder can make many bytes of one.
CHUNK = 16 * 1024
#: Decoded bytes of a body that are kept, to recognise its format.
START = 512


class NoResponse(VersionedStorageError):
    """The edge did not answer, or its response broke off; ``is_transient`` if a retry may help."""

    def __init__(self, url: str, reason: str, remedy: str, *, is_transient: bool) -> None:
        self.url = url
        self.reason = reason
        self.remedy = remedy
        self.is_transient = is_transient
        super().__init__(f"{url} did not respond: {reason}. {remedy}")


@dataclass(frozen=True)
class EdgeResponse:
    """A response of the edge.

    ``headers`` are case-insensitive. ``received`` is the number of body bytes as they were sent.
    ``integrity`` is the sha384 of the decoded body in the format of Subresource Integrity, or None
    if the body does not decode as Content-Encoding says. ``start`` is the decoded beginning.
    """

    status: int
    headers: Mapping[str, str]
    received: int
    integrity: str | None
    start: bytes

    @property
    def coding(self) -> str | None:
        """Content-Encoding; None for identity."""
        coding = self.headers.get("Content-Encoding", "").strip().lower()
        return None if coding in ("", "identity") else coding

    @property
    def served_by(self) -> str:
        """The server, the edge location, and cache hit or miss, as the response names them."""
        headers = self.headers
        server = headers.get("Server") or headers.get("Via") or "an unnamed server"
        location = headers.get("X-Amz-Cf-Pop")
        cache = next((headers[name] for name in _CACHE_HEADERS if headers.get(name)), None)
        return ", ".join(filter(None, (server, location and f"at {location}", cache)))


# CloudFront and Fastly, Cloudflare, nginx by convention.
_CACHE_HEADERS = ("X-Cache", "CF-Cache-Status", "X-Cache-Status")


class EdgeClient:
    """Makes the requests; one client is shared by all threads.

    ``timeout`` is in seconds, for the connection and for each wait for more bytes. It honours
    the proxy environment variables and uses the system's certificates.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        connections: int = 16,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.timeout = timeout
        self.connections = connections
        self.sleep = sleep

    def get(self, url: str, headers: Mapping[str, str], *, keep: int = START) -> EdgeResponse:
        """Request ``url``, follow no redirect, and keep ``keep`` decoded bytes of the body.

        Retries a 5xx and a transient failure. Raises `NoResponse`.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                response = self._get_once(url, headers, keep)
            except NoResponse as error:
                if not error.is_transient:
                    raise
            else:
                if response.status < 500:
                    return response
            self.sleep(PAUSE * attempt)
        return self._get_once(url, headers, keep)

    def _get_once(self, url: str, headers: Mapping[str, str], keep: int) -> EdgeResponse:
        try:
            response = self._pools_for(url).request(
                "GET",
                url,
                headers={"User-Agent": f"django-versioned-storage/{__version__}", **headers},
                redirect=False,
                retries=False,
                timeout=self.timeout,
                preload_content=False,
                decode_content=False,
            )
            with response:
                digest = _BodyDigest(response.headers.get("Content-Encoding", ""), keep)
                for chunk in response.stream(CHUNK, decode_content=False):
                    digest.update(chunk)
                response.release_conn()
        except exceptions.HTTPError as error:
            raise _no_response(url, error, self.timeout) from error
        return EdgeResponse(
            response.status,
            response.headers,
            digest.received,
            digest.integrity(),
            bytes(digest.start),
        )

    def _pools_for(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or proxy_bypass(parts.hostname or ""):
            return self._direct
        return proxy

    @cached_property
    def _direct(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(maxsize=self.connections)

    @cached_property
    def _proxies(self) -> Mapping[str, urllib3.PoolManager]:
        return {
            scheme: urllib3.ProxyManager(url, maxsize=self.connections)
            for scheme, url in getproxies().items()
            if scheme in ("http", "https") and url
        }


class _BodyDigest:
    """Digests a body while it arrives, so that only a chunk of it is in memory."""

    def __init__(self, coding: str, keep: int) -> None:
        self.received = 0
        self.start = bytearray()
        self._keep = keep
        coding = coding.strip().lower()
        self._is_decodable = coding in ("", "identity", *ENCODINGS)
        self._decoding = Decoding(coding if coding in ENCODINGS else None)

    def update(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self._is_decodable:
            decoded = self._decoding.take(chunk)
            self.start += decoded[: self._keep - len(self.start)]

    def integrity(self) -> str | None:
        return self._decoding.integrity if self._is_decodable else None


def _no_response(url: str, error: exceptions.HTTPError, timeout: float) -> NoResponse:
    new = "A new distribution takes minutes: 'verify --edge --wait 600' retries until then."
    match error:
        case exceptions.NameResolutionError():
            reason, remedy = "DNS lookup failed", f"Correct cdn_domain. {new}"
        case exceptions.SSLError():
            reason = f"TLS failed ({_reason(error)})"
            remedy = "Give the CDN a certificate for this host from a public authority."
        case exceptions.ProxyError():
            reason, remedy = f"the proxy failed ({_reason(error)})", "Correct HTTPS_PROXY."
        case exceptions.NewConnectionError():
            reason = f"the connection failed ({_reason(error)})"
            remedy = f"Correct cdn_domain, or start its server. {new}"
        case exceptions.TimeoutError():
            reason = f"no data for {timeout:g} s"
            remedy = "Check that the edge reaches its origin, or raise --timeout."
            return NoResponse(url, reason, remedy, is_transient=True)
        case exceptions.ProtocolError():
            reason = f"the response broke off ({_reason(error)})"
            remedy = "Check that the origin sends as many bytes as its Content-Length says."
            return NoResponse(url, reason, remedy, is_transient=True)
        case _:
            reason, remedy = _reason(error), "Correct the URL."
    return NoResponse(url, reason, remedy, is_transient=False)


def _reason(error: BaseException) -> str:
    """Return the message of the innermost error: urllib3 wraps that of the system."""
    inner = next((arg for arg in error.args if isinstance(arg, BaseException)), error.__cause__)
    if inner is not None:
        return _reason(inner)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
