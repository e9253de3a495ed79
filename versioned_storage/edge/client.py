"""How the edge is asked: one GET at a time over kept connections, bodies digested as they come."""

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

#: How often a question is put before no answer, or a 5xx, is taken for the answer.
ATTEMPTS = 3
#: Seconds before the second attempt; before the third it is twice that.
PAUSE = 0.5
#: Bytes that are read at once. A decoder can make much of them, so they are few.
CHUNK = 16 * 1024
#: Decoded bytes that are kept of a body, to see what kind of thing it is.
START = 512


class NoAnswer(VersionedStorageError):
    """The edge gave no answer, or not all of one; ``passing`` says that it may the next time."""

    def __init__(self, url: str, reason: str, remedy: str, *, passing: bool) -> None:
        self.url = url
        self.reason = reason
        self.remedy = remedy
        self.passing = passing
        super().__init__(f"{url} gave no answer: {reason}. {remedy}")


@dataclass(frozen=True)
class Answer:
    """What came back.

    ``headers`` are looked up in any case. ``received`` counts the bytes of the body as they came,
    ``integrity`` is the sha384 of what they decode to, in the form of Subresource Integrity; it is
    None where they are not what Content-Encoding says. ``start`` is the beginning, decoded.
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
        """Who says to have answered: the server, the place of the edge, hit or miss."""
        headers = self.headers
        server = headers.get("Server") or headers.get("Via") or "a server without a name"
        place = headers.get("X-Amz-Cf-Pop")
        cache = next((headers[name] for name in _CACHE_HEADERS if headers.get(name)), None)
        return ", ".join(filter(None, (server, place and f"at {place}", cache)))


# CloudFront and Fastly, Cloudflare, nginx by custom.
_CACHE_HEADERS = ("X-Cache", "CF-Cache-Status", "X-Cache-Status")


class Client:
    """Asks; one for all threads.

    ``timeout`` is in seconds, for the connection and for each wait for more of the answer.
    HTTPS_PROXY and its kin are honoured, and the system's certificates.
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

    def ask(self, url: str, headers: Mapping[str, str], *, keep: int = START) -> Answer:
        """GET ``url``; ``keep`` is how many decoded bytes the answer has. Follows no redirect.

        Raises `NoAnswer`. What may pass, a 5xx included, is tried again a little.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                answer = self._exchange(url, headers, keep)
            except NoAnswer as error:
                if not error.passing:
                    raise
            else:
                if answer.status < 500:
                    return answer
            self.sleep(PAUSE * attempt)
        return self._exchange(url, headers, keep)

    def _exchange(self, url: str, headers: Mapping[str, str], keep: int) -> Answer:
        sent = {"User-Agent": f"django-versioned-storage/{__version__}", **headers}
        try:
            response = self._pools_for(url).request(
                "GET",
                url,
                headers=sent,
                redirect=False,
                retries=False,
                timeout=self.timeout,
                preload_content=False,
                decode_content=False,
            )
            with response:
                body = _Body(response.headers.get("Content-Encoding", ""), keep)
                for chunk in response.stream(CHUNK, decode_content=False):
                    body.take(chunk)
                response.release_conn()
        except exceptions.HTTPError as error:
            raise _no_answer(url, error, self.timeout) from error
        return Answer(
            response.status, response.headers, body.received, body.integrity(), bytes(body.start)
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


class _Body:
    """Digests a body while it comes, so that no more than a chunk of it is in memory."""

    def __init__(self, coding: str, keep: int) -> None:
        self.received = 0
        self.start = bytearray()
        self._keep = keep
        coding = coding.strip().lower()
        self._decodable = coding in ("", "identity", *ENCODINGS)
        self._decoding = Decoding(coding if coding in ENCODINGS else None)

    def take(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self._decodable:
            decoded = self._decoding.take(chunk)
            self.start += decoded[: self._keep - len(self.start)]

    def integrity(self) -> str | None:
        return self._decoding.integrity if self._decodable else None


def _no_answer(url: str, error: exceptions.HTTPError, timeout: float) -> NoAnswer:
    wait = "A new distribution takes minutes: 'verify --edge --wait 600' keeps asking."
    match error:
        case exceptions.NameResolutionError():
            reason, remedy = "its host has no address", f"Correct cdn_domain. {wait}"
        case exceptions.SSLError():
            reason = f"TLS failed ({_said(error)})"
            remedy = "Give the CDN a certificate for this host that everybody trusts."
        case exceptions.ProxyError():
            reason, remedy = f"the proxy failed ({_said(error)})", "Correct HTTPS_PROXY."
        case exceptions.NewConnectionError():
            reason = f"no connection ({_said(error)})"
            remedy = f"Correct cdn_domain, or see that its server runs. {wait}"
        case exceptions.TimeoutError():
            reason = f"nothing came for {timeout:g} s"
            remedy = "See that the edge reaches its origin, or give it longer with --timeout."
            return NoAnswer(url, reason, remedy, passing=True)
        case exceptions.ProtocolError():
            reason = f"it broke off ({_said(error)})"
            remedy = "See that the origin sends as many bytes as its Content-Length says."
            return NoAnswer(url, reason, remedy, passing=True)
        case _:
            reason, remedy = _said(error), "Correct the URL."
    return NoAnswer(url, reason, remedy, passing=False)


def _said(error: BaseException) -> str:
    """The words of what was wrong first: urllib3 wraps what the system said."""
    inner = next((one for one in error.args if isinstance(one, BaseException)), error.__cause__)
    if inner is not None:
        return _said(inner)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
